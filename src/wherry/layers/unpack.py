"""Layers onto a directory (OCI image-spec, layer.md: "Applying Changesets").

Layers are not trusted. Names lead nowhere but into the root, as they would for a process that has it as its root
directory; the last part of a name is never followed, and a file never written in place: what is there goes first. The
root must be nobody else's while it is written.
"""

# Real paths are strings here, as they are cut and joined for every file.
# ruff: noqa: PTH101, PTH102, PTH108, PTH115, PTH123, PTH208, PTH211

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wherry.errors import StoreError, WherryError
from wherry.layers.entry import OPAQUE, WHITEOUT, Entry
from wherry.layers.reader import entries
from wherry.layers.records import Row, row_of
from wherry.store.files import remove_tree

_AUFS = WHITEOUT * 2
_CHUNK = 1 << 17
_ZEROS = bytes(_CHUNK)
_IMPLIED = Entry("", "dir", 0o755)  # a directory that no layer tells of
_LINKS = 40  # as many as Linux follows

# Refused: this is no superuser, or the file system has no such thing. The image still works for most.
_UNSUPPORTED = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

Told = Callable[[Path, Sequence[Row]], None]
"""Is told of a layer that has been applied: where it is, and what it holds, without hashes."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What could not be had here: devices that may not be made (paths)."""

    skipped: tuple[str, ...] = ()


def unpack(
    layers: Sequence[Path], root: Path, *, owners: bool, overlay: str = "", told: Told | None = None
) -> Unpacked:
    """Apply ``layers`` (tar files, compressed or not), lowest first, to the directory ``root``.

    With ``owners`` files get their owners' IDs; without, all are ours and setuid bits are void. Device nodes that we
    may not make and extended attributes that cannot be kept are left out. ``overlay`` (``trusted.overlay.`` or
    ``user.overlay.``) makes ``root`` an overlay's upper directory: whiteouts are kept in its form, none is applied.
    ``told`` is told of each layer.
    Raises :class:`WherryError` for a damaged or a hostile layer, :class:`StoreError` for a full disk.
    """
    tree = _Tree(root, owners=owners, overlay=overlay)
    for number, layer in enumerate(layers, 1):
        rows: list[Row] | None = [] if told else None
        tree.apply(layer, f"layer {number} of {len(layers)}", rows)
        if told and rows is not None:
            told(layer, rows)
    tree.finish()
    return Unpacked(tuple(tree.skipped))


class _Tree:
    """The root being written. Real paths are below ``root`` and hold no links; they end without a slash."""

    def __init__(self, root: Path, *, owners: bool, overlay: str) -> None:
        self._root = os.fspath(root.resolve())
        self._owners = owners
        self._overlay = overlay
        self._real: dict[str, str] = {}
        """Directories as layers name them, and where they really are."""
        self._directories: dict[str, Entry] = {self._root: _IMPLIED}
        """What directories shall be like in the end, by real path; till then we may write into them."""
        self._mine: set[str] = set()
        """The real paths that the present layer has made or made something in: its whiteouts do not mean them."""
        self.skipped: list[str] = []

    def apply(self, layer: Path, what: str, rows: list[Row] | None) -> None:
        self._mine = set()
        path = ""
        try:
            for entry, data in entries(layer, what):
                path = entry.path
                self._apply(entry, data)
                if rows is not None:
                    rows.append(row_of(entry))
        except OSError as error:
            raise _explain(error, self._root, f"{what}: {path}") from error

    def finish(self) -> None:
        """Give directories their attributes: innermost first, as what is written in one changes its time."""
        for real in sorted(self._directories, reverse=True):
            try:
                self._dress(real, self._directories[real])
            except OSError as error:
                raise _explain(error, self._root, real) from error

    def _apply(self, entry: Entry, data: IO[bytes] | None) -> None:
        if not entry.path:
            self._directories[self._root] = entry
            return
        above, _, name = entry.path.rpartition("/")
        if name.startswith(WHITEOUT):
            self._white_out(above, name)
            return
        parent = self._directory(above)
        real = f"{parent}/{name}"
        if entry.kind == "hardlink":
            source_above, _, source_name = entry.link.rpartition("/")
            source = f"{self._directory(source_above)}/{source_name}"
            if source != real:
                if not os.path.lexists(source):
                    raise WherryError(f"{entry.path} is a hard link to {entry.link}, which is not there")
                self._clear(real)
                os.link(source, real, follow_symlinks=False)
            self._mark(real)
            return
        if entry.kind == "dir":
            self._make_directory(real, entry)
            return
        self._clear(real)
        if entry.kind == "file":
            self._write(real, entry, data)
        elif entry.kind == "symlink":
            os.symlink(entry.link, real)
        elif entry.kind == "fifo":
            os.mkfifo(real, 0o600)
        elif not self._make_device(real, entry):
            return
        self._mark(real)
        self._dress(real, entry)

    # -- names -----------------------------------------------------------------------------------

    def _directory(self, path: str) -> str:
        """Where the directory ``path`` really is, made with the directories above it if it is missing."""
        if not path:
            return self._root
        known = self._real.get(path)
        if known is not None:
            return known
        found = self._find(path, make=True)
        assert found is not None
        self._real[path] = found
        return found

    def _find(self, path: str, *, make: bool) -> str | None:
        """The real path of the directory ``path``, following links inside the root."""
        real = self._root
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            name = todo.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                real = real if real == self._root else real.rpartition("/")[0]
                continue
            here = f"{real}/{name}"
            try:
                mode = os.lstat(here).st_mode
            except FileNotFoundError:
                if not make:
                    return None
                self._make_directory(here, None)
                real = here
                continue
            if stat.S_ISDIR(mode):
                real = here
            elif stat.S_ISLNK(mode):
                links += 1
                if links > _LINKS:
                    raise WherryError(f"{path} goes through a circle of symbolic links")
                target = os.readlink(here)
                real = self._root if target.startswith("/") else real
                todo += target.split("/")[::-1]
            elif make:
                raise WherryError(f"{path} is below something that is not a directory")
            else:
                return None
        return real

    # -- removal ---------------------------------------------------------------------------------

    def _clear(self, real: str) -> None:
        """Remove whatever is at ``real``."""
        try:
            os.unlink(real)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.lstat(real).st_mode):
                raise
            remove_tree(Path(real))
            below = real + "/"
            for known in [one for one in self._directories if one == real or one.startswith(below)]:
                del self._directories[known]
            self._mine = {one for one in self._mine if one != real and not one.startswith(below)}
        # A link or a directory went: names may lead elsewhere now.
        self._real.clear()

    def _white_out(self, above: str, name: str) -> None:
        if self._overlay:
            self._cover(self._directory(above), name)
            return
        parent = self._find(above, make=False)
        if parent is None:
            return
        if name == OPAQUE:
            self._empty(parent)
        elif not name.startswith(_AUFS):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise WherryError(f"{name} hides nothing that can be")
            self._hide(f"{parent}/{hidden}")

    def _cover(self, parent: str, name: str) -> None:
        """Write a whiteout as overlays have it (Linux, Documentation/filesystems/overlayfs.rst)."""
        if name == OPAQUE:
            os.setxattr(parent, self._overlay + "opaque", b"y", follow_symlinks=False)
        elif not name.startswith(_AUFS):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in {"", ".", ".."}:
                raise WherryError(f"{name} hides nothing that can be")
            real = f"{parent}/{hidden}"
            if real not in self._mine:
                self._clear(real)
                os.mknod(real, stat.S_IFCHR | 0o600, 0)
            elif stat.S_ISDIR(os.lstat(real).st_mode):  # what is new in it stays
                os.setxattr(real, self._overlay + "opaque", b"y", follow_symlinks=False)

    def _hide(self, real: str) -> None:
        """Remove what lower layers have put at ``real``."""
        if real not in self._mine:
            self._clear(real)
        elif stat.S_ISDIR(os.lstat(real).st_mode):
            self._empty(real)

    def _empty(self, directory: str) -> None:
        """Remove what lower layers have put into ``directory``."""
        for name in os.listdir(directory):
            self._hide(f"{directory}/{name}")

    # -- making ----------------------------------------------------------------------------------

    def _make_directory(self, real: str, entry: Entry | None) -> None:
        try:
            os.mkdir(real, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(real).st_mode):
                self._clear(real)
                os.mkdir(real, 0o700)
        self._directories[real] = entry or _IMPLIED
        self._mark(real)

    def _mark(self, real: str) -> None:
        """Note that this layer has made ``real``."""
        while real not in self._mine and real != self._root:
            self._mine.add(real)
            real = real.rpartition("/")[0]

    def _write(self, real: str, entry: Entry, data: IO[bytes] | None) -> None:
        with open(real, "xb", buffering=0) as file:  # never one that is there, nor one that a link names
            size = 0
            hole = False
            while data is not None and (chunk := data.read(_CHUNK)):
                size += len(chunk)
                hole = chunk == _ZEROS
                if hole:
                    file.seek(_CHUNK, os.SEEK_CUR)
                else:
                    view = memoryview(chunk)
                    while view:
                        view = view[file.write(view) :]
            if size != entry.size:
                raise WherryError(f"{entry.path}: {size} bytes where {entry.size} were announced")
            if hole:
                file.truncate(size)

    def _make_device(self, real: str, entry: Entry) -> bool:
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        try:
            os.mknod(real, kind | 0o600, os.makedev(entry.major, entry.minor))
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self.skipped.append(entry.path)
            return False
        return True

    def _dress(self, real: str, entry: Entry) -> None:
        """Set owner, mode, extended attributes and time, in the order in which one does not undo another."""
        mode = entry.mode
        if self._owners:
            try:
                os.lchown(real, entry.uid, entry.gid)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise WherryError(
                    f"{entry.path} belongs to {entry.uid}:{entry.gid}, who cannot exist in this user namespace",
                    hint="Give this user more subordinate IDs (/etc/subuid and /etc/subgid).",
                ) from None
        elif entry.kind != "dir":
            mode &= 0o1777
        if entry.kind != "symlink":
            os.chmod(real, mode)
        if sys.platform == "linux":
            for name, value in entry.xattrs.items():
                _set_attribute(real, name, value)
        if os.utime in os.supports_follow_symlinks:
            os.utime(real, (entry.mtime, entry.mtime), follow_symlinks=False)
        elif entry.kind != "symlink":
            os.utime(real, (entry.mtime, entry.mtime))


def _set_attribute(real: str, name: str, value: bytes) -> None:
    # The file system's own bookkeeping is not a layer's to forge: an overlay would believe it.
    if name.startswith("trusted.") or ".overlay." in name:
        return
    try:
        os.setxattr(real, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _explain(error: OSError, root: str, what: str) -> WherryError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            f"no space left on the disk that holds {root}", hint="Free some (`wherry prune`), and try again."
        )
    return WherryError(f"{what} cannot be unpacked: {(error.strerror or str(error)).lower()}")

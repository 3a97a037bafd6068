"""A tar archive as a build context: unpacked into a directory, of which nothing leads out.

What the archive says of owners is dropped, as contexts belong to root. Names that begin with ``.wh.`` are names like
any other here. An archive is not trusted: nothing is written through a link, whoever put it there.
"""

# Real paths are strings here, as they are cut and joined for every file.
# ruff: noqa: PTH101, PTH102, PTH108, PTH123, PTH211

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, BinaryIO

from wherry.errors import StoreError, WherryError
from wherry.layers.entry import Entry, is_an_images
from wherry.layers.reader import entries
from wherry.store.files import remove_tree

_CHUNK = 1 << 17
_ZEROS = bytes(_CHUNK)
_LATEST = (1 << 63) // 10**9 - 1  # seconds; a later time is no 64 bits of nanoseconds
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP}
_COMPRESSED = (b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


def is_archive(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (512 bytes or more) is a tar archive or a compressed one.

    A Dockerfile is neither. BuildKit tells them apart so too; zstd, which it forgets, is added.
    """
    if head.startswith(_COMPRESSED):
        return True
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def unpack_context(source: Path | BinaryIO, root: Path, what: str) -> None:
    """Unpack ``source`` (tar; plain, gzip, bzip2, xz or zstd) into the new directory ``root``.

    Modes and times are kept. Devices that we may not make are left out. Raises :class:`WherryError`, which calls the
    archive ``what``, if it is damaged or names something outside; :class:`StoreError` for a full disk.
    """
    root.mkdir(mode=0o755)
    unpacking = _Unpacking(os.fspath(root), what)
    path = ""
    try:
        for entry, data in entries(source, what):
            path = entry.path
            unpacking.put(entry, data)
        unpacking.finish()
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"no space left on the disk that holds {root}", hint="Free some (`wherry prune`), and try again."
            ) from error
        raise WherryError(f"{what}: {path} cannot be unpacked: {error.strerror or error}") from error


class _Unpacking:
    """The directory being filled. It was empty, and is ours alone: all that is in it has been put there by us."""

    def __init__(self, root: str, what: str) -> None:
        self._root = root
        self._what = what
        self._kinds: dict[str, str] = {"": "dir"}
        self._directories: dict[str, Entry] = {}

    def put(self, entry: Entry, data: IO[bytes] | None) -> None:
        path = entry.path
        if not path:
            self._directories[""] = entry
            return
        self._parents(path)
        real = f"{self._root}/{path}"
        before = self._kinds.get(path)
        if entry.kind == "dir":
            if before != "dir":
                self._clear(path, before)
                os.mkdir(real, 0o700)
            self._kinds[path] = "dir"
            self._directories[path] = entry
            return
        if entry.kind == "hardlink":
            if entry.link == path:
                return
            if self._kinds.get(entry.link, "dir") == "dir":
                raise WherryError(f"{self._what}: {path} is a hard link to {entry.link}, which is no file before it")
            self._parents(entry.link)
        self._clear(path, before)
        if entry.kind == "hardlink":
            os.link(f"{self._root}/{entry.link}", real, follow_symlinks=False)
            self._kinds[path] = self._kinds[entry.link]
            return
        if entry.kind == "file":
            self._write(real, entry, data)
        elif entry.kind == "symlink":
            os.symlink(entry.link, real)
        elif not _make_node(real, entry):
            return
        self._kinds[path] = entry.kind
        _dress(real, entry)

    def finish(self) -> None:
        """Give directories their modes and times, which what is written into them would change: innermost first."""
        for path in sorted(self._directories, reverse=True):
            _dress(f"{self._root}/{path}", self._directories[path])

    def _parents(self, path: str) -> None:
        """Make the directories above ``path`` that are missing; a link among them is an error."""
        missing = []
        above = path.rpartition("/")[0]
        while (kind := self._kinds.get(above)) is None:
            missing.append(above)
            above = above.rpartition("/")[0]
        if kind != "dir":
            raise WherryError(
                f"{self._what}: {path} lies below {above}, which is a {kind}",
                hint="Files below links are not unpacked. Make the archive of the directory itself.",
            )
        for folder in reversed(missing):
            os.mkdir(f"{self._root}/{folder}", 0o755)
            self._kinds[folder] = "dir"

    def _clear(self, path: str, kind: str | None) -> None:
        """Remove what an earlier entry of the archive has put at ``path``."""
        if kind is None:
            return
        real = f"{self._root}/{path}"
        if kind != "dir":
            os.unlink(real)
            return
        remove_tree(Path(real))
        below = path + "/"
        for known in [one for one in self._kinds if one.startswith(below)]:
            del self._kinds[known]
            self._directories.pop(known, None)
        self._directories.pop(path, None)

    def _write(self, real: str, entry: Entry, data: IO[bytes] | None) -> None:
        size = 0
        with open(real, "xb", buffering=0) as file:
            while data is not None and (chunk := data.read(_CHUNK)):
                size += len(chunk)
                if chunk == _ZEROS:  # a hole: an archive of a few bytes may claim any number of them
                    file.seek(_CHUNK, os.SEEK_CUR)
                    continue
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
            file.truncate(size)
        if size != entry.size:
            raise WherryError(f"{self._what}: {entry.path}: {size} bytes where {entry.size} were announced")


def _make_node(real: str, entry: Entry) -> bool:
    """Make a pipe or a device; False if it may not be."""
    kind = {"fifo": stat.S_IFIFO, "char": stat.S_IFCHR, "block": stat.S_IFBLK}[entry.kind]
    try:
        os.mknod(real, kind | 0o600, os.makedev(entry.major, entry.minor) if entry.kind != "fifo" else 0)
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
    return True


def _dress(real: str, entry: Entry) -> None:
    if entry.kind != "symlink":
        os.chmod(real, entry.mode)
    for name, value in entry.xattrs.items():
        if is_an_images(name):
            try:
                os.setxattr(real, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _REFUSED:
                    raise
    time = entry.mtime if 0 <= entry.mtime <= _LATEST else 0  # as in Docker
    os.utime(real, (time, time), follow_symlinks=False)

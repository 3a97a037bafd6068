"""What a command changed in a root filesystem, as the entries of a layer (OCI image-spec, layer.md: "Change Types").

Two ways to know: an overlay's upper directory holds just the changes (:func:`upper`); a plain directory is compared
with what it was before (:func:`seen`, :func:`differences`). Nothing may be running in the directory, which is
nevertheless what a hostile command has left: no link in it is ever followed.
"""

# Real paths are strings here, as they are cut and joined for every file.
# ruff: noqa: PTH115

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from wherry.errors import WherryError
from wherry.layers.entry import OPAQUE, WHITEOUT, Entry, Kind, parents
from wherry.layers.records import Row, entry_of

_PIECE = 1 << 18
_OPAQUE_ATTRIBUTES = (("trusted.overlay.opaque", b"y"), ("user.overlay.opaque", b"y"))
_BOOKKEEPING = ("trusted.overlay.", "user.overlay.")
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}

Seen = tuple[int, int, int, int, int, int, int]
"""What tells whether something at a path is still the same: inode, mode, owner, group, size, times of change."""


Attributes = tuple[tuple[str, bytes], ...]
"""Extended attributes, sorted by their names."""


class Change(NamedTuple):
    """An entry of a layer as plain values, and where its data is: the real path of a regular file, else empty."""

    row: Row
    path: str = ""

    @property
    def entry(self) -> Entry:
        """What a layer holds of it."""
        return entry_of(self.row)

    def read(self) -> Iterable[bytes]:
        """A file's content in pieces. Raises :class:`WherryError` if it cannot be read."""
        size = self.row[3]
        if size > _PIECE:
            return self._pieces()
        handle = self._open()
        try:
            return (os.read(handle, size + 1),)  # one more than there should be: who writes it counts
        finally:
            os.close(handle)

    def _pieces(self) -> Iterator[bytes]:
        handle = self._open()
        try:
            while piece := os.read(handle, _PIECE):
                yield piece
        finally:
            os.close(handle)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise WherryError(f"cannot read /{self.row[0]} of the stage: {error.strerror}") from error


def upper(folder: str) -> Iterator[Change]:
    """What an overlay's upper directory holds, sorted, parents first; whiteouts as layers have them.

    The directory itself is left out. Sockets, which no layer can hold, are passed over.
    """
    links: dict[int, str] = {}
    for path, item, status in _walk(folder):
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            yield _marker(_whiteout(path), int(status.st_mtime))
            continue
        attributes = _attributes(item)
        change = _change(path, item, status, attributes, links)
        if change is None:
            continue
        yield change
        if attributes and stat.S_ISDIR(status.st_mode) and any(item in _OPAQUE_ATTRIBUTES for item in attributes):
            yield _marker(f"{path}/{OPAQUE}", int(status.st_mtime))


def seen(folder: str) -> dict[str, Seen]:
    """What a directory holds now, by path, to be compared with later."""
    return {path: _seen(status) for path, _, status in _walk(folder)}


def differences(folder: str, before: Mapping[str, Seen], lent: Collection[str] = ()) -> Iterator[Change]:
    """What has changed in a directory since it was :func:`seen`, sorted, parents first.

    ``lent`` are paths where the command was shown something else for a while: there a moved file is no change.
    """
    links: dict[int, str] = {}
    changed: dict[str, Change] = {}
    there: set[str] = set()
    for path, item, status in _walk(folder):
        there.add(path)
        was = before.get(path)
        # Names of one file go together: a new link to an old file changes that file's time, and so all of them.
        now = _seen(status)
        if was == now or (path in lent and was is not None and was[:-1] == now[:-1]):
            continue
        change = _change(path, item, status, _attributes(item), links)
        if change is not None:
            changed[path] = change
    gone = [path for path in before if path not in there]
    hidden = {path for path in gone if path.rpartition("/")[0] in there or "/" not in path}
    for path in hidden:
        whiteout = _whiteout(path)
        changed[whiteout] = _marker(whiteout)
    for path in list(changed):
        for folder_path in parents(path):
            if folder_path not in changed:
                real = f"{folder}/{folder_path}"
                found = _change(folder_path, real, os.lstat(real), _attributes(real), links)
                assert found is not None
                changed[folder_path] = found
    yield from (changed[path] for path in sorted(changed, key=lambda path: path.split("/")))


def _walk(folder: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """All below ``folder`` but itself: path, real path and status; each directory before what is in it, sorted."""
    waiting: list[tuple[str, str, os.stat_result]] = _listing(folder, "")
    while waiting:
        path, real, status = waiting.pop()
        yield path, real, status
        if stat.S_ISDIR(status.st_mode):
            waiting += _listing(real, path + "/")


def _listing(folder: str, prefix: str) -> list[tuple[str, str, os.stat_result]]:
    handle = os.open(folder, _FOLDER)  # as long as it is open, what is in it is found sooner
    try:
        with os.scandir(handle) as items:
            found = [(prefix + item.name, f"{folder}/{item.name}", item.stat(follow_symlinks=False)) for item in items]
    finally:
        os.close(handle)
    found.sort(reverse=True)
    return found


def _whiteout(path: str) -> str:
    above, _, name = path.rpartition("/")
    return f"{above}/{WHITEOUT}{name}" if above else WHITEOUT + name


def _marker(path: str, mtime: int = 0) -> Change:
    """An empty file that means something by its name."""
    return Change((path, "file", 0o644, 0, 0, 0, mtime, "", 0, 0, (), ""))


def _change(
    path: str, real: str, status: os.stat_result, attributes: Attributes, links: dict[int, str]
) -> Change | None:
    mode = status.st_mode
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is None:
        return None
    mode, mtime = stat.S_IMODE(mode), int(status.st_mtime)
    link, size, major, minor = "", 0, 0, 0
    if kind == "symlink":
        link = os.readlink(real)
    elif kind in {"char", "block"}:
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind != "dir" and status.st_nlink > 1:
        first = links.setdefault(status.st_ino, path)
        if first != path:
            return Change((path, "hardlink", mode, 0, 0, 0, mtime, first, 0, 0, (), ""))
    if kind == "file":
        size = status.st_size
    if attributes:
        attributes = tuple(item for item in attributes if not item[0].startswith(_BOOKKEEPING))
    row: Row = (path, kind, mode, size, status.st_uid, status.st_gid, mtime, link, major, minor, attributes, "")
    return Change(row, real if kind == "file" else "")


def _attributes(real: str) -> Attributes:
    try:
        names = os.listxattr(real, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ()
        raise
    found: dict[str, bytes] = {}
    for name in names:
        if name.startswith(("system.", "security.selinux", "security.apparmor")):
            continue  # the host's policy, or an ACL in the kernel's own form, which layers do not hold
        with suppress(OSError):
            found[name] = os.getxattr(real, name, follow_symlinks=False)
    return tuple(sorted(found.items()))


def _seen(status: os.stat_result) -> Seen:
    ctime = 0 if stat.S_ISDIR(status.st_mode) else status.st_ctime_ns
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, ctime

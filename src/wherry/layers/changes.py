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
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from wherry.errors import WherryError
from wherry.layers.entry import Entry, Kind, parents

_PIECE = 1 << 18
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_OPAQUE_ATTRIBUTES = ("trusted.overlay.opaque", "user.overlay.opaque")
_BOOKKEEPING = ("trusted.overlay.", "user.overlay.")
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES}
_NOTHING: Mapping[str, bytes] = {}
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


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of a layer, and where its data is: the real path of a regular file, else empty."""

    entry: Entry
    path: str = ""

    def read(self) -> Iterator[bytes]:
        """A file's content in pieces. Raises :class:`WherryError` if it is not what it was."""
        size = self.entry.size
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise WherryError(f"cannot read /{self.entry.path} of the stage: {error.strerror}") from error
        try:
            while size > 0 and (piece := os.read(handle, min(size, _PIECE))):
                size -= len(piece)
                yield piece
        finally:
            os.close(handle)


def upper(folder: str) -> Iterator[Change]:
    """What an overlay's upper directory holds, sorted, parents first; whiteouts as layers have them.

    The directory itself is left out. Sockets, which no layer can hold, are passed over.
    """
    links: dict[int, str] = {}
    for path, item, status in _walk(folder):
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            above, _, name = path.rpartition("/")
            hidden = f"{above}/{_WHITEOUT}{name}" if above else _WHITEOUT + name
            yield Change(Entry(hidden, "file", 0o644, mtime=int(status.st_mtime)))
            continue
        attributes = _attributes(item)
        change = _change(path, item, status, attributes, links)
        if change is None:
            continue
        yield change
        if stat.S_ISDIR(status.st_mode) and any(attributes.get(name) == b"y" for name in _OPAQUE_ATTRIBUTES):
            yield Change(Entry(f"{path}/{_OPAQUE}", "file", 0o644, mtime=int(status.st_mtime)))


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
        above, _, name = path.rpartition("/")
        whiteout = f"{above}/{_WHITEOUT}{name}" if above else _WHITEOUT + name
        changed[whiteout] = Change(Entry(whiteout, "file", 0o644))
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
    with os.scandir(folder) as items:
        found = [(prefix + item.name, item.path, item.stat(follow_symlinks=False)) for item in items]
    found.sort(reverse=True)
    return found


def _change(
    path: str, real: str, status: os.stat_result, attributes: Mapping[str, bytes], links: dict[int, str]
) -> Change | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    link, size, major, minor = "", 0, 0, 0
    if kind == "symlink":
        link = os.readlink(real)
    elif kind in {"char", "block"}:
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind != "dir" and status.st_nlink > 1:
        first = links.setdefault(status.st_ino, path)
        if first != path:
            return Change(Entry(path, "hardlink", stat.S_IMODE(status.st_mode), link=first, mtime=int(status.st_mtime)))
    if kind == "file":
        size = status.st_size
    if attributes:
        attributes = {name: value for name, value in attributes.items() if not name.startswith(_BOOKKEEPING)}
    entry = Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        size,
        status.st_uid,
        status.st_gid,
        int(status.st_mtime),
        link,
        major,
        minor,
        attributes,
    )
    return Change(entry, real if kind == "file" else "")


def _attributes(real: str) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        names = os.listxattr(real, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return _NOTHING
        raise
    for name in names:
        if name.startswith(("system.", "security.selinux", "security.apparmor")):
            continue  # the host's policy, or an ACL in the kernel's own form, which layers do not hold
        with suppress(OSError):
            found[name] = os.getxattr(real, name, follow_symlinks=False)
    return found or _NOTHING


def _seen(status: os.stat_result) -> Seen:
    ctime = 0 if stat.S_ISDIR(status.st_mode) else status.st_ctime_ns
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, ctime

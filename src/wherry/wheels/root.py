"""A root filesystem that something was compiled in, read from outside: nothing of it may lead to this machine's files.

It is given as the directories of an overlay, which hide each other's files as overlays do (Linux,
Documentation/filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_MOST_LINKS = 40  # as Linux follows
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


class Root:
    """The root filesystem that ``folders``, the topmost first, make together. Paths in it are relative, with ``/``."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [os.fspath(folder) for folder in folders]

    def resolve(self, path: str) -> str | None:
        """The path that ``path`` leads to, links followed within the root; None if there is nothing."""
        done: list[str] = []
        stacks = [self._folders]  # for each of ``done`` and the root: the host's directories, the topmost first
        rest = path.split("/")[::-1]
        links = 0
        while rest:
            part = rest.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done, stacks = done[:-1], stacks[:1] + stacks[1:-1]
                continue
            found = _look(stacks[-1], part)
            if not found:
                return None
            if not stat.S_ISLNK(os.lstat(found[0]).st_mode):
                done, stacks = [*done, part], [*stacks, found]
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            target = os.fspath(Path(found[0]).readlink())
            if target.startswith("/"):
                done, stacks = [], stacks[:1]
            rest += target.split("/")[::-1]
        return "/".join(done)

    def names(self, folder: str) -> list[str]:
        """The names of all that is in the folder that ``folder`` leads to, sorted; none if it is no folder."""
        stack = self._stack(folder)
        names: set[str] = set()
        for place in stack:
            with suppress(NotADirectoryError):
                names.update(item.name for item in os.scandir(place))
        return sorted(name for name in names if _look(stack, name))

    def open(self, path: str) -> BinaryIO | None:
        """The regular file that ``path`` leads to, open for reading; None if there is none."""
        stack = self._stack(path)
        if not stack or not stat.S_ISREG(os.lstat(stack[0]).st_mode):
            return None
        return open(os.open(stack[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")  # noqa: PTH123

    def read(self, path: str, most: int) -> bytes:
        """The bytes of the regular file that ``path`` leads to, at most so many; empty if there is none."""
        file = self.open(path)
        if file is None:
            return b""
        with file:
            return file.read(most)

    def _stack(self, path: str) -> list[str]:
        """The host's paths of what ``path`` leads to: one of a file, several of a folder; none if there is nothing."""
        real = self.resolve(path)
        if real is None:
            return []
        stack = self._folders
        for part in real.split("/") if real else ():
            stack = _look(stack, part)
        return stack


def _look(stack: Sequence[str], name: str) -> list[str]:
    """What ``name`` is in the folder that is made of the host's directories ``stack``: in the same form."""
    found: list[str] = []
    for folder in stack:
        path = f"{folder}/{name}"
        try:
            status = os.lstat(path)
        except NotADirectoryError:
            break
        except OSError:  # nothing there, or no name that could be
            continue
        is_whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
        if is_whiteout or (found and not stat.S_ISDIR(status.st_mode)):
            break
        found.append(path)
        if not stat.S_ISDIR(status.st_mode) or _is_opaque(path):
            break
    return found


def _is_opaque(path: str) -> bool:
    for name in _OPAQUE:
        with suppress(OSError):
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
    return False

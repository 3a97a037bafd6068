"""Users as an image knows them: its own /etc/passwd and /etc/group, never the host's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.sandbox.child import open_inside

_HIGHEST = 2**31 - 1
_HINT = "Names are looked up in its /etc/{}; a number works always."
_MOST = 1 << 20  # bytes of a passwd or group file; no honest one is longer


@dataclass(frozen=True, slots=True)
class User:
    """Who a command runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_user(root: Path, text: str) -> User:
    """The user that ``text`` (``user[:group]``, each a name or a number; empty: 0) means in ``root``, as Docker has it.

    A number need not be in passwd. Supplementary groups are the image's, unless a group is given.
    Raises :class:`UsageError` if a name is unknown.
    """
    name, _, group = text.partition(":")
    name = name or "0"
    groups = list(_lines(root, "/etc/group", 4))
    entry = next((line for line in _lines(root, "/etc/passwd", 7) if name in (line[0], line[2])), None)
    if entry is not None:
        uid, gid, home, login = _number(entry[2]), _number(entry[3]), entry[5] or "/", entry[0]
    else:
        uid, gid, home, login = _number(name), 0, "/", ""
    if uid is None or gid is None:
        raise UsageError(
            f"the image has no user {name!r}", hint="Names are looked up in its /etc/passwd; a number works always."
        )
    if not group:
        member = [_number(line[2]) for line in groups if login and login in line[3].split(",")]
        return User(uid, gid, tuple(sorted({one for one in member if one is not None})), home)
    found = next((line[2] for line in groups if group in (line[0], line[2])), group)
    number = _number(found)
    if number is None:
        raise UsageError(
            f"the image has no group {group!r}", hint="Names are looked up in its /etc/group; a number works always."
        )
    return User(uid, number, (), home)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _HIGHEST else None


def _lines(root: Path, path: str, fields: int) -> Iterator[list[str]]:
    for line in _read(root, path).splitlines():
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts


def _read(root: Path, path: str) -> str:
    """The text of a file in ``root``; nothing if there is no such regular file."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        found = open_inside(top, path)
    except OSError:
        return ""
    finally:
        os.close(top)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return ""
        with Path(f"/proc/self/fd/{found}").open("rb") as file:
            return file.read(_MOST).decode("utf-8", "replace")
    finally:
        os.close(found)

"""Users as an image knows them: its own /etc/passwd and /etc/group, never the host's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.sandbox.view import read_file

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


def find_user(root: Path | Sequence[Path], text: str) -> User:
    """The user that ``text`` (``user[:group]``, each a name or a number; empty: 0) means in ``root``, as Docker has it.

    ``root`` may be several directories, topmost first, that an overlay would lay over each other.
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


def find_id(text: str, name: str) -> tuple[int, int] | None:
    """The number that a passwd or group file of content ``text`` has for ``name``, and (passwd) its group's number."""
    for line in _records(text, 3):
        if line[0] == name and (number := _number(line[2])) is not None:
            return number, (_number(line[3]) or 0) if len(line) > 3 else 0
    return None


def _lines(root: Path | Sequence[Path], path: str, fields: int) -> Iterator[list[str]]:
    data = read_file((root,) if isinstance(root, Path) else root, path, _MOST) or b""
    return _records(data.decode("utf-8", "replace"), fields)


def _records(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts

"""Users as an image knows them: its own /etc/passwd and /etc/group, never the host's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.sandbox.child import open_inside

_HIGHEST = 2**31 - 1
_HINT = "Names are looked up in its /etc/{}; a number works always."
_MOST_LINKS = 40
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
    return _records(_read(root, path), fields)


def _records(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts


def _read(root: Path | Sequence[Path], path: str) -> str:
    """The text of a file in ``root``; nothing if there is no such regular file."""
    try:
        if isinstance(root, Path):
            top, place = root, path
        elif (found := _visible(root, path)) is not None:
            top, place = found
        else:
            return ""
        descriptor = os.open(top, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return ""
    try:
        inside = open_inside(descriptor, place)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    try:
        if not stat.S_ISREG(os.fstat(inside).st_mode):
            return ""
        with Path(f"/proc/self/fd/{inside}").open("rb") as file:
            return file.read(_MOST).decode("utf-8", "replace")
    finally:
        os.close(inside)


def _visible(lowers: Sequence[Path], path: str) -> tuple[Path, str] | None:
    """Where ``path`` leads in the view that an overlay of ``lowers`` gives: a directory of them, and the path in it."""
    todo = path.split("/")[::-1]
    names: list[str] = []
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del names[-1:]
        elif name not in {"", "."}:
            names.append(name)
            layers = _layers(lowers, names)
            if not layers:
                return None
            item = layers[0].joinpath(*names)
            if item.is_symlink():
                links += 1
                if links > _MOST_LINKS:
                    return None
                names.pop()
                target = str(item.readlink())
                if target.startswith("/"):
                    names.clear()
                todo += target.split("/")[::-1]
    layers = _layers(lowers, names)
    return (layers[0], "/".join(names)) if layers else None


def _layers(lowers: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Those of ``lowers`` in which the real path of ``names`` can be seen: several for a directory."""
    layers = list(lowers)
    for number in range(1, len(names) + 1):
        seen: list[Path] = []
        for layer in layers:
            item = layer.joinpath(*names[:number])
            try:
                status = item.lstat()
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                seen.append(layer)
                if _is_opaque(item):
                    break
                continue
            if not seen and not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):  # a whiteout
                seen.append(layer)
            break
        layers = seen
    return layers


def _is_opaque(folder: Path) -> bool:
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except OSError:
            continue
    return False

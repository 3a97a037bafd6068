"""--chown: users and groups by number, or by name as the stage's own /etc/passwd and /etc/group have them."""

from __future__ import annotations

from collections.abc import Callable

from wherry.layers.source import SourceTree
from wherry.sandbox.users import find_id

Note = Callable[[str], None]

_MOST = 1 << 20  # bytes of a passwd or group file; no honest one is longer


def needs_names(owner: str) -> bool:
    """Whether somebody must be looked up."""
    return any(part and part != "root" and not _is_number(part) for part in owner.split(":", 1))


def find_owner(owner: str, stage: SourceTree, note: Note) -> tuple[int, int] | None:
    """The IDs that ``user[:group]`` means in ``stage``; None if it is empty.

    A user given by number is its own group, one by name has that of /etc/passwd, unless there is a group. As in
    BuildKit a user that nobody knows is root, and a group that nobody knows is the user's; ``note`` is told.
    """
    if not owner:
        return None
    user, _, group = owner.partition(":")
    uid, gid = _named(stage, "passwd", user, note) or (0, 0) if user else (0, 0)
    if group:
        found = _named(stage, "group", group, note)
        gid = found[0] if found else gid
    return uid, gid


def _named(stage: SourceTree, file: str, name: str, note: Note) -> tuple[int, int] | None:
    """The number of a user or group, and that of the user's group."""
    if name == "root":
        return 0, 0
    if _is_number(name):
        return int(name), int(name)
    found = find_id(_text(stage, f"etc/{file}"), name)
    if found is None:
        kind, instead = ("user", "root's") if file == "passwd" else ("group", "of the user's own group")
        note(f"the image has no {kind} {name!r} in /etc/{file}: files become {instead}, as with Docker")
    return found


def _text(stage: SourceTree, path: str) -> str:
    place = stage.tree.locate(path, stop_at_files=True)
    if place.node is None or place.node.content.kind != "file":
        return ""
    with stage.open((place.node.content, place.path)) as file:
        return file.read(_MOST).decode("utf-8", "replace")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

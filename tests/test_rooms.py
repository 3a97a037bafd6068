"""The rooms of the house: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "wherry"

FLOORS = (
    {"children", "errors", "events", "giturl", "image", "lockfile", "pins", "plan", "target", "urls", "version"},
    {"store"},
    {"fetch", "layers"},
    {"registry"},
    {"debian", "sandbox", "wheels"},
    {"sources"},
    {"sinks", "solve"},
    {"frontends", "running", "sharing"},
    {"planning"},
    {"opening"},
    {"api", "distribution", "locking"},
    {"__init__"},
    {"cli"},
    {"__main__"},
)
"""From the ground up; a room imports from floors below its own, on the ground floor also from its neighbours."""


def room(path: Path) -> str:
    """The room that the file at ``path`` lies in."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported(path: Path) -> Iterator[str]:
    """The rooms that a file imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "wherry":
                known = len(parts) > 1 and any(parts[1] in rooms for rooms in FLOORS)
                yield parts[1] if known else "__init__"


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_file_is_in_a_room_that_has_a_floor() -> None:
    rooms = set.union(*FLOORS)
    assert {room(path) for path in FILES} <= rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path: Path) -> None:
    here = room(path)
    lowest = floor(here) == 0
    for name in imported(path):
        below = floor(name) < floor(here) or (lowest and floor(name) == 0)
        # The public API's names are looked up in __init__ by those above it, and found lazily.
        assert name == here or below or here == "__init__", f"{here} imports from {name}"

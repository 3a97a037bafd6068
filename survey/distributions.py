"""The distributions that are tried: distributions.toml, read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).parent / "distributions.toml"


@dataclass(frozen=True)
class Sdist:
    """What it takes to build a distribution from source: Debian packages, and variables for the build."""

    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Distribution:
    """One distribution: its name, its rank among all, and what an image that has it must be able to do.

    ``imports`` are modules, or ``pure`` if its wheel is one for any platform; ``command`` is a program with its
    arguments; ``more`` are further requirements. ``sdist`` is None where it is not tried from source; ``note`` tells
    why something does not work.
    """

    name: str
    rank: int
    imports: tuple[str, ...]
    pure: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    sdist: Sdist | None = None
    note: str = ""


def distributions() -> tuple[Distribution, ...]:
    """All of them, the most downloaded first."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))["distribution"]
    return tuple(sorted(map(_distribution, tables), key=lambda one: one.rank))


def _distribution(table: Mapping[str, object]) -> Distribution:
    name, rank, sdist = table["name"], table["rank"], table.get("sdist")
    assert isinstance(name, str)
    assert isinstance(rank, int)
    return Distribution(
        name,
        rank,
        _texts(table["imports"]),
        _texts(table.get("pure", [])),
        _texts(table.get("with", [])),
        _texts(table.get("command", [])),
        _sdist(sdist) if isinstance(sdist, dict) else None,
        str(table.get("note", "")),
    )


def _sdist(table: Mapping[str, object]) -> Sdist:
    environment = table.get("build-env", {})
    assert isinstance(environment, dict)
    return Sdist(_texts(table.get("build-packages", [])), {str(name): str(text) for name, text in environment.items()})


def _texts(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(map(str, value))

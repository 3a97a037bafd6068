"""The cases, by theme: each module has a tuple ``CASES``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.differential.case import Case


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case with the name of its module."""
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = import_module(f"tests.differential.cases.{path.stem}")
        for case in module.CASES:
            yield path.stem.rstrip("_"), case

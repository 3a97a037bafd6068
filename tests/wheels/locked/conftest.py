"""Lock files that the tools themselves wrote, and what to read them for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.image.platform import Platform
from wherry.target import Interpreter, Libc, Target
from wherry.wheels.locked.pins import Environment, Locked
from wherry.wheels.tags import environment

FOLDER = Path(__file__).parent

Names = Callable[[Locked], list[str]]


@pytest.fixture
def text() -> Callable[[str], str]:
    """The text of a file beside this one."""
    return lambda name: (FOLDER / name).read_text(encoding="utf-8")


@pytest.fixture
def linux() -> Callable[[str], Environment]:
    """The marker environment of Linux with a version of Python."""

    def make(python: str = "3.13.5", architecture: str = "amd64") -> Environment:
        platform = Platform("linux", architecture)
        return environment(Target(platform, Libc("glibc", 2, 41), Interpreter(python, "/usr/bin/python3")))

    return make


@pytest.fixture
def names() -> Names:
    """The names of a lock's pins."""
    return lambda locked: sorted(pin.name for pin in locked.pins)

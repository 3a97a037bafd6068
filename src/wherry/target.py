"""What a distribution must run on: a platform, a C library and a Python, as they are in a base image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherry.image.platform import Platform


@dataclass(frozen=True, slots=True)
class Libc:
    """The C library's family and version, such as glibc 2.41 or musl 1.2."""

    family: Literal["glibc", "musl"]
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.family} {self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython in an image: its full version, and its executable's path there."""

    version: str
    executable: str

    @property
    def minor(self) -> str:
        """The feature version, such as ``3.13``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True)
class Target:
    """Everything that decides which wheel fits."""

    platform: Platform
    libc: Libc
    interpreter: Interpreter

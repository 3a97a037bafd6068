"""What is built for, and how `wherry build` is told."""

from __future__ import annotations

from dataclasses import dataclass

MUSL_BASE = "survey-musl"
"""The image with musl and Python: made of the root filesystem that the tests have too."""


@dataclass(frozen=True)
class Target:
    """A target: ``options`` are for `wherry build`; ``runs`` tells whether this machine can run its images."""

    name: str
    title: str
    options: tuple[str, ...] = ()
    runs: bool = True
    source: bool = False


TARGETS = (
    Target("glibc-amd64", "glibc, amd64"),
    Target("musl-amd64", "musl, amd64", ("--base", MUSL_BASE)),
    Target("glibc-arm64", "glibc, arm64", ("--platform", "linux/arm64"), runs=False),
    Target("sdist", "from source", source=True),
)
"""All of them, as the table has them."""

"""Which base the image stands on."""

from __future__ import annotations

import re

from wherry.frontends.python.config import Config
from wherry.frontends.python.options import ProjectOptions
from wherry.plan import Fact

_SUITES = {"3.13": "trixie", "3.11": "bookworm"}  # the Python that each Debian release has; the default first


def find(settings: Config, options: ProjectOptions, python: str) -> Fact:
    """The base, and why: what was chosen, else the Debian release whose Python is the one wanted."""
    if options.base:
        return Fact("base", options.base, "--base")
    if settings.base:
        return Fact("base", settings.base, settings.source)
    for minor, suite in _SUITES.items():
        if fits(python, minor):
            default = minor == next(iter(_SUITES))
            return Fact("base", f"debian://{suite}", "the default" if default else f"its Python is {minor}")
    return Fact("base", "debian://trixie", "the default")


def fits(python: str, minor: str) -> bool:
    """Whether some release of Python ``minor`` is what ``python`` (a version, a specifier set or empty) asks for."""
    if not python or python == minor or python.startswith(f"{minor}."):
        return True
    if re.match(r"\d", python):
        return python == minor.partition(".")[0]
    floor = re.fullmatch(r">=\s*3\.(\d+)", python)  # nearly all of them, without importing packaging
    if floor:
        return int(minor.partition(".")[2]) >= int(floor[1])
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(python)
    except InvalidSpecifier:
        return False
    return any(wanted.contains(f"{minor}.{patch}") for patch in range(100))


def has_shell(base: str) -> bool:
    """Whether the base can be expected to have /bin/sh: assembled ones have it if asked, others as a rule."""
    if base.startswith("debian://"):
        query = base.partition("?")[2].lower().split("&")
        return any(part in {"shell=1", "shell=true", "shell=yes"} for part in query)
    return base != "scratch"

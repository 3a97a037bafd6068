"""Which Python a Debian base gets, and where its standard library lies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wherry.debian.archive import SUITES
from wherry.debian.index import Universe
from wherry.debian.package import upstream
from wherry.errors import UsageError, WherryError
from wherry.image.image import Image
from wherry.layers.reader import entries
from wherry.store import Store

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_MODULE = re.compile(r"usr/lib/python3\.\d+/.+\.py")


def choose_python(wanted: str, universe: Universe, suite: str) -> tuple[str, str]:
    """The minor and the full version (``3.13``, ``3.13.5``) of the archive's Python that ``wanted`` means.

    ``wanted`` is a version (of which a prefix is enough), a specifier set, or empty for the archive's own choice,
    which is also preferred among several that fit. Raises :class:`UsageError` if none does.
    """
    from packaging.version import Version

    found = sorted(_pythons(universe), key=Version, reverse=True)
    if not found:
        raise WherryError(f"Debian {suite} has no Python 3")
    default = _default(universe)
    accepted = specifier(wanted)
    fitting = [version for version in found if accepted.contains(version, prereleases=True)]
    if not fitting:
        raise UsageError(
            f"Debian {suite} has no Python {wanted}: it has {', '.join(sorted(found, key=Version))}",
            hint=_advice(accepted, suite),
        )
    own = [version for version in fitting if _minor(version) == default]
    stable = [version for version in fitting if not Version(version).is_prerelease]
    chosen = next(iter([*own, *stable, *fitting]))
    return _minor(chosen), chosen


def specifier(wanted: str) -> SpecifierSet:
    """``3.13``, ``==3.13.*`` or ``>=3.11,<4`` as a specifier set. Raises :class:`UsageError` if it is neither."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = wanted.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        text = f"=={text}.*"
    elif re.fullmatch(r"\d[\w.]*", text):
        text = f"=={text}"
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise UsageError(
            f"{wanted!r} is not a Python version", hint="Write it as 3.13, or as a specifier set such as >=3.11,<3.14."
        ) from None


def stdlib_sources(image: Image, store: Store) -> Iterator[tuple[str, bytes]]:
    """The modules of the standard library in a Debian base: path in the image (no leading ``/``) and source.

    Debian's packages hold no bytecode (their scripts make it). What they say of ``__pycache__`` is left out, so a
    layer of compiled modules may be put on top. Raises :class:`WherryError` if a layer is damaged.
    """
    from wherry.debian.content import placed

    for layer in image.layers:
        for entry, reader in entries(store.blobs.file(layer.descriptor.digest), f"layer {layer.descriptor.digest}"):
            path = placed(entry.path)
            if reader and _MODULE.fullmatch(path):
                yield path, reader.read()


def _pythons(universe: Universe) -> Iterator[str]:
    """The full versions of all Pythons of which the archive has interpreter and standard library."""
    for name in universe.names(r"python3\.\d+-minimal"):
        package = universe.candidate(name)
        if package and universe.candidate(f"lib{name.removesuffix('-minimal')}-stdlib"):
            version = re.match(r"\d+\.\d+(\.\d+)?((~?)(a|b|rc)\d+)?", upstream(package.version))
            if version:
                yield version[0].replace("~", "")


def _default(universe: Universe) -> str:
    """The version that the package ``python3`` stands for."""
    package = universe.candidate("python3")
    names = [relation.name for group in package.depends for relation in group] if package else []
    return next((name.removeprefix("python") for name in names if re.fullmatch(r"python3\.\d+", name)), "")


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _advice(accepted: SpecifierSet, suite: str) -> str:
    others = [
        f"debian://{name} has {python}"
        for name, python in SUITES.items()
        if python and name != suite and any(accepted.contains(f"{python}.{patch}") for patch in range(30))
    ]
    return (" and ".join(others) if others else "Choose one of these with --python") + "."

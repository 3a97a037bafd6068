"""Packages files: tens of megabytes of which a hundredth matters, so nothing is parsed before it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cmp_to_key
from pathlib import Path

from wherry.debian.package import Package, Relation, compare, paragraph
from wherry.errors import WherryError, nearest
from wherry.layers.reader import decompressed

# Anchored by what must be there, not by re.M, which tries every line: four times as fast.
_NAME = re.compile(rb"\n\nPackage: ([^\n]+)")
_PROVIDES = re.compile(rb"\nProvides: ([^\n]+)")
_PIECE = 1 << 20


class Index:
    """One Packages file of the archive at ``url``; ``text`` begins with an empty line.

    ``archive`` says which of the suite's it is (main, updates, security).
    """

    def __init__(self, text: bytes | bytearray, url: str, archive: str = "") -> None:
        self._text = text
        self._url = url
        self._archive = archive
        self._places: dict[bytes, list[int]] = {}
        for match in _NAME.finditer(text):
            self._places.setdefault(match[1], []).append(match.start() + 2)
        self._provides: list[tuple[bytes, int]] | None = None

    @classmethod
    def read(cls, path: Path, url: str, what: str, archive: str = "") -> Index:
        """The index in the (compressed) file at ``path``. Raises :class:`WherryError` if it is damaged."""
        text = bytearray(b"\n\n")  # grown in place: a join would need the memory twice
        try:
            with decompressed(path) as stream:
                while piece := stream.read(_PIECE):
                    text += piece
        except Exception as error:  # each codec has its own
            raise WherryError(f"{what} cannot be read: {error}") from error
        return cls(text, url, archive)

    def __iter__(self) -> Iterator[str]:
        return (name.decode("utf-8", "replace") for name in self._places)

    def get(self, name: str) -> list[Package]:
        """The packages called ``name``."""
        return [self._parse(place) for place in self._places.get(name.encode(), ())]

    def providers(self, name: str) -> list[Package]:
        """The packages whose Provides field names ``name``."""
        if self._provides is None:
            self._provides = [(match[1], match.start()) for match in _PROVIDES.finditer(self._text)]
        wanted = name.encode()
        starts = [self._text.rfind(b"\n\n", 0, place) for value, place in self._provides if wanted in value]
        found = [self._parse(start + 2) for start in starts]
        return [package for package in found if any(given.name == name for given in package.provides)]

    def _parse(self, place: int) -> Package:
        end = self._text.find(b"\n\n", place)
        stanza = paragraph(bytes(self._text[place : end if end >= 0 else None]))
        return Package.parse(stanza, self._url, self._archive)


class Universe:
    """All that can be installed: several indexes as one, of each name the newest version."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        self._indexes = indexes
        self._candidates: dict[str, Package | None] = {}

    def candidate(self, name: str) -> Package | None:
        """The newest package called ``name``."""
        if name not in self._candidates:
            found = [package for index in self._indexes for package in index.get(name)]
            self._candidates[name] = max(found, key=_by_version, default=None)
        return self._candidates[name]

    def matching(self, relation: Relation) -> Iterator[Package]:
        """The packages that are, or provide, what ``relation`` asks for, the preferred first."""
        own = self.candidate(relation.name)
        if own and own.satisfies(relation):
            yield own
        names = {package.name for index in self._indexes for package in index.providers(relation.name)}
        others = [self.candidate(name) for name in names - {relation.name}]
        fit = [package for package in others if package and package.satisfies(relation)]
        yield from sorted(fit, key=lambda package: package.rank)

    def names(self, pattern: str) -> list[str]:
        """The names that ``pattern`` (a regular expression) matches in full."""
        matches = re.compile(pattern).fullmatch
        return sorted({name for index in self._indexes for name in index if matches(name)})

    def nearest(self, name: str) -> str | None:
        """The package that ``name`` was probably meant to be."""
        alike = (known for known in _all(self._indexes) if known[0] == name[0] and abs(len(known) - len(name)) <= 3)
        return nearest(name, sorted(alike))


def _all(indexes: Iterable[Index]) -> set[str]:
    return {name for index in indexes for name in index}


def _order(one: Package, other: Package) -> int:
    return compare(one.version, other.version)


_by_version = cmp_to_key(_order)

"""Binary packages as an index describes them, and the relations between them (Debian Policy, chapter 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from wherry.errors import WherryError
from wherry.fetch import Download

_RELATION = re.compile(r"\s*([a-zA-Z0-9.+_-]+)(?::([a-zA-Z0-9-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?")
_PLAIN = "/+~:=@,!"  # in a file's name; an epoch is often written %3a there, whose % is one
_PRIORITIES = ("required", "important", "standard", "optional", "extra")


@dataclass(frozen=True, slots=True)
class Relation:
    """A package's name, and the versions that will do: ``operator`` is empty where all will."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def admits(self, version: str) -> bool:
        """Whether ``version`` will do."""
        if not self.operator:
            return True
        order = compare(version, self.version)
        match self.operator:
            case "<<":
                return order < 0
            case "<=" | "<":
                return order <= 0
            case "=":
                return order == 0
            case ">=" | ">":
                return order >= 0
            case _:
                return order > 0


Alternatives = tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """A binary package: what it is, what it needs, and where its file is.

    ``depends`` includes Pre-Depends; ``conflicts`` includes Breaks. ``size`` is the .deb's, in bytes. ``archive`` says
    which of the suite's archives has it (main, updates, security), ``elsewhere`` where else its file may be.
    """

    name: str
    version: str
    architecture: str = ""
    depends: tuple[Alternatives, ...] = ()
    provides: tuple[Relation, ...] = ()
    conflicts: tuple[Relation, ...] = ()
    replaces: tuple[Relation, ...] = ()
    priority: str = ""
    url: str = ""
    size: int = 0
    sha256: str = ""
    archive: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def download(self) -> Download:
        """The .deb file."""
        return self.downloads[0]

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The .deb file, from all places that may have it."""
        what = f"{self.name} {self.version}"
        return tuple(Download(url, {"sha256": self.sha256}, self.size, what) for url in (self.url, *self.elsewhere))

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which providers of the same thing are preferred."""
        return (_PRIORITIES.index(self.priority) if self.priority in _PRIORITIES else len(_PRIORITIES)), self.name

    def satisfies(self, relation: Relation) -> bool:
        """Whether this is, or provides, what ``relation`` asks for."""
        if self.name == relation.name and relation.admits(self.version):
            return True
        return any(
            given.name == relation.name
            and (not relation.operator or (bool(given.version) and relation.admits(given.version)))
            for given in self.provides
        )

    @classmethod
    def parse(cls, stanza: Mapping[str, str], url: str = "", archive: str = "") -> Package:
        """Read the fields of a paragraph of a Packages file (of the archive at ``url``) or of a control file."""
        name, version = stanza.get("Package", ""), stanza.get("Version", "")
        if not name or not version:
            raise WherryError(f"a package of {url or 'the archive'} has no name or version")
        return cls(
            name=name,
            version=version,
            architecture=stanza.get("Architecture", ""),
            depends=(*relations(stanza.get("Pre-Depends", "")), *relations(stanza.get("Depends", ""))),
            provides=_each(stanza.get("Provides", "")),
            conflicts=(*_each(stanza.get("Conflicts", "")), *_each(stanza.get("Breaks", ""))),
            replaces=_each(stanza.get("Replaces", "")),
            priority=stanza.get("Priority", ""),
            url=f"{url}/{quote(stanza['Filename'], safe=_PLAIN)}" if "Filename" in stanza else "",
            size=int(stanza["Size"]) if stanza.get("Size", "").isdigit() else 0,
            sha256=stanza.get("SHA256", ""),
            archive=archive,
        )


def relations(text: str) -> tuple[Alternatives, ...]:
    """A relation field: all of the groups are needed, of each group one member.

    Architecture qualifiers are dropped: an index holds the packages of one architecture.
    """
    groups = (tuple(_relation(part) for part in group.split("|")) for group in text.split(",") if group.strip())
    return tuple(groups)


def paragraph(text: str | bytes) -> Mapping[str, str]:
    """One paragraph of a control file: its fields, whose names are found in any case."""
    from debian.deb822 import Deb822

    return Deb822(text)


def compare(one: str, other: str) -> int:
    """Negative, zero or positive as ``one`` is older than, the same as, or newer than ``other`` (Policy, 5.6.12)."""
    from debian.debian_support import version_compare

    try:
        return version_compare(one, other)
    except ValueError as error:
        raise WherryError(f"the archive holds an invalid version: {error}") from error


def upstream(version: str) -> str:
    """A Debian version without epoch and revision: ``3.13.5`` of ``3.13.5-2+deb13u1``."""
    version = version.partition(":")[2] if ":" in version else version
    return version.rpartition("-")[0] if "-" in version else version


def _relation(text: str) -> Relation:
    match = _RELATION.match(text)
    if not match:
        raise WherryError(f"the archive holds an invalid relation: {text.strip()!r}")
    return Relation(match[1], match[3] or "", match[4] or "")


def _each(text: str) -> tuple[Relation, ...]:
    return tuple(group[0] for group in relations(text))

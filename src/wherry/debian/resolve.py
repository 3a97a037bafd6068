"""From wanted packages to all that must be installed, the same for the same archive.

As apt does it: of each name the newest version, of alternatives the first that can be had, what is there already
before what is not. There is no way back from a choice; where that leads into a conflict, the error says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from wherry.debian.index import Universe
from wherry.debian.package import Alternatives, Package, Relation
from wherry.errors import UsageError, WherryError

SCRIPTS_ONLY = frozenset(
    {
        "adduser",
        "cdebconf",
        "debconf",
        "debconf-2.0",
        "dpkg",
        "init-system-helpers",
        "install-info",
        "lsb-base",
        "sysvinit-utils",
        "ucf",
    }
)
"""What others need for their maintainer scripts, which never run here: left out unless asked for by name."""

SCRIPTS_ONLY_OF = {
    "base-files": frozenset({"awk"}),
    "ca-certificates": frozenset({"openssl"}),
}
"""The same for single packages, whose dependency is a real one elsewhere."""


def resolve(wanted: Iterable[str], universe: Universe, installed: Sequence[Package] = ()) -> tuple[Package, ...]:
    """The packages ``wanted`` and all that they need beyond ``installed``, sorted by name.

    Raises :class:`UsageError` for an unknown name, :class:`WherryError` if a dependency cannot be satisfied.
    """
    chosen = _Choice(installed)
    queue: deque[Package] = deque()
    for name in dict.fromkeys(wanted):
        if not chosen.has(Relation(name)):
            package = _named(name, universe)
            chosen.add(package, "it was asked for")
            queue.append(package)
    while queue:
        package = queue.popleft()
        for group in package.depends:
            if _skipped(package, group) or any(chosen.has(relation) for relation in group):
                continue
            found = _pick(package, group, universe, chosen)
            chosen.add(found, f"{package.name} needs it")
            queue.append(found)
    return tuple(sorted(chosen.added, key=lambda package: package.name))


def _skipped(package: Package, group: Alternatives) -> bool:
    names = SCRIPTS_ONLY | SCRIPTS_ONLY_OF.get(package.name, frozenset())
    return all(relation.name in names for relation in group)


def _named(name: str, universe: Universe) -> Package:
    if package := universe.candidate(name):
        return package
    providers = list(universe.matching(Relation(name)))
    if len(providers) == 1:
        return providers[0]
    if providers:
        raise UsageError(
            f"{name} is no Debian package but what several provide",
            hint=f"Choose one of {', '.join(package.name for package in providers)}.",
        )
    near = universe.nearest(name) if name else None
    raise UsageError(
        f"the Debian archive has no package {name!r}",
        hint=f"Did you mean {near!r}?" if near else "Look for its name in the archive (apt-cache search).",
    )


def _pick(package: Package, group: Alternatives, universe: Universe, chosen: _Choice) -> Package:
    """The package to add for ``group``: the first that there is and that conflicts with nothing chosen."""
    refused = []
    for relation in group:
        for found in universe.matching(relation):
            if conflict := chosen.conflict(found):
                refused.append(f"{found.name} {found.version} conflicts with {conflict}")
            else:
                return found
    wanted = " | ".join(map(str, group))
    have = [universe.candidate(relation.name) for relation in group]
    remarks = refused or [f"the archive has {one.name} {one.version}" for one in have if one]
    raise WherryError(
        f"{package.name} {package.version} needs {wanted}, which cannot be had"
        + (f": {'; '.join(remarks)}" if remarks else " from the archive"),
        hint="If the base was made from an older state of the archive, make it anew with --pull. A mirror that is "
        "being updated has such moments: try again later.",
    )


class _Choice:
    """What is installed and what was added to it."""

    def __init__(self, installed: Sequence[Package]) -> None:
        self.added: list[Package] = []
        self._by_name: dict[str, list[Package]] = {}
        self._conflicts: list[tuple[Package, Relation]] = []
        for package in installed:
            self._enter(package)

    def has(self, relation: Relation) -> bool:
        return any(package.satisfies(relation) for package in self._by_name.get(relation.name, ()))

    def add(self, package: Package, why: str) -> None:
        if conflict := self.conflict(package):
            raise WherryError(
                f"{package.name} {package.version} ({why}) conflicts with {conflict}",
                hint="Leave one of the two out.",
            )
        self.added.append(package)
        self._enter(package)

    def conflict(self, package: Package) -> str | None:
        """What of the chosen cannot be together with ``package``. A package never conflicts with itself."""
        for relation in package.conflicts:
            for other in self._by_name.get(relation.name, ()):
                if other.name != package.name and other.satisfies(relation):
                    return f"{other.name} {other.version}"
        for other, relation in self._conflicts:
            if other.name != package.name and package.satisfies(relation):
                return f"{other.name} {other.version}"
        same = [other for other in self._by_name.get(package.name, ()) if other.name == package.name]
        return f"{same[0].name} {same[0].version}, which is there" if same else None

    def _enter(self, package: Package) -> None:
        for name in {package.name, *(given.name for given in package.provides)}:
            self._by_name.setdefault(name, []).append(package)
        self._conflicts += [(package, relation) for relation in package.conflicts]

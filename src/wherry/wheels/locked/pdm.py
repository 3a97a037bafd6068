"""pdm.lock.

With the strategy ``inherit_metadata``, which is the rule, a lock says which groups want a package, and under which
marker. Of one without it the dependencies are followed from pyproject.toml.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import new
from typing import TYPE_CHECKING

from wherry.errors import Place, UsageError
from wherry.wheels.locked.pins import (
    Environment,
    Locked,
    Pinned,
    Tables,
    applies,
    canonical,
    filled,
    hashes,
    listing,
    read_toml,
    table,
    tables,
    text,
)

if TYPE_CHECKING:
    from packaging.requirements import Requirement

FILE = "pdm.lock"
_HINT = "Run `pdm lock`."
_DEFAULT = "default"
_LINUX = ("linux", "manylinux", "musllinux")
_DEFAULT_INDEX = "pypi"  # what pdm calls it in its settings


def check_current(lock: str, pyproject: str) -> None:
    """Raise :class:`UsageError` unless the lock is that of the project, by pdm's own hash."""
    stated = text(table(read_toml(lock, FILE), "metadata"), "content_hash")
    algorithm, _, digits = stated.rpartition(":")
    if digits not in content_hashes(read_toml(pyproject, "pyproject.toml"), algorithm or "sha256"):
        raise UsageError(f"{FILE} does not match pyproject.toml", hint=_HINT)


def content_hashes(project: Mapping[str, object], algorithm: str = "sha256") -> frozenset[str]:
    """The hashes that versions of pdm give the project: only newer ones count [dependency-groups] and all overrides."""
    declared, settings = table(project, "project"), table(project, "tool", "pdm")
    resolution, own = table(settings, "resolution"), table(settings, "dev-dependencies")
    common: dict[str, object] = {
        "sources": settings.get("source", []),
        "dependencies": declared.get("dependencies", []),
        "optional-dependencies": declared.get("optional-dependencies", {}),
        "requires-python": declared.get("requires-python", ""),
    }
    told = [{"resolution": resolution}, {"overrides": table(resolution, "overrides")}]
    contents = [
        {**common, "dev-dependencies": development, **more} for development in (_groups(project), own) for more in told
    ]
    texts = [json.dumps(content, sort_keys=True, default=str) for content in contents]
    try:
        return frozenset(new(algorithm, one.encode()).hexdigest() for one in texts)
    except ValueError:
        return frozenset()


def sources(pyproject: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The indexes that the project names."""
    listed = tables(table(read_toml(pyproject, "pyproject.toml"), "tool", "pdm").get("source"))
    return {text(one, "name"): filled(text(one, "url"), environ, "pyproject.toml") for one in listed if "url" in one}


def pinned(
    lock: str,
    pyproject: str,
    environment: Environment | None,
    *,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Locked:
    """What `pdm sync --prod` would install, with the ``extras`` and ``groups``, in ``environment``.

    Raises :class:`UsageError` for a lock that is broken, or was made without one of the groups.
    """
    values, project = read_toml(lock, FILE), read_toml(pyproject, "pyproject.toml")
    metadata, packages = table(values, "metadata"), tables(values.get("package"))
    version = text(metadata, "lock_version")
    if not re.fullmatch(r"4(\.\d+)*", version):
        problem = f"of version {version}, which is not known" if version else "too old, or broken"
        raise UsageError(f"{FILE} is {problem}", hint=_HINT)
    targets = tables(metadata.get("targets"))
    if environment is not None and targets and not any(_is_for(one, environment) for one in targets):
        python, machine = environment["python_full_version"], environment["platform_machine"]
        hint = "Lock it for this one, too: `pdm lock --append`, with --platform and --python."
        raise UsageError(f"{FILE} is not for Linux on {machine} with Python {python}", hint=hint)
    wanted = (_DEFAULT, *map(canonical, (*extras, *groups)))
    known = {canonical(str(name)) for name in listing(metadata.get("groups"))}
    if missing := [name for name in wanted if name not in known and known]:
        hint = f"Run `pdm lock -G {missing[0]}`; it has: {', '.join(sorted(known))}."
        raise UsageError(f"{FILE} was made without the group {missing[0]!r}", hint=hint)
    if packages and all("groups" in one for one in packages):
        chosen = [
            one
            for one in packages
            if any(canonical(str(name)) in wanted for name in listing(one.get("groups")))
            and applies(text(one, "marker"), environment)
        ]
    else:
        chosen = _followed(packages, _roots(project, wanted), environment)
    indexes = _Indexes(tables(table(project, "tool", "pdm").get("source")), environ)
    found: dict[tuple[str, str], Pinned] = {}
    for one in chosen:  # a package stands there once more for each set of its extras
        pin = _pin(one, indexes)
        found.setdefault((pin.name, pin.version), pin)
    return Locked(tuple(found.values()), text(table(project, "project"), "requires-python"))


def _is_for(target: Mapping[str, object], environment: Environment) -> bool:
    """Whether one of the targets of a lock, which may leave open anything, is that of the environment."""
    from packaging.specifiers import SpecifierSet

    python, platform, implementation = (
        text(target, name) for name in ("requires_python", "platform", "implementation")
    )
    machine = environment["platform_machine"]
    return (
        SpecifierSet(python).contains(environment["python_full_version"], prereleases=True)
        and (not platform or (platform.startswith(_LINUX) and platform.endswith(machine)))
        and implementation in {"", "cpython"}
    )


def _groups(project: Mapping[str, object]) -> dict[str, list[object]]:
    """The development groups by their normalised names, as they are written."""
    found: dict[str, list[object]] = {}
    for groups in (table(project, "dependency-groups"), table(project, "tool", "pdm", "dev-dependencies")):
        for name, items in groups.items():
            found[canonical(name)] = [*found.get(canonical(name), []), *listing(items)]
    return found


# -- locks without groups -------------------------------------------------------------------------


def _roots(project: Mapping[str, object], wanted: Iterable[str]) -> Iterator[str]:
    declared = table(project, "project")
    optional = {canonical(name): items for name, items in table(declared, "optional-dependencies").items()}
    groups = _groups(project)
    for group in wanted:
        own = listing(declared.get("dependencies")) if group == _DEFAULT else []
        for item in (*own, *listing(optional.get(group)), *groups.get(group, [])):
            if isinstance(item, str):
                yield re.sub(r"^-e\s+", "", item)
            elif isinstance(item, Mapping):
                yield from _roots(project, [canonical(text(item, "include-group"))])


def _followed(packages: Tables, roots: Iterable[str], environment: Environment | None) -> Tables:
    by_name: dict[str, Tables] = {}
    for package in packages:
        by_name.setdefault(canonical(text(package, "name")), []).append(package)
    found: dict[int, Mapping[str, object]] = {}
    waiting = list(roots)
    while waiting:
        requirement = _requirement(waiting.pop())
        if not applies(str(requirement.marker or ""), environment):
            continue
        matching = _matching(by_name.get(canonical(requirement.name), []), requirement, environment)
        if not matching:
            raise UsageError(f"{FILE} has no {requirement}", hint=_HINT)
        for package in matching:
            if id(package) not in found:
                found[id(package)] = package
                waiting += [str(one) for one in listing(package.get("dependencies"))]
    return [package for package in packages if id(package) in found]


def _matching(packages: Tables, requirement: Requirement, environment: Environment | None) -> Tables:
    from packaging.specifiers import SpecifierSet

    python = (environment or {}).get("python_full_version", "")
    extras = {canonical(extra) for extra in requirement.extras}
    found = [
        one
        for one in packages
        if {canonical(str(extra)) for extra in listing(one.get("extras"))} == extras
        and (not python or SpecifierSet(text(one, "requires_python")).contains(python, prereleases=True))
        and (requirement.url or requirement.specifier.contains(text(one, "version"), prereleases=True))
        and applies(text(one, "marker"), environment)
    ]
    return found if environment is None else found[-1:]


def _requirement(written: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(written)
    except InvalidRequirement:
        raise UsageError(f"{written!r} is not a requirement", place=Place(FILE), hint=_HINT) from None


# -- both -----------------------------------------------------------------------------------------


class _Indexes:
    """Which indexes pdm would ask for a distribution (the default one is empty, unless the project names another)."""

    def __init__(self, listed: Tables, environ: Mapping[str, str]) -> None:
        self.listed = [
            (text(one, "name"), filled(text(one, "url"), environ, "pyproject.toml"), one)
            for one in listed
            if text(one, "url") and text(one, "type") in {"", "index"}
        ]

    def of(self, name: str) -> tuple[str, ...]:
        """Those for ``name``: the only ones that claim it, or the default one and all others that do not refuse it."""
        claimed = [url for _, url, one in self.listed if _named(name, one.get("include_packages"))]
        if claimed:
            return tuple(claimed)
        default = next((url for label, url, _ in self.listed if label == _DEFAULT_INDEX), "")
        others = [
            url
            for label, url, one in self.listed
            if label != _DEFAULT_INDEX
            and "include_packages" not in one
            and not _named(name, one.get("exclude_packages"))
        ]
        return (default, *others) if default or others else ()


def _named(name: str, patterns: object) -> bool:
    return any(fnmatchcase(name, canonical(str(pattern))) for pattern in listing(patterns))


def _pin(package: Mapping[str, object], indexes: _Indexes) -> Pinned:
    name, version = canonical(text(package, "name")), text(package, "version")
    below = text(package, "subdirectory")
    allowed = hashes(text(file, "hash") for file in tables(package.get("files")))
    if git := text(package, "git"):
        commit, asked = text(package, "revision"), text(package, "ref")
        return Pinned(name, version, git=git, commit=commit, revision=asked, subdirectory=below)
    if url := text(package, "url"):
        return Pinned(name, version, allowed, url=url, subdirectory=below)
    if path := text(package, "path"):
        return Pinned(name, version, allowed, path=path, subdirectory=below)
    return Pinned(name, version, allowed, indexes=indexes.of(name))

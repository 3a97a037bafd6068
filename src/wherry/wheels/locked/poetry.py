"""poetry.lock, of poetry 1 and 2.

Since version 2.1 a lock says which groups want a package, and under which marker; of an older one only poetry's own
resolution knows, so the dependencies are followed from pyproject.toml, among the versions that the lock has.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from wherry.errors import UsageError
from wherry.wheels.locked.constraints import allows, alternatives
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
    with_login,
)

FILE = "poetry.lock"
_HINT = "Run `poetry lock`."
_MAIN = "main"
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_GENERATION = (2, 1)  # of the lock's format: with groups and markers
_PLACES = ("git", "url", "path", "file", "url")


def check_current(lock: str, pyproject: str) -> None:
    """Raise :class:`UsageError` unless the lock is that of the project, by poetry's own hash."""
    metadata = table(read_toml(lock, FILE), "metadata")
    stated = text(metadata, "content-hash")
    if stated not in content_hashes(read_toml(pyproject, "pyproject.toml"), _generation(metadata)):
        raise UsageError(f"{FILE} does not match pyproject.toml", hint=_HINT)


def content_hashes(project: Mapping[str, object], generation: tuple[int, ...] = _GENERATION) -> frozenset[str]:
    """The hashes that versions of poetry that write this generation of locks give the project.

    They differ in whether [project] (poetry 2) and [dependency-groups] (2.3) count.
    """
    if generation < _GENERATION:
        return frozenset({_hash({}, {}, table(project, "tool", "poetry"))})
    poetry, groups = table(project, "tool", "poetry"), table(project, "dependency-groups")
    return frozenset(_hash(table(project, "project"), counted, poetry) for counted in (groups, {}))


def _hash(project: Mapping[str, object], groups: Mapping[str, object], poetry: Mapping[str, object]) -> str:
    own = {name: project[name] for name in _PROJECT_KEYS if name in project}
    legacy = not (own or groups)
    relevant: dict[str, object] = {
        name: poetry.get(name) for name in (*_LEGACY_KEYS, "group") if name in poetry or (legacy and name != "group")
    }
    if not legacy:
        relevant = {
            **({"project": own} if own else {}),
            **({"dependency-groups": groups} if groups else {}),
            "tool": {"poetry": relevant},
        }
    return sha256(json.dumps(relevant, sort_keys=True, default=str).encode()).hexdigest()


def sources(pyproject: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The indexes that the project names, with the credentials that poetry's variables hold."""
    found: dict[str, str] = {}
    for source in tables(table(read_toml(pyproject, "pyproject.toml"), "tool", "poetry").get("source")):
        name, url = text(source, "name"), text(source, "url")
        if url:
            found[name] = _with_login(name, filled(url, environ, "pyproject.toml"), environ)
    return found


def _with_login(name: str, url: str, environ: Mapping[str, str]) -> str:
    variable = "POETRY_HTTP_BASIC_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    return with_login(url, environ.get(f"{variable}_USERNAME", ""), environ.get(f"{variable}_PASSWORD", ""))


def pinned(
    lock: str,
    pyproject: str,
    environment: Environment | None,
    *,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Locked:
    """What `poetry install --only main` would install, with the ``extras`` and ``groups``, in ``environment``.

    Raises :class:`UsageError` for a lock that is broken, or lacks what the project requires.
    """
    values = read_toml(lock, FILE)
    metadata = table(values, "metadata")
    packages = tables(values.get("package"))
    extras = frozenset(map(canonical, extras))
    wanted = frozenset({_MAIN, *map(canonical, groups)})
    if _generation(metadata) >= _GENERATION:
        chosen = [one for one in packages if _is_wanted(one, wanted, extras, environment)]
    else:
        project = table(read_toml(pyproject, "pyproject.toml"), "tool", "poetry")
        chosen = _Walk(packages, environment, table(values, "extras")).chosen(_roots(project, wanted, extras))
    pins = tuple(_pin(one, metadata, environ) for one in chosen)
    return Locked(pins, specifier(text(metadata, "python-versions")))


def specifier(constraint: str) -> str:
    """A constraint on Python as a specifier set; of several alternatives the last, which is for the newest."""
    return str(alternatives(constraint)[-1])


def _generation(metadata: Mapping[str, object]) -> tuple[int, ...]:
    written = text(metadata, "lock-version")
    if not re.fullmatch(r"[12](\.\d+)*", written):
        problem = f"of version {written}, which is not known" if written else "too old, or broken"
        raise UsageError(f"{FILE} is {problem}", hint=_HINT)
    return tuple(int(part) for part in written.split("."))


# -- locks with groups and markers ----------------------------------------------------------------


def _is_wanted(
    package: Mapping[str, object], wanted: frozenset[str], extras: frozenset[str], environment: Environment | None
) -> bool:
    markers = package.get("markers", "")
    for group in (str(name) for name in listing(package.get("groups"))):
        if canonical(group) in wanted:
            marker = markers.get(group, "") if isinstance(markers, Mapping) else markers
            if applies(str(marker), environment, extras):
                return True
    return False


# -- locks without --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Dependency:
    """One of the forms of a dependency: poetry's table, and the extras that its marker may ask for."""

    name: str
    form: Mapping[str, object]
    asked: frozenset[str] = frozenset()

    @property
    def extras(self) -> frozenset[str]:
        return frozenset(canonical(str(extra)) for extra in listing(self.form.get("extras")))


def _roots(project: Mapping[str, object], wanted: frozenset[str], extras: frozenset[str]) -> list[_Dependency]:
    """What the project itself requires: its main group, with optional ones that the extras name, and other groups."""
    named = {
        canonical(re.split(r"[\s\[(<>=!~;]", str(one).strip(), maxsplit=1)[0])
        for extra, listed in table(project, "extras").items()
        if canonical(extra) in extras
        for one in listing(listed)
    }
    found = [
        one
        for one in _dependencies(table(project, "dependencies"), extras)
        if one.name != "python" and (not one.form.get("optional") or one.name in named)
    ]
    if "dev" in wanted:
        found += _dependencies(table(project, "dev-dependencies"), frozenset())
    for name, group in table(project, "group").items():
        if canonical(name) in wanted:
            found += _dependencies(table(group, "dependencies"), frozenset())
    return found


def _dependencies(written: Mapping[str, object], asked: frozenset[str]) -> Iterator[_Dependency]:
    for name, value in written.items():
        for form in value if isinstance(value, list) else [value]:
            yield _Dependency(canonical(name), form if isinstance(form, Mapping) else {"version": str(form)}, asked)


class _Narrowed(Exception):
    """A version was chosen that what came later does not allow."""


@dataclass(slots=True)
class _Walk:
    """Following dependencies through a lock. ``left`` are the packages of a name that all who require it allow."""

    packages: Tables
    environment: Environment | None
    extras: Mapping[str, object]
    left: dict[str, Tables] = field(default_factory=dict)

    def chosen(self, roots: Iterable[_Dependency]) -> Tables:
        """The packages that ``roots`` come to, in the lock's order."""
        python = (self.environment or {}).get("python_full_version", "")
        for package in self.packages:
            if not python or allows(text(package, "python-versions") or "*", python):
                self.left.setdefault(canonical(text(package, "name")), []).append(package)
        while True:
            try:
                found = self._followed(list(roots))
            except _Narrowed:
                continue  # there is less left now
            return [package for package in self.packages if any(package is one for one in found)]

    def _followed(self, waiting: list[_Dependency]) -> Tables:
        chosen: dict[str, Tables] = {}
        seen: set[tuple[int, frozenset[str]]] = set()
        while waiting:
            dependency = waiting.pop()
            if not self._applies(dependency):
                continue
            before = chosen.get(dependency.name, [])
            now = self._narrowed(dependency)
            if any(all(package is not one for one in now) for package in before):
                raise _Narrowed
            if not before:
                chosen[dependency.name] = now if self.environment is None else now[-1:]
            for package in chosen[dependency.name]:
                if (id(package), dependency.extras) not in seen:
                    seen.add((id(package), dependency.extras))
                    waiting += _requirements(package, dependency.extras)
        return [package for packages in chosen.values() for package in packages]

    def _narrowed(self, dependency: _Dependency) -> Tables:
        known = self.left.get(dependency.name, [])
        found = [package for package in known if _matches(package, dependency.form)]
        if not found:
            wanted = f"{dependency.name} {text(dependency.form, 'version')}".rstrip()
            raise UsageError(f"{FILE} has no {wanted}", hint=_HINT)
        if self.environment is not None:
            self.left[dependency.name] = found
        return found

    def _applies(self, dependency: _Dependency) -> bool:
        form = dependency.form
        if not applies(text(form, "markers"), self.environment, dependency.asked):
            return False
        if self.environment is None:
            return True
        python, platform = text(form, "python"), text(form, "platform")
        if python and not allows(python, self.environment["python_full_version"]):
            return False
        return not platform or platform == self.environment["sys_platform"]


def _requirements(package: Mapping[str, object], asked: frozenset[str]) -> Iterator[_Dependency]:
    """What a package requires, with the extras ``asked`` of it."""
    optional = {
        canonical(re.split(r"[\s\[(<>=!~;]", str(one).strip(), maxsplit=1)[0])
        for extra, listed in table(package, "extras").items()
        if canonical(extra) in asked
        for one in listing(listed)
    }
    for dependency in _dependencies(table(package, "dependencies"), asked):
        if not dependency.form.get("optional") or dependency.name in optional:
            yield dependency


def _matches(package: Mapping[str, object], form: Mapping[str, object]) -> bool:
    if any(place in form for place in _PLACES):
        return text(table(package, "source"), "type") in {"git", "url", "file", "directory"}
    return allows(text(form, "version") or "*", text(package, "version"))


# -- both -----------------------------------------------------------------------------------------


def _pin(package: Mapping[str, object], metadata: Mapping[str, object], environ: Mapping[str, str]) -> Pinned:
    name, version, source = text(package, "name"), text(package, "version"), table(package, "source")
    kind, url = text(source, "type"), text(source, "url")
    allowed = hashes(_hashes(package, metadata))
    below = text(source, "subdirectory")
    name = canonical(name)
    if kind == "git":
        commit, asked = text(source, "resolved_reference"), text(source, "reference")
        return Pinned(name, version, git=url, commit=commit, revision=asked, subdirectory=below)
    if kind == "url":
        return Pinned(name, version, allowed, url=url, subdirectory=below)
    if kind in {"file", "directory"}:
        return Pinned(name, version, allowed, path=url, subdirectory=below)
    if url:
        login = _with_login(text(source, "reference"), filled(url, environ, FILE), environ)
        return Pinned(name, version, allowed, indexes=(login,))
    return Pinned(name, version, allowed)


def _hashes(package: Mapping[str, object], metadata: Mapping[str, object]) -> Iterator[object]:
    """The hashes of a package: beside it, or in old locks at the end, by name (and there of all its versions)."""
    name = text(package, "name")
    files = package.get("files")
    if files is None:
        yield from listing(table(metadata, "hashes").get(name))
        files = table(metadata, "files").get(name)
    yield from (text(file, "hash") for file in tables(files))

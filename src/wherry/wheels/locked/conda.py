"""conda-lock.yml: what in it pip installs.

Packages of conda's own are no wheels. Python comes from the base, and what only Python and pip need there is of no
use; anything else is an error, as the application would lack it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from wherry.errors import UsageError
from wherry.wheels.locked import yaml
from wherry.wheels.locked.pins import Environment, Locked, Pinned, canonical, hashes, table, tables, text

_PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le", "s390x": "linux-s390x"}
_FROM_BASE = {"python", "pip", "setuptools", "wheel", "python_abi", "tzdata", "ca-certificates", "nomkl"}
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class _Package:
    name: str
    version: str
    manager: str
    requires: frozenset[str]
    category: str
    values: Mapping[str, object]


def pinned(
    lock: str, environment: Environment | None, *, groups: Collection[str] = (), file: str = "conda-lock.yml"
) -> Locked:
    """What `conda-lock install` would leave to pip, with the ``groups`` (categories), in ``environment``.

    Raises :class:`UsageError` for a lock that is broken, is not for the platform, has no such category, or has packages
    of conda that the application needs.
    """
    packages = list(_packages(lock, environment, file))
    known = {one.category for one in packages} - {_MAIN}
    groups = set(map(canonical, groups))
    for group in sorted(groups):
        if group not in known:
            hint = f"It has: {', '.join(sorted(known)) or 'none'}."
            raise UsageError(f"{file} has no category {group!r}", hint=hint)
    wanted = [one for one in packages if one.category in {_MAIN, *groups}]
    _check_conda([one for one in wanted if one.manager == "conda"], file)
    pins = {one.name: _pin(one) for one in wanted if one.manager == "pip"}
    python = next((one.version for one in wanted if one.manager == "conda" and one.name == "python"), "")
    return Locked(tuple(pins.values()), f"=={'.'.join(python.split('.')[:2])}.*" if python else "")


def _packages(lock: str, environment: Environment | None, file: str) -> Iterator[_Package]:
    values = yaml.read(lock, file)
    if values.get("version") != "1":
        hint = "Write it with a version of conda-lock that writes format 1."
        raise UsageError(f"{file} is not of format 1 of conda-lock", hint=hint)
    machine = (environment or {}).get("platform_machine", "")
    platform = _PLATFORMS.get(machine, f"linux-{machine}")
    found = tables(values.get("package"))
    platforms = {text(one, "platform") for one in found}
    if environment is not None and found and platform not in platforms:
        hint = f"It is for: {', '.join(sorted(platforms))}. Add the platform to its sources and run `conda-lock`."
        raise UsageError(f"{file} has nothing for {platform}", hint=hint)
    for one in found:
        if environment is None or text(one, "platform") == platform:
            name, manager = text(one, "name"), text(one, "manager")
            requires = frozenset(canonical(name) for name in table(one.get("dependencies")))
            name = canonical(name) if manager == "pip" else name
            category = canonical(text(one, "category") or _MAIN)
            yield _Package(name, text(one, "version"), manager, requires, category, one)


def _check_conda(packages: list[_Package], file: str) -> None:
    """Raise :class:`UsageError` for packages of conda's that neither Python nor pip brings along."""
    by_name = {canonical(one.name): one for one in packages}
    waiting = [canonical(name) for name in _FROM_BASE]
    of_base: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in of_base:
            of_base.add(name)
            waiting += by_name[name].requires
    others = {name: one for name, one in by_name.items() if name not in of_base and not name.startswith("_")}
    if not others:
        return
    required = {name for one in others.values() for name in one.requires - {canonical(one.name)}}
    named = sorted(f"{one.name} {one.version}" for name, one in others.items() if name not in required)
    named = named or sorted(f"{one.name} {one.version}" for one in others.values())
    raise UsageError(
        f"{file} has packages that only conda installs: {', '.join(named)}",
        hint="Wheels are installed, not conda's packages: write these below `pip:` in its sources and lock again; for "
        "libraries and programs there is `packages` in [tool.wherry].",
    )


def _pin(package: _Package) -> Pinned:
    values = package.values
    allowed = hashes(f"{name}:{digits}" for name, digits in table(values, "hash").items() if name == "sha256")
    source = table(values, "source")
    url = text(values, "url")
    if url.startswith("git+"):
        place, _, rest = url.removeprefix("git+").rpartition("@")
        return Pinned(package.name, package.version, git=place, commit=rest.partition("#")[0])
    if text(source, "type") == "url":
        return Pinned(package.name, package.version, allowed, url=url.partition("#")[0])
    return Pinned(package.name, package.version, allowed)

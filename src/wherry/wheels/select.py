"""Choosing from a lock: what a target needs, and for each the wheel that suits it best (PEP 751, "installing")."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import UsageError, WherryError
from wherry.fetch import Download
from wherry.image.json import Json, JsonObject
from wherry.target import Target
from wherry.urls import redacted
from wherry.wheels.distribution import Chosen, Distribution, Project, Source
from wherry.wheels.lock import parse
from wherry.wheels.tags import environment, machine, tags

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageVcs, PackageWheel, Pylock
    from packaging.specifiers import SpecifierSet
    from packaging.tags import Tag

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Missing:
    """A package that a target needs and that has no wheel for it.

    ``wheels`` are the file names of those that exist, ``source`` what there is instead (an sdist, a repository),
    ``wanted_by`` the packages that require it, as far as the lock tells, ``why`` what else is known.
    """

    name: str
    version: str = ""
    wheels: tuple[str, ...] = ()
    source: str = ""
    wanted_by: tuple[str, ...] = ()
    why: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


class NoUsableWheel(WherryError):
    """Requirements that no wheel satisfies on the target, all of them at once."""

    def __init__(self, missing: Sequence[Missing], target: Target) -> None:
        self.missing = tuple(missing)
        self.target = target
        count = "1 requirement has" if len(missing) == 1 else f"{len(missing)} requirements have"
        lines = [f"{count} no wheel for {describe(target)}:"]
        lines += [f"  {line}" for one in missing for line in _account(one)]
        lines.append(f"Tags wanted, best first: {', '.join(_best(target))}, …")
        super().__init__("\n".join(lines), hint=_hint(missing, target))


def describe(target: Target) -> str:
    """The target in words: ``linux/amd64 with glibc 2.41 and Python 3.13.5``."""
    return f"{target.platform} with {target.libc} and Python {target.interpreter.version}"


def select(
    lock_text: str,
    target: Target,
    *,
    context: Path,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    what: str = "the lock",
) -> tuple[Chosen, ...]:
    """What ``target`` needs of a lock, by name; relative paths in it start at ``context``.

    ``groups`` come on top of the lock's default groups. What has no fitting wheel is a
    source to build from. Raises :class:`NoUsableWheel` with everything that has neither,
    :class:`UsageError` for a lock that is invalid or not meant for the target.
    """
    return choose(parse(lock_text, what), target, context=context, extras=extras, groups=groups, what=what)


def choose(
    lock: Pylock,
    target: Target,
    *,
    context: Path,
    extras: Iterable[str] = (),
    groups: Iterable[str] = (),
    what: str = "the lock",
) -> tuple[Chosen, ...]:
    """:func:`select` for a lock that is parsed already."""
    packages = _packages(lock, target, frozenset(extras), groups, what)
    order = {tag: number for number, tag in enumerate(tags(target))}
    chosen: list[Chosen] = []
    missing: list[Missing] = []
    for package in packages:
        found = _pick(package, order, context)
        if isinstance(found, Missing):
            missing.append(found)
        else:
            chosen.append(found)
    requirers = _requirers(packages)
    if missing:
        raise NoUsableWheel([replace(one, wanted_by=requirers.get(one.name, ())) for one in missing], target)
    return tuple(
        replace(one, wanted_by=requirers.get(one.name, ())) if isinstance(one, Source) else one for one in chosen
    )


def fits(filename: str, target: Target) -> bool:
    """Whether the wheel called ``filename`` runs on ``target``."""
    from packaging.utils import parse_wheel_filename

    return not parse_wheel_filename(filename)[3].isdisjoint(tags(target))


def _packages(lock: Pylock, target: Target, extras: frozenset[str], groups: Iterable[str], what: str) -> list[Package]:
    """The lock's packages that apply to ``target``, by name."""
    from packaging.utils import canonicalize_name

    base = environment(target)
    python = target.interpreter.version
    hint = "Lock the project for this Python and platform too, or choose another base with --base or --python."
    if not _allows(lock.requires_python, python):
        raise UsageError(f"{what} is for Python {lock.requires_python}, the base has {python}", hint=hint)
    if lock.environments and not any(marker.evaluate(base, "requirement") for marker in lock.environments):
        raise UsageError(f"{what} is not for {describe(target)}", hint=hint)
    known = {canonicalize_name(extra) for extra in lock.extras or ()}
    for extra in extras:
        if lock.extras is not None and canonicalize_name(extra) not in known:
            raise UsageError(f"{what} has no extra {extra!r}", hint=f"It has: {', '.join(sorted(known)) or 'none'}.")
    values: dict[str, str | AbstractSet[str]] = {
        **base,
        "extras": frozenset(canonicalize_name(extra) for extra in extras),
        "dependency_groups": frozenset([*(lock.default_groups or ()), *groups]),
    }
    packages: dict[str, Package] = {}
    for package in lock.packages:
        if package.marker is not None and not package.marker.evaluate(values, "lock_file"):
            continue
        if package.name in packages:
            raise UsageError(
                f"{what} has two entries for {package.name} on {describe(target)}", hint="Write the lock anew."
            )
        packages[package.name] = package
    refused = [package for package in packages.values() if not _allows(package.requires_python, python)]
    if refused:
        lines = [f"{package.name} {package.version or ''} needs {package.requires_python}" for package in refused]
        raise UsageError(f"{what} does not fit Python {python}:\n  " + "\n  ".join(lines), hint=hint)
    return [packages[name] for name in sorted(packages)]


def _allows(wanted: SpecifierSet | None, python: str) -> bool:
    return wanted is None or wanted.contains(python, prereleases=True)


def _pick(package: Package, order: dict[Tag, int], context: Path) -> Chosen | Missing:
    if package.directory is not None:
        path = "/".join(part for part in (package.directory.path, package.directory.subdirectory) if part)
        return Project(package.name, path)
    if package.archive is not None:
        return _archive(package, package.archive, order, context)
    if package.vcs is not None:
        return _repository(package, package.vcs)
    wheels = list(package.wheels or ())
    fitting = [(rank, wheel) for wheel in wheels if (rank := _rank(wheel.filename, order)) is not None]
    if fitting:
        _, wheel = min(fitting, key=lambda pair: (pair[0], _not_built(pair[1].filename), pair[1].filename))
        return Distribution(package.name, _version(wheel.filename), _download(wheel, context))
    version = str(package.version or "")
    if package.sdist is not None:
        return Source(package.name, version, _download(package.sdist, context))
    return Missing(package.name, version, tuple(wheel.filename for wheel in wheels))


def _repository(package: Package, vcs: PackageVcs) -> Source | Missing:
    version = str(package.version or "")
    if vcs.type != "git":
        return Missing(package.name, version, source=f"a {vcs.type} repository", why="only git repositories are built")
    url = vcs.url or vcs.path or ""
    info = {"vcs": "git", "commit_id": vcs.commit_id}
    if vcs.requested_revision:
        info["requested_revision"] = vcs.requested_revision
    return Source(
        package.name,
        version,
        repository=url,
        commit=vcs.commit_id,
        subdirectory=vcs.subdirectory or "",
        direct_url=_direct(url, "vcs_info", info, vcs.subdirectory),
    )


def _archive(
    package: Package, archive: PackageArchive, order: dict[Tag, int], context: Path
) -> Distribution | Source | Missing:
    from urllib.parse import unquote, urlsplit

    name = unquote(urlsplit(archive.url or "").path or (archive.path or "").replace("\\", "/")).rsplit("/", 1)[-1]
    url = _url(archive.url, archive.path, context)
    download = Download(url, archive.hashes, archive.size, name)
    version = str(package.version or "")
    info: JsonObject = {"hashes": dict(sorted(archive.hashes.items()))}
    direct = _direct(url, "archive_info", info, archive.subdirectory)
    if not name.endswith(".whl"):
        return Source(package.name, version, download, subdirectory=archive.subdirectory or "", direct_url=direct)
    if _rank(name, order) is None:
        return Missing(package.name, version, (name,))
    return Distribution(package.name, _version(name), download, direct)


def _direct(url: str, kind: str, info: Mapping[str, Json], subdirectory: str | None) -> str:
    """The text of direct_url.json (PEP 610); none for a file of the building machine, which means nothing elsewhere."""
    if (url.startswith("file:") and kind == "archive_info") or "://" not in url:
        return ""
    value: dict[str, Json] = {"url": redacted(url), kind: dict(info)}
    if subdirectory:
        value["subdirectory"] = subdirectory
    return json.dumps(value, separators=(",", ":"))


def _download(wheel: PackageWheel | PackageSdist, context: Path) -> Download:
    return Download(_url(wheel.url, wheel.path, context), wheel.hashes, wheel.size, wheel.filename)


def _url(url: str | None, path: str | None, context: Path) -> str:
    """Where a file of a lock is. A path is preferred, as the specification says, if there is a file."""
    if path:
        local = context / path.replace("\\", "/")
        if not url or local.is_file():
            return local.absolute().as_uri()
    return url or ""


def _rank(filename: str, order: dict[Tag, int]) -> int | None:
    """How well a wheel fits, 0 being best; None if it does not, or is no wheel's name."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        found = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return None
    return min((order[tag] for tag in found if tag in order), default=None)


def _not_built(filename: str) -> tuple[int, str]:
    """Sorts later builds of the same wheel first."""
    from packaging.utils import parse_wheel_filename

    build = parse_wheel_filename(filename)[2]
    return (-build[0], build[1]) if build else (0, "")


def _version(filename: str) -> str:
    from packaging.utils import parse_wheel_filename

    return str(parse_wheel_filename(filename)[1])


def _requirers(packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """Who requires whom, where the lock says so (it may)."""
    requirers: dict[str, tuple[str, ...]] = {}
    for package in packages:
        for dependency in package.dependencies or ():
            name = str(dependency.get("name", ""))
            requirers[name] = (*requirers.get(name, ()), str(package.name))
    return requirers


def _account(missing: Missing) -> Iterable[str]:
    by = f" (required by {', '.join(missing.wanted_by)})" if missing.wanted_by else ""
    kinds = sorted({_kind(name) for name in missing.wheels})
    if kinds:
        rest = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
        found = f"wheels exist for {', '.join(kinds[:_SHOWN])}{rest}"
    else:
        found = f"there is only {missing.source}" if missing.source else "there is no wheel"
    yield f"{missing}{by}: {found}"
    if missing.why:
        yield f"  {missing.why}"


def _kind(filename: str) -> str:
    """The tags in a wheel's name."""
    return "-".join(filename.removesuffix(".whl").rsplit("-", 3)[1:])


def _best(target: Target) -> list[str]:
    """The head of each kind of tag: what a wheel built for just this target would have, abi3, pure Python."""
    wanted = tags(target)
    heads = [wanted[0], *(tag for tag in wanted if tag.abi == "abi3")][:2]
    pure = [tag for tag in wanted if tag.platform == "any" and tag.interpreter == "py3"]
    return [str(tag) for tag in [*heads, *pure[:1]]]


def _hint(missing: Sequence[Missing], target: Target) -> str:
    """The nearest thing that would help, judged by the wheels that there are."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    platforms: set[str] = set()
    pythons: set[str] = set()
    accepted = {tag.platform for tag in tags(target)}
    for one in missing:
        for name in one.wheels:
            try:
                found = parse_wheel_filename(name)[3]
            except InvalidWheelFilename:
                continue
            platforms |= {tag.platform for tag in found}
            pythons |= {tag.interpreter for tag in found if tag.platform in accepted}
    here = {name for name in platforms if name.endswith("_" + machine(target))}
    known = _versions(pythons)
    if known:
        return f"There are wheels for Python {known}: choose one with --python, or another version."
    if here and target.libc.family == "musl" and any("manylinux" in name for name in here):
        return "There are wheels for glibc: choose a base that is not built on musl."
    if here and target.libc.family == "glibc" and any("manylinux" in name for name in here):
        return "There are wheels for a newer glibc: choose a newer base."
    return "Require a version that has a wheel, or another project that has one."


def _versions(interpreters: Iterable[str]) -> str:
    """The CPython versions among ``interpreters`` (``cp313``), as people write them."""
    digits = [name.removeprefix("cp") for name in interpreters if name.startswith("cp") and name[2:].isdigit()]
    versions = sorted((int(one[0]), int(one[1:])) for one in digits if len(one) > 1)
    return ", ".join(f"{major}.{minor}" for major, minor in versions)

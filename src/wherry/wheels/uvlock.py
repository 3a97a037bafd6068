"""Whether a uv.lock still says what its pyproject.toml asks for.

``uv export --locked`` would tell, but it needs an interpreter that the project allows and, if anything differs,
the network. What the lock records of its members' own metadata is enough to compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wherry.errors import Place, UsageError
from wherry.target import Target

_ELSEWHERE = ("editable", "directory", "path", "git", "url", "virtual")  # sources that replace a specifier
_HINT = "Run `uv lock`."

Asked = tuple[str, str]
"""A requirement (name, extras and specifier as text), and the extra or group it belongs to, or an empty text."""


def check_current(path: str, text: str, folder: Path, target: Target) -> None:
    """Raise :class:`UsageError` unless the lock at ``path`` matches the projects that it locks, for ``target``."""
    import tomllib

    try:
        lock: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", place=Place(path), hint=_HINT) from None
    packages = [package for package in _list(lock.get("package")) if isinstance(package, dict)]
    members = [(package, place) for package in packages if (place := _member(package))]
    differences: list[str] = []
    for package, place in members:
        try:
            project: Mapping[str, object] = tomllib.loads((folder / place / "pyproject.toml").read_text("utf-8"))
        except (OSError, ValueError):
            continue  # a member that is not here is not installed from here
        differences += _differences(project, _table(package.get("metadata")), target)
        if len(members) == 1:
            differences += _python_differs(lock, project)
    if differences:
        raise UsageError(f"{path} does not match pyproject.toml:\n  " + "\n  ".join(differences), hint=_HINT)


def _member(package: Mapping[str, object]) -> str:
    """The folder of a package that is a member of the workspace, or an empty text."""
    source = _table(package.get("source"))
    return str(source.get("editable") or source.get("virtual") or "")


def _differences(project: Mapping[str, object], metadata: Mapping[str, object], target: Target) -> Iterator[str]:
    declared = _table(project.get("project"))
    dynamic = _list(declared.get("dynamic"))
    if "dependencies" in dynamic or "optional-dependencies" in dynamic:
        return
    asked = set(_declared(declared, target))
    locked = set(_locked(_list(metadata.get("requires-dist")), target))
    groups = _table(project.get("dependency-groups"))
    for name in groups:
        asked |= {(one, f"group {_canonical(name)}") for one in _group(groups, name, target)}
    for name, entries in _table(metadata.get("requires-dev")).items():
        if name in groups:
            locked |= {(one, f"group {_canonical(name)}") for one, _ in _locked(_list(entries), target)}
    names = {name for name, _ in locked if " " in name and name.endswith(_ANYWHERE)}
    asked = {(_loosened(one, names), where) for one, where in asked}
    yield from (f"not in the lock: {_words(one)}" for one in sorted(asked - locked))
    yield from (f"no longer required: {_words(one)}" for one in sorted(locked - asked))


_ANYWHERE = " from elsewhere"


def _loosened(one: str, names: Iterable[str]) -> str:
    """``one`` as the lock has it if it comes from a path, a repository or a URL: without a specifier."""
    bare = re.split(r"[\[<>=!~@ ]", one, maxsplit=1)[0]
    return bare + _ANYWHERE if bare + _ANYWHERE in names or " @ " in one else one


def _words(asked: Asked) -> str:
    one, where = asked
    return f"{one.removesuffix(_ANYWHERE)}" + (f" ({where})" if where else "")


def _declared(project: Mapping[str, object], target: Target) -> Iterator[Asked]:
    for text in _list(project.get("dependencies")):
        yield from ((one, "") for one in _requirement(str(text), target, ""))
    for extra, texts in _table(project.get("optional-dependencies")).items():
        for text in _list(texts):
            yield from ((one, f"extra {_canonical(extra)}") for one in _requirement(str(text), target, extra))


def _group(groups: Mapping[str, object], name: str, target: Target, depth: int = 0) -> Iterator[str]:
    """The requirements of a dependency group and of those that it includes (PEP 735)."""
    for item in _list(groups.get(name)):
        if isinstance(item, str):
            yield from _requirement(item, target, "")
        elif isinstance(item, dict) and depth < 10:
            included = _canonical(str(item.get("include-group", "")))
            for other in groups:
                if _canonical(other) == included:
                    yield from _group(groups, other, target, depth + 1)


def _requirement(text: str, target: Target, extra: str) -> Iterator[str]:
    """``text`` in our normal form, if it applies to ``target``."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"{text!r} is not a requirement: {error}", place=Place("pyproject.toml")) from None
    if requirement.marker is None or _applies(str(requirement.marker), target, extra):
        at = f" @ {requirement.url}" if requirement.url else ""
        yield _normal(requirement.name, requirement.extras, str(requirement.specifier)) + at


def _locked(entries: Iterable[object], target: Target) -> Iterator[Asked]:
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        marker = str(entry.get("marker", ""))
        found = re.search(r"extra == '([^']+)'", marker)
        extra = found[1] if found else ""
        if marker and not _applies(marker, target, extra):
            continue
        where = f"extra {_canonical(extra)}" if extra else ""
        name = str(entry.get("name", ""))
        if any(key in entry for key in _ELSEWHERE):
            yield _canonical(name) + _ANYWHERE, where
        else:
            extras = {str(item) for item in _list(entry.get("extras"))}
            yield _normal(name, extras, str(entry.get("specifier", ""))), where


def _normal(name: str, extras: Iterable[str], specifier: str) -> str:
    inside = ",".join(sorted(_canonical(extra) for extra in extras))
    wanted = ",".join(sorted(part.strip() for part in specifier.split(",") if part.strip()))
    return _canonical(name) + (f"[{inside}]" if inside else "") + wanted


def _applies(marker: str, target: Target, extra: str) -> bool:
    from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

    from wherry.wheels.tags import environment

    try:
        return Marker(marker).evaluate({**environment(target), "extra": extra})
    except (InvalidMarker, UndefinedEnvironmentName):
        return True


def _python_differs(lock: Mapping[str, object], project: Mapping[str, object]) -> Iterator[str]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    declared = _table(project.get("project")).get("requires-python")
    locked = lock.get("requires-python")
    if not isinstance(declared, str) or not isinstance(locked, str):
        return
    try:
        same = _plain(SpecifierSet(declared)) == _plain(SpecifierSet(locked))
    except InvalidSpecifier:
        return
    if not same:
        yield f"requires-python is {declared}, the lock is for {locked}"


def _plain(specifiers: object) -> set[str]:
    """Specifiers as texts without the zeros at a version's end, which mean nothing here."""
    return {re.sub(r"(\.0)+$", "", part.strip()) for part in str(specifiers).split(",") if part.strip()}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []

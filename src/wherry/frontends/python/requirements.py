"""Which file says what the application needs, and everything that a resolution of it will read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wherry.errors import Place, UsageError, did_you_mean
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder, leads_out
from wherry.frontends.python.inputs import Inputs
from wherry.frontends.python.lines import normal
from wherry.frontends.python.options import ProjectOptions
from wherry.plan import Requirements, RequirementsKind
from wherry.wheels.locked.tools import is_locked

PREFERENCE: tuple[RequirementsKind, ...] = (
    *("pylock", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "conda-lock"),
    *("requirements.txt", "pyproject"),
)
"""A lock goes before requirements.txt, which beside one is either exported from it, or left from before it."""
_FILES: Mapping[RequirementsKind, str] = {
    "pylock": "pylock.toml",
    "uv.lock": "uv.lock",
    "poetry.lock": "poetry.lock",
    "pdm.lock": "pdm.lock",
    "Pipfile.lock": "Pipfile.lock",
    "conda-lock": "conda-lock.yml",
    "requirements.txt": "requirements.txt",
    "pyproject": "pyproject.toml",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """The requirements, why that file was chosen, and the normalised names that are known without resolving."""

    requirements: Requirements
    why: str
    names: frozenset[str] = frozenset()


_TOLD = (("uv", "package"), ("poetry", "package-mode"), ("pdm", "distribution"))


def is_package(pyproject: Document, folder: Folder) -> bool:
    """Whether the project in ``folder`` is itself a package.

    What uv, poetry or pdm are told in their tables decides, else whether it has a build system; but an application
    whose code is not named as poetry expects is none, as poetry itself cannot build it (``--no-root``).
    """
    for tool, key in _TOLD:
        chosen = pyproject.table("tool", tool).get(key)
        if isinstance(chosen, bool):
            return chosen
    return "build-system" in pyproject.values and not _is_nothing_to_poetry(pyproject, folder)


def _is_nothing_to_poetry(pyproject: Document, folder: Folder) -> bool:
    """Whether poetry's backend would find no module or package of the project's name."""
    own, backend = pyproject.table("tool", "poetry"), pyproject.table("build-system").get("build-backend")
    if not (isinstance(backend, str) and backend.startswith("poetry.")) or "packages" in own:
        return False
    name = pyproject.table("project").get("name", own.get("name"))
    module = re.sub(r"[-_.]+", "_", name).lower() if isinstance(name, str) else ""
    return not any(folder.has_directory(path) or folder.has(f"{path}.py") for path in (module, f"src/{module}"))


def is_declared(pyproject: Document) -> bool:
    """Whether pyproject.toml describes a project: in [project], or as poetry 1 did in a table of its own."""
    return "project" in pyproject.values or bool(pyproject.table("tool", "poetry"))


def find(folder: Folder, pyproject: Document, options: ProjectOptions) -> Needs:
    """The requirements of the project in ``folder``.

    Raises :class:`UsageError`, with file and line where there is one, for a file that is missing, broken or
    outside the folder, and for an extra or group that does not exist.
    """
    kind, path, why = _choose(folder, pyproject, options)
    extras = tuple(dict.fromkeys(map(normal, options.extras)))
    groups = tuple(dict.fromkeys(map(normal, options.groups)))
    collected = Inputs(folder)
    if kind == "requirements.txt":
        if extras or groups:
            option = "--extra" if extras else "--group"
            hint = f"Write what it adds into {path}; without that file, pyproject.toml decides."
            raise UsageError(f"{option} has no meaning with {path}", hint=hint)
        collected.requirements_file(path, None)
    elif kind in {"uv.lock", "pylock"}:
        collected.lock(path, extras, groups, is_uv=kind == "uv.lock")
    if kind in {"uv.lock", "pyproject"}:
        if "project" not in pyproject.values:
            raise _no_project_table(folder, pyproject)
        _check_names(pyproject, "extra", extras, ("project", "optional-dependencies"))
        _check_names(pyproject, "group", groups, ("dependency-groups",))
    if is_locked(kind):
        _check_locked_names(folder, pyproject, kind, extras, groups)
    if kind == "uv.lock":
        collected.leave_out(pyproject, extras, groups)
    if kind == "pyproject":
        collected.project(pyproject, extras, groups)
    if is_declared(pyproject) and is_package(pyproject, folder):
        collected.add_project(".")
    requirements = Requirements(kind=kind, path=path, extras=extras, groups=groups, indexes=options.indexes)
    if is_locked(kind):
        collected.locked(requirements, pyproject)
    requirements = replace(requirements, inputs=tuple(collected.inputs), projects=tuple(sorted(collected.projects)))
    return Needs(requirements, why, frozenset(collected.names))


def _choose(folder: Folder, pyproject: Document, options: ProjectOptions) -> tuple[RequirementsKind, str, str]:
    if options.requirements:
        if workspace := _workspace(folder, options.requirements):
            return "uv.lock", workspace, "--requirements; the lock of the workspace around the project"
        path = folder.inside(options.requirements, Place("--requirements"))
        if not folder.has(path):
            raise UsageError(f"there is no file {path} in the project", place=Place("--requirements"))
        return _kind(path), path, "--requirements"
    for count, kind in enumerate(PREFERENCE):
        path = _FILES[kind]
        if not folder.has(path) or (kind == "pyproject" and "project" not in pyproject.values):
            continue
        others = [_FILES[other] for other in PREFERENCE[count + 1 :] if folder.has(_FILES[other])]
        what = "the [project] table" if kind == "pyproject" else "found"
        return kind, path, what + (f"; it goes before {' and '.join(others)}" if others else "")
    if options.extras or options.groups or {"poetry", "pdm"} & set(pyproject.table("tool")):
        raise _no_project_table(folder, pyproject)
    for path, hint in _UNREAD.items():
        if folder.has(path):
            raise UsageError(f"{path} says what the project needs, and it is not read", place=Place(path), hint=hint)
    return "none", "", f"no {', '.join(_FILES[kind] for kind in PREFERENCE)} here"


def _workspace(folder: Folder, written: str) -> str:
    """The lock of a uv workspace that the project is a member of, if that is what was named; relative to the folder.

    It is the one thing outside of the folder that may be named: a member has no lock of its own.
    """
    if written.rpartition("/")[2] != "uv.lock":
        return ""
    path = os.path.relpath(folder.root / written, folder.root).replace(os.sep, "/")
    return path if leads_out(path) and folder.has(path) else ""


_UNREAD = {
    "Pipfile": "Lock it with `pipenv lock`: Pipfile.lock is read.",
    "environment.yml": "Lock it with `conda-lock`: of conda-lock.yml, what pip installs is read.",
    "setup.py": "Write `.` into requirements.txt, or move the metadata to pyproject.toml's [project] (PEP 621).",
}
"""Files that hold requirements in forms of their own: passing over them would give an image that lacks them."""


def _kind(path: str) -> RequirementsKind:
    name = path.rpartition("/")[2]
    if name == "pylock.toml" or re.fullmatch(r"pylock\.[^.]+\.toml", name):
        return "pylock"
    known: Mapping[str, RequirementsKind] = {file: kind for kind, file in _FILES.items() if kind != "conda-lock"}
    if path in known:
        return known[path]
    if name.endswith("conda-lock.yml"):
        return "conda-lock"
    if name.endswith((".toml", ".lock", ".yml", ".yaml")):
        hint = "Give a lock or pyproject.toml from the project's folder, or a file in the form of requirements.txt."
        raise UsageError(f"{path} is not a file of requirements", place=Place("--requirements"), hint=hint)
    return "requirements.txt"


def _no_project_table(folder: Folder, pyproject: Document) -> UsageError:
    if not folder.has(pyproject.file):
        return UsageError("the project has no pyproject.toml", hint="Extras, groups and most locks need one.")
    hint = "Write the dependencies into [project] (PEP 621), or export them to pylock.toml or requirements.txt."
    if "workspace" in pyproject.table("tool", "uv"):
        hint = "Build a member of the workspace: give its folder, and the way from there to uv.lock as --requirements."
    if "poetry" in pyproject.table("tool"):
        hint = "Of poetry's own table its lock is read: run `poetry lock`. Or move to [project] (PEP 621)."
    return UsageError("there is no [project] table", place=Place(pyproject.file), hint=hint)


def _check_names(pyproject: Document, what: str, wanted: Iterable[str], table: tuple[str, ...]) -> None:
    known = {normal(name) for name in pyproject.table(*table)}
    for name in wanted:
        if name not in known:
            place = Place(pyproject.file, pyproject.place(*table).line)
            hint = did_you_mean(name, known) if known else f"There is no [{'.'.join(table)}] table."
            raise UsageError(f"there is no {what} {name!r}", place=place, hint=hint)


def _check_locked_names(
    folder: Folder, pyproject: Document, kind: RequirementsKind, extras: Iterable[str], groups: Iterable[str]
) -> None:
    """Raise :class:`UsageError` for extras and groups that the project of a lock does not have."""
    if kind == "Pipfile.lock":
        if any(extras):
            hint = "Its groups are `dev` and the names of its categories: --group."
            raise UsageError("--extra has no meaning with Pipfile.lock", hint=hint)
        return
    if kind == "conda-lock":
        return
    if not is_declared(pyproject):
        raise _no_project_table(folder, pyproject)
    own = pyproject.table("tool", "poetry" if kind == "poetry.lock" else "pdm")
    places = ("extras", "group") if kind == "poetry.lock" else ("", "dev-dependencies")
    tables = (pyproject.table("project", "optional-dependencies"), pyproject.table("dependency-groups"))
    for what, wanted, listed, place in zip(("extra", "group"), (extras, groups), tables, places, strict=True):
        more = own.get(place)
        known = {normal(name) for name in (*listed, *(more if isinstance(more, Mapping) else ()))}
        if what == "group" and "dev-dependencies" in own and kind == "poetry.lock":
            known.add("dev")
        for name in wanted:
            if name not in known:
                hint = did_you_mean(name, known) if known else f"The project has no {what}s."
                raise UsageError(f"there is no {what} {name!r}", place=Place(pyproject.file), hint=hint)

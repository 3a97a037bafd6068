"""Which file says what the application needs, and everything that a resolution of it will read."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace

from wherry.errors import Place, UsageError, did_you_mean
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import ProjectOptions
from wherry.plan import Requirements, RequirementsKind
from wherry.wheels.locked.tools import PROJECT, is_locked
from wherry.wheels.locked.tools import read as read_lock

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
_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"({_NAME.pattern})\s*(\[[^\]]*\])?\s*(?:@\s*(\S+))?")
_LOCKED_NAME = r"""(?m)^\s*name\s*=\s*["']([^"']+)["']"""
_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_AFTER_NAME = ("", "<", ">", "=", "!", "~", ";", "(")
_ARCHIVE = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


@dataclass(frozen=True, slots=True)
class Needs:
    """The requirements, why that file was chosen, and the normalised names that are known without resolving."""

    requirements: Requirements
    why: str
    names: frozenset[str] = frozenset()


def normal(name: str) -> str:
    """A distribution's name, normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
    collected = _Collected(folder)
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
    return path if _leads_out(path) and folder.has(path) else ""


def _leads_out(path: str) -> bool:
    return path.startswith("../")


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


@dataclass(slots=True)
class _Collected:
    """What reading the files brings together; ``inputs`` keeps the order of reading."""

    folder: Folder
    inputs: dict[str, None] = field(default_factory=dict)
    projects: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def add_project(self, path: str) -> None:
        """A local project: its metadata decide the resolution, too."""
        self.projects.add(path)
        known = len(self.inputs)
        for name in _METADATA:
            file = name if path == "." else f"{path}/{name}"
            if self.folder.has(file):
                self.inputs[file] = None
        if path != "." and len(self.inputs) > known:
            self._below(Document.read(self.folder, f"{path}/pyproject.toml"))

    def _below(self, pyproject: Document) -> None:
        """The metadata of local projects that a local project may require, as far as a build may read them.

        Which of them it does require is told by the resolution, which refuses what it finds anywhere else.
        """
        below = _Collected(self.folder, self.inputs)
        lists = [pyproject.table("project").get("dependencies")]
        lists += pyproject.table("project", "optional-dependencies").values()
        for text in (text for texts in lists for text in (texts if isinstance(texts, list) else ())):
            below.name(str(text))
            match = _REQUIREMENT.match(str(text))
            if match and match[3] and not _is_remote(match[3]):
                with suppress(UsageError):
                    below._local(_file(match[3]), Place(pyproject.file), pyproject.file)
        below._sources(pyproject, strict=False)

    # -- pyproject.toml --------------------------------------------------------------------------

    def project(self, pyproject: Document, extras: Iterable[str], groups: Iterable[str]) -> None:
        self.inputs[pyproject.file] = None
        if "dynamic" in pyproject.table("project"):
            self.inputs.update(dict.fromkeys(file for file in _METADATA[1:] if self.folder.has(file)))
        for text in _written(pyproject, extras, groups):
            self._requirement(text, pyproject.place("project", "dependencies"), pyproject.file)
        for name, place in self._sources(pyproject):
            if "workspace" not in pyproject.table("tool", "uv"):
                raise self._of_workspace(name, place)

    def _sources(self, pyproject: Document, *, strict: bool = True) -> list[tuple[str, Place]]:
        """Find the local projects in uv's table of sources; gives those that it leaves to a workspace."""
        members: list[tuple[str, Place]] = []
        for name, source in pyproject.table("tool", "uv", "sources").items():
            for one in source if isinstance(source, list) else [source]:
                if not isinstance(one, Mapping) or normal(name) not in self.names:
                    continue
                place = pyproject.place("tool", "uv", "sources", name)
                if isinstance(one.get("path"), str):
                    with nullcontext() if strict else suppress(UsageError):
                        self._local(one["path"], place, pyproject.file)
                elif one.get("workspace") is True:
                    members.append((name, place))
        return members

    def _of_workspace(self, name: str, place: Place) -> UsageError:
        """What is wrong if a member of a workspace is resolved as if it were on its own."""
        depth = next((n for n in range(1, 9) if self.folder.has("../" * n + "uv.lock")), 0)
        hint = "Run `uv lock` there, and name the lock with --requirements."
        if depth:
            hint = f"Name the workspace's lock, and with it what lies there: --requirements {'../' * depth}uv.lock."
        return UsageError(f"{name} is in a uv workspace that is around the project folder", place=place, hint=hint)

    def leave_out(self, pyproject: Document, extras: tuple[str, ...], groups: tuple[str, ...]) -> None:
        """Forget the names that uv.lock has only for extras and groups that were not asked for."""
        other = _Collected(self.folder)
        wanted = _Collected(self.folder)
        for text in _written(pyproject, extras, groups):
            wanted.name(text)
        every_extra = map(normal, pyproject.table("project", "optional-dependencies"))
        for text in _written(pyproject, every_extra, map(normal, pyproject.table("dependency-groups"))):
            other.name(text)
        self.names -= other.names - wanted.names

    # -- locks -----------------------------------------------------------------------------------

    def lock(self, path: str, extras: tuple[str, ...], groups: tuple[str, ...], *, is_uv: bool) -> None:
        # A lock may have ten thousand lines: names are picked out, and TOML is parsed only for local projects.
        text = self.folder.text(path)
        self.inputs[path] = None
        self.names.update(map(normal, re.findall(_LOCKED_NAME, text)))
        if is_uv:
            self.inputs["pyproject.toml"] = None
            if _leads_out(path):
                root = f"{posixpath.dirname(path)}/pyproject.toml"
                if self.folder.has(root):
                    self.inputs[root] = None
                self.names = self._uv_projects(Document.read(self.folder, path), extras, groups)
            elif re.search(r'^source = \{ (?:editable|directory|virtual) = "(?!\.")', text, re.MULTILINE):
                self._uv_projects(Document.read(self.folder, path), extras, groups)
        # TOML has many ways to write a table, and with a backslash even of its name: only a parser knows them all.
        elif re.search(r"""directory|archive["']?\s*[.=\]]|\\|packages["']?\s*=""", text):
            self._pylock_projects(Document.read(self.folder, path))

    def locked(self, requirements: Requirements, pyproject: Document) -> None:
        """The lock of another tool: names without reading all of it, local projects only if there are any."""
        from wherry.wheels.locked import outline

        text = self.folder.text(requirements.path)
        before = self.inputs
        self.inputs = {requirements.path: None}
        beside = PROJECT[requirements.kind]
        if beside and self.folder.has(beside):
            self.inputs[beside] = None
        self.inputs.update(before)
        self.names.update(outline.names(text, requirements.kind, requirements.extras, requirements.groups))
        if requirements.kind == "poetry.lock" and "\ngroups = [" not in text:
            self.names -= _poetry_names(pyproject, requirements.groups)
        if outline.has_local(text):
            files = {name: self.folder.text(name) for name in self.inputs if name in {requirements.path, beside}}
            for pin in read_lock(requirements, files, None).pins:
                if pin.path:
                    path = pin.path if not pin.is_project else posixpath.join(pin.path, pin.subdirectory)
                    self._local(path, Place(requirements.path), requirements.path)

    def _pylock_projects(self, lock: Document) -> None:
        packages = lock.values.get("packages")
        for package in packages if isinstance(packages, list) else []:
            if not isinstance(package, Mapping):
                continue
            if isinstance(package.get("name"), str):
                self.names.add(normal(package["name"]))
            for local in (package.get("directory"), package.get("archive")):
                if isinstance(local, Mapping) and isinstance(local.get("path"), str) and "url" not in local:
                    self._local(local["path"], Place(lock.file), lock.file)

    def _uv_projects(self, lock: Document, extras: tuple[str, ...], groups: tuple[str, ...]) -> set[str]:
        """Find the local projects that this one needs; uv.lock lists every member of a workspace. Gives all names."""
        packages = lock.values.get("package")
        by_name: dict[str, list[Mapping[str, object]]] = {}
        root = ""
        for package in packages if isinstance(packages, list) else []:
            by_name.setdefault(str(package.get("name")), []).append(package)
            if self._is_here(_source(package, "editable", "virtual", "directory"), lock.file):
                root = str(package.get("name"))
        if not root and _leads_out(lock.file):
            raise UsageError(f"the project is not in the workspace of {lock.file}", place=Place("--requirements"))
        waiting: list[tuple[str, tuple[str, ...]]] = [(root, (*extras, *groups))]
        seen: set[tuple[str, tuple[str, ...]]] = set()
        while waiting:
            name, wanted = waiting.pop()
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            for package in by_name.get(name, []):
                local = _source(package, "editable", "directory")
                if local and not self._is_here(local, lock.file):
                    self._member(local, lock.file)
                for dependency in _uv_dependencies(package, wanted, is_root=name == root):
                    extra = dependency.get("extra")
                    chosen = tuple(map(str, extra)) if isinstance(extra, list) else ()
                    waiting.append((str(dependency.get("name")), chosen))
        return {normal(name) for name, _ in seen} - {normal(root)}

    def _is_here(self, source: str, lock: str) -> bool:
        """Whether a place in ``lock`` is the project's own folder."""
        if not source or not _leads_out(lock):
            return source == "."
        return (self.folder.root / posixpath.dirname(lock) / source).resolve() == self.folder.root.resolve()

    def _member(self, local: str, lock: str) -> None:
        """A local project that ``lock`` names: in the folder, or in the workspace around it, whose lock was named."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(lock), local))
        if not _leads_out(lock) or _leads_out(posixpath.normpath(local)):
            self._local(local, Place(lock), lock)
        elif not any(self.folder.has(f"{path}/{name}") for name in _METADATA):
            raise UsageError(f"there is no project at {path}", place=Place(lock), hint="Run `uv lock` there.")
        else:
            self.add_project(path)

    # -- requirements.txt ------------------------------------------------------------------------

    def requirements_file(
        self, path: str, place: Place | None, above: tuple[str, ...] = (), *, bounds: bool = False
    ) -> None:
        """Read a file of requirements, or with ``bounds`` of constraints, and those that it names."""
        if path in above:
            raise UsageError(f"{' includes '.join((*above[above.index(path) :], path))}: a loop", place=place)
        if path in self.inputs and bounds:
            return
        text = self.folder.text(path, place)
        self.inputs[path] = None
        for number, line in _logical_lines(text):
            self._line(line, path, Place(path, number), (*above, path), bounds=bounds)

    def _line(self, line: str, path: str, place: Place, above: tuple[str, ...], *, bounds: bool) -> None:
        option, value = _option(line)
        if option in {"-r", "--requirement", "-c", "--constraint"}:
            if not value:
                raise UsageError(f"{option} names no file", place=place)
            if not _is_remote(value):
                file = self.folder.inside(_file(value), place, beside=path)
                is_bounds = bounds or option in {"-c", "--constraint"}
                self.requirements_file(file, place, above, bounds=is_bounds)
        elif option in {"-f", "--find-links"}:
            self._links(value, path)
        elif option in {"-e", "--editable"}:
            self._requirement(value, place, path, editable=True)
        elif not option and not bounds:
            self._requirement(line, place, path)

    def _links(self, value: str, path: str) -> None:
        """The distributions in a --find-links folder of the project are inputs as well."""
        if _is_remote(value) or value.startswith("/"):
            return
        for beside in (path, ""):
            directory = posixpath.normpath(posixpath.join(posixpath.dirname(beside), value))
            if not directory.startswith("..") and self.folder.has_directory(directory):
                names = sorted(item.name for item in (self.folder.root / directory).iterdir())
                self.inputs.update(dict.fromkeys(f"{directory}/{name}" for name in names if name.endswith(_ARCHIVE)))
                return

    def _requirement(self, text: str, place: Place, beside: str, *, editable: bool = False) -> None:
        text = re.split(r"\s--?[a-z]|\s*;\s|\s;", text, maxsplit=1)[0].strip()
        if not text:
            if editable:
                raise UsageError("-e names no project", place=place)
            return
        match = _REQUIREMENT.match(text)
        if match and (match[3] or not (editable or _is_path(text) or _URL.match(text))):
            if text[match.end() :].lstrip()[:1] not in _AFTER_NAME:
                raise UsageError(f"{text!r} is not a requirement", place=place, hint="Example: flask>=3.1.")
            self._named(match[1], match[2] or "")
            if match[3] and not _is_remote(match[3]):
                self._local(_file(match[3]), place, beside)
        elif _is_remote(text):
            egg = re.search(rf"[#&]egg=({_NAME.pattern})", text)
            file = re.split("[?#]", text, maxsplit=1)[0].rpartition("/")[2]
            if egg or file.endswith(".whl"):
                self.names.add(normal(egg[1] if egg else file.partition("-")[0]))
        else:
            self._local(re.sub(r"\[[^\[\]]*\]$", "", _file(text)), place, beside)

    def name(self, text: str) -> None:
        """Note the name that the requirement ``text`` begins with."""
        if match := _REQUIREMENT.match(text):
            self._named(match[1], match[2] or "")

    def _named(self, name: str, extras: str) -> None:
        name = normal(name)
        self.names.add(name)
        if name == "fastapi" and {"standard", "all"} & {part.strip() for part in extras.strip("[]").split(",")}:
            self.names.add("uvicorn")

    def _local(self, target: str, place: Place, beside: str) -> None:
        path = self.folder.inside(target, place, beside=beside)
        if path.endswith(_ARCHIVE) and self.folder.has(path):
            self.inputs[path] = None
            self.names.add(normal(path.rpartition("/")[2].partition("-")[0]))
        elif not self.folder.has_directory(path):
            raise UsageError(f"there is no project at {path}", place=place, hint="The path is relative to this file.")
        elif not any(self.folder.has(name if path == "." else f"{path}/{name}") for name in _METADATA):
            hint = "A project has a pyproject.toml, or a setup.py."
            raise UsageError(f"{path} is not a Python project", place=place, hint=hint)
        else:
            self.add_project(path)


def _written(pyproject: Document, extras: Iterable[str], groups: Iterable[str]) -> list[str]:
    """The requirements in [project], with those of ``extras`` and ``groups`` (normalised names)."""
    written = list(pyproject.strings("project", "dependencies"))
    optional = pyproject.table("project", "optional-dependencies")
    for extra in extras:
        name = next(name for name in optional if normal(name) == extra)
        written += pyproject.strings("project", "optional-dependencies", name)
    for group in groups:
        written += _group(pyproject, group, ())
    return written


def _group(pyproject: Document, name: str, above: tuple[str, ...]) -> Iterator[str]:
    """The requirements of a dependency group and of those that it includes (PEP 735)."""
    groups = pyproject.table("dependency-groups")
    written = next((key for key in groups if normal(key) == name), None)
    place = pyproject.place("dependency-groups", written or name)
    if written is None or name in above:
        problem = "includes itself" if written else "does not exist"
        raise UsageError(f"dependency group {name!r} {problem}", place=place)
    items = groups[written]
    if not isinstance(items, list):
        raise UsageError(f"dependency-groups.{written} must be a list", place=place)
    for item in items:
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping) and isinstance(item.get("include-group"), str):
            yield from _group(pyproject, normal(item["include-group"]), (*above, name))
        else:
            hint = 'Write "name>=1" or {include-group = "other"}.'
            raise UsageError(f"dependency-groups.{written} holds something else", place=place, hint=hint)


def _poetry_names(pyproject: Document, groups: Iterable[str]) -> set[str]:
    """The names that poetry's own table has only for groups that were not asked for."""
    poetry = pyproject.table("tool", "poetry")
    by_group: dict[str, set[str]] = {"main": set(), "dev": set()}
    tables = [("main", poetry.get("dependencies")), ("dev", poetry.get("dev-dependencies"))]
    own = poetry.get("group")
    for name, group in own.items() if isinstance(own, Mapping) else ():
        tables.append((normal(name), group.get("dependencies") if isinstance(group, Mapping) else None))
    for name, table in tables:
        by_group.setdefault(name, set()).update(map(normal, table if isinstance(table, Mapping) else ()))
    wanted = {name for group in ("main", *groups) for name in by_group.get(group, ())}
    return {name for names in by_group.values() for name in names} - wanted


def _source(package: Mapping[str, object], *kinds: str) -> str:
    source = package.get("source")
    if isinstance(source, Mapping):
        return next((str(source[kind]) for kind in kinds if kind in source), "")
    return ""


def _uv_dependencies(
    package: Mapping[str, object], wanted: tuple[str, ...], *, is_root: bool
) -> Iterator[Mapping[str, object]]:
    lists = [package.get("dependencies")]
    tables = ["optional-dependencies", *(["dev-dependencies"] if is_root else [])]
    for table in map(package.get, tables):
        if isinstance(table, Mapping):
            lists += [items for name, items in table.items() if normal(name) in map(normal, wanted)]
    for items in lists:
        yield from (item for item in (items if isinstance(items, list) else []) if isinstance(item, Mapping))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file with their numbers: joined at ``\\``, without comments, variables filled in."""
    start, joined = 0, ""
    for number, line in enumerate([*text.split("\n"), ""], 1):
        start = start or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            joined += line[:-1]
            continue
        joined += "" if comment else line
        joined = _COMMENT.sub("", joined).strip()
        if joined:
            yield start, _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], joined)
        start, joined = 0, ""


def _option(line: str) -> tuple[str, str]:
    """``-r FILE``, ``-rFILE``, ``--requirement=FILE`` as option and value; ``("", line)`` for a requirement."""
    if not line.startswith("-"):
        return "", line
    if line.startswith("--"):
        option, _, value = re.sub(r"[\s=]\s*", "\0", line, count=1).partition("\0")
    else:
        option, value = line[:2], line[2:].lstrip(" \t=")
    value = value.strip()
    if value[:1] in {"'", '"'}:
        import shlex

        try:
            value = shlex.split(value)[0]
        except ValueError:
            value = value.strip("'\"")
    return option, value


def _is_remote(text: str) -> bool:
    return bool(_URL.match(text)) and not text.lower().startswith("file:")


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or "/" in text.partition("[")[0] or text.endswith(_ARCHIVE)


def _file(text: str) -> str:
    """A path from ``file:`` URLs, as pip takes them: ``file:///abs``, ``file:./relative``; other text as it is."""
    if not text.lower().startswith("file:"):
        return text
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(text).path) if text[5:7] == "//" else unquote(text[5:].partition("#")[0])

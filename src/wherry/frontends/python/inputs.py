"""Everything that a resolution of a project's requirements will read, brought together by reading it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from wherry.errors import Place, UsageError
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder, leads_out
from wherry.frontends.python.lines import (
    ARCHIVES,
    file_of,
    is_path,
    is_remote,
    is_url,
    logical_lines,
    normal,
    split_option,
)
from wherry.plan import Requirements
from wherry.wheels.locked.tools import PROJECT
from wherry.wheels.locked.tools import read as read_lock

_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"({_NAME.pattern})\s*(\[[^\]]*\])?\s*(?:@\s*(\S+))?")
_LOCKED_NAME = r"""(?m)^\s*name\s*=\s*["']([^"']+)["']"""
_AFTER_NAME = ("", "<", ">", "=", "!", "~", ";", "(")


@dataclass(slots=True)
class Inputs:
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
        below = Inputs(self.folder, self.inputs)
        lists = [pyproject.table("project").get("dependencies")]
        lists += pyproject.table("project", "optional-dependencies").values()
        for text in (text for texts in lists for text in (texts if isinstance(texts, list) else ())):
            below.name(str(text))
            match = _REQUIREMENT.match(str(text))
            if match and match[3] and not is_remote(match[3]):
                with suppress(UsageError):
                    below._local(file_of(match[3]), Place(pyproject.file), pyproject.file)
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
        other = Inputs(self.folder)
        wanted = Inputs(self.folder)
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
            if leads_out(path):
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
        if not root and leads_out(lock.file):
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
        if not source or not leads_out(lock):
            return source == "."
        return (self.folder.root / posixpath.dirname(lock) / source).resolve() == self.folder.root.resolve()

    def _member(self, local: str, lock: str) -> None:
        """A local project that ``lock`` names: in the folder, or in the workspace around it, whose lock was named."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(lock), local))
        if not leads_out(lock) or leads_out(posixpath.normpath(local)):
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
        for number, line in logical_lines(text):
            self._line(line, path, Place(path, number), (*above, path), bounds=bounds)

    def _line(self, line: str, path: str, place: Place, above: tuple[str, ...], *, bounds: bool) -> None:
        option, value = split_option(line)
        if option in {"-r", "--requirement", "-c", "--constraint"}:
            if not value:
                raise UsageError(f"{option} names no file", place=place)
            if not is_remote(value):
                file = self.folder.inside(file_of(value), place, beside=path)
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
        if is_remote(value) or value.startswith("/"):
            return
        for beside in (path, ""):
            directory = posixpath.normpath(posixpath.join(posixpath.dirname(beside), value))
            if not directory.startswith("..") and self.folder.has_directory(directory):
                names = sorted(item.name for item in (self.folder.root / directory).iterdir())
                self.inputs.update(dict.fromkeys(f"{directory}/{name}" for name in names if name.endswith(ARCHIVES)))
                return

    def _requirement(self, text: str, place: Place, beside: str, *, editable: bool = False) -> None:
        text = re.split(r"\s--?[a-z]|\s*;\s|\s;", text, maxsplit=1)[0].strip()
        if not text:
            if editable:
                raise UsageError("-e names no project", place=place)
            return
        match = _REQUIREMENT.match(text)
        if match and (match[3] or not (editable or is_path(text) or is_url(text))):
            if text[match.end() :].lstrip()[:1] not in _AFTER_NAME:
                raise UsageError(f"{text!r} is not a requirement", place=place, hint="Example: flask>=3.1.")
            self._named(match[1], match[2] or "")
            if match[3] and not is_remote(match[3]):
                self._local(file_of(match[3]), place, beside)
        elif is_remote(text):
            egg = re.search(rf"[#&]egg=({_NAME.pattern})", text)
            file = re.split("[?#]", text, maxsplit=1)[0].rpartition("/")[2]
            if egg or file.endswith(".whl"):
                self.names.add(normal(egg[1] if egg else file.partition("-")[0]))
        else:
            self._local(re.sub(r"\[[^\[\]]*\]$", "", file_of(text)), place, beside)

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
        if path.endswith(ARCHIVES) and self.folder.has(path):
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

"""Which file says what the application needs, and everything that a resolution of it will read."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from wherry.errors import Place, UsageError, did_you_mean
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import ProjectOptions
from wherry.plan import Requirements, RequirementsKind

PREFERENCE: tuple[RequirementsKind, ...] = ("pylock", "uv.lock", "requirements.txt", "pyproject")
_FILES: Mapping[RequirementsKind, str] = {
    "pylock": "pylock.toml",
    "uv.lock": "uv.lock",
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


def is_package(pyproject: Document) -> bool:
    """Whether the project is itself a package, by uv's rule: tool.uv.package, else whether it has a build system."""
    chosen = pyproject.table("tool", "uv").get("package")
    if isinstance(chosen, bool):
        return chosen
    return "build-system" in pyproject.values


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
    if kind == "uv.lock":
        collected.leave_out(pyproject, extras, groups)
    if kind == "pyproject":
        collected.project(pyproject, extras, groups)
    if "project" in pyproject.values and is_package(pyproject):
        collected.add_project(".")
    requirements = Requirements(
        kind=kind,
        path=path,
        inputs=tuple(collected.inputs),
        projects=tuple(sorted(collected.projects)),
        extras=extras,
        groups=groups,
        indexes=options.indexes,
    )
    return Needs(requirements, why, frozenset(collected.names))


def _choose(folder: Folder, pyproject: Document, options: ProjectOptions) -> tuple[RequirementsKind, str, str]:
    if options.requirements:
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


_UNREAD = {
    "Pipfile.lock": "Export it: `pipenv requirements > requirements.txt`.",
    "Pipfile": "Lock and export it: `pipenv requirements > requirements.txt`.",
    "setup.py": "Write `.` into requirements.txt, or move the metadata to pyproject.toml's [project] (PEP 621).",
}
"""Files that hold requirements in forms of their own: passing over them would give an image that lacks them."""


def _kind(path: str) -> RequirementsKind:
    name = path.rpartition("/")[2]
    if name == "pylock.toml" or re.fullmatch(r"pylock\.[^.]+\.toml", name):
        return "pylock"
    if path in {"uv.lock", "pyproject.toml"}:
        return "uv.lock" if path == "uv.lock" else "pyproject"
    if name.endswith((".toml", ".lock")):
        hint = "Give a pylock.toml, uv.lock, pyproject.toml or a file in the form of requirements.txt."
        raise UsageError(f"{path} is not a file of requirements", place=Place("--requirements"), hint=hint)
    return "requirements.txt"


def _no_project_table(folder: Folder, pyproject: Document) -> UsageError:
    if not folder.has(pyproject.file):
        return UsageError("the project has no pyproject.toml", hint="An extra or group, and uv.lock, need one.")
    hint = "Write the dependencies into [project] (PEP 621), or export them to pylock.toml or requirements.txt."
    if "poetry" in pyproject.table("tool"):
        hint = "Poetry's own table is not read: `poetry export -o requirements.txt`, or move to [project] (PEP 621)."
    return UsageError("there is no [project] table", place=Place(pyproject.file), hint=hint)


def _check_names(pyproject: Document, what: str, wanted: Iterable[str], table: tuple[str, ...]) -> None:
    known = {normal(name) for name in pyproject.table(*table)}
    for name in wanted:
        if name not in known:
            place = Place(pyproject.file, pyproject.place(*table).line)
            hint = did_you_mean(name, known) if known else f"There is no [{'.'.join(table)}] table."
            raise UsageError(f"there is no {what} {name!r}", place=place, hint=hint)


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
        for name in _METADATA:
            file = name if path == "." else f"{path}/{name}"
            if self.folder.has(file):
                self.inputs[file] = None

    # -- pyproject.toml --------------------------------------------------------------------------

    def project(self, pyproject: Document, extras: Iterable[str], groups: Iterable[str]) -> None:
        self.inputs[pyproject.file] = None
        if "dynamic" in pyproject.table("project"):
            self.inputs.update(dict.fromkeys(file for file in _METADATA[1:] if self.folder.has(file)))
        for text in _written(pyproject, extras, groups):
            self._requirement(text, pyproject.place("project", "dependencies"), pyproject.file)
        sources = pyproject.table("tool", "uv", "sources")
        for name, source in sources.items():
            for one in source if isinstance(source, list) else [source]:
                if isinstance(one, Mapping) and isinstance(one.get("path"), str) and normal(name) in self.names:
                    self._local(one["path"], pyproject.place("tool", "uv", "sources", name), pyproject.file)

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
            if re.search(r'^source = \{ (?:editable|directory|virtual) = "(?!\.")', text, re.MULTILINE):
                self._uv_projects(Document.read(self.folder, path), extras, groups)
        # TOML has many ways to write a table, and with a backslash even of its name: only a parser knows them all.
        elif re.search(r"""directory|\\|packages["']?\s*=""", text):
            self._pylock_projects(Document.read(self.folder, path))

    def _pylock_projects(self, lock: Document) -> None:
        packages = lock.values.get("packages")
        for package in packages if isinstance(packages, list) else []:
            if not isinstance(package, Mapping):
                continue
            if isinstance(package.get("name"), str):
                self.names.add(normal(package["name"]))
            directory = package.get("directory")
            if isinstance(directory, Mapping) and isinstance(directory.get("path"), str):
                self._local(directory["path"], Place(lock.file), lock.file)

    def _uv_projects(self, lock: Document, extras: tuple[str, ...], groups: tuple[str, ...]) -> None:
        """The local projects that the root needs; uv.lock lists every member of a workspace."""
        packages = lock.values.get("package")
        by_name: dict[str, list[Mapping[str, object]]] = {}
        root = ""
        for package in packages if isinstance(packages, list) else []:
            by_name.setdefault(str(package.get("name")), []).append(package)
            if _source(package, "editable", "virtual", "directory") == ".":
                root = str(package.get("name"))
        waiting: list[tuple[str, tuple[str, ...]]] = [(root, (*extras, *groups))]
        seen: set[tuple[str, tuple[str, ...]]] = set()
        while waiting:
            name, wanted = waiting.pop()
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            for package in by_name.get(name, []):
                local = _source(package, "editable", "directory")
                if local and local != ".":
                    self._local(local, Place(lock.file), lock.file)
                for dependency in _uv_dependencies(package, wanted, is_root=name == root):
                    extra = dependency.get("extra")
                    chosen = tuple(map(str, extra)) if isinstance(extra, list) else ()
                    waiting.append((str(dependency.get("name")), chosen))

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

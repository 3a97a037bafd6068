"""Requirements to a lock: what the project asks for, made exact for one target (PEP 751), by uv.

A resolution is remembered by what went into it: the contents of the files that state the requirements, the
target, the index settings, uv itself. A remembered one costs no process and no network.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import Place, UsageError, WherryError
from wherry.events import Task
from wherry.image.json import as_str
from wherry.plan import DEFAULT_EPOCH, Requirements
from wherry.store import Store
from wherry.target import Target
from wherry.wheels import lock as locks
from wherry.wheels.indexes import Settings, has_credentials, read_settings, redact
from wherry.wheels.requirements import FileOptions, expanded, read_options

if TYPE_CHECKING:
    from packaging.pylock import Pylock

    from wherry.fetch import Fetcher

_FORMAT = "1"  # of what is remembered; a new one forgets the old
_DISTRIBUTIONS = (".whl", ".gz", ".tgz", ".zip", ".bz2", ".xz")


def resolve(
    requirements: Requirements,
    target: Target,
    context: Path,
    *,
    store: Store,
    offline: bool = False,
    upgrade: bool = False,
    task: Task | None = None,
    fetcher: Fetcher | None = None,
) -> str:
    """The lock (pylock.toml's text) that ``requirements`` of the project in ``context`` come to on ``target``.

    Relative paths in it start at ``context``. ``upgrade`` resolves anew, ``offline`` uses only what is cached.
    ``fetcher`` will be wanted next: it gets ready meanwhile, and learns the indexes' credentials.
    Raises :class:`~wherry.errors.WherryError`: for requirements that do not exist, contradict each other or have
    no wheel for the target, for an index that cannot be reached or refuses, for a lock that does not fit.
    """
    if requirements.kind == "none":
        return _project_only(requirements, context)
    files = _read_inputs(requirements, context)
    if requirements.kind == "pylock":
        return _own_lock(requirements, context, files)
    options = read_options(files.values()) if requirements.kind == "requirements.txt" else FileOptions({})
    settings = read_settings(requirements.indexes, context, own_index=options.own_index, own_urls=options.urls)
    if fetcher is not None:
        settings.introduce(fetcher)
    key = _key(requirements, target, files, settings)
    with store.once(key):
        found = None if upgrade else store.cache.get(key)
        if found is not None:
            if task is not None:
                task.cached()
            return as_str(found.get("lock"), "a remembered lock")
        if fetcher is not None:
            fetcher.prepare()
        work = _Resolution(requirements, target, context, store, settings, offline, upgrade, task)
        text = work.from_uv_lock(files) if requirements.kind == "uv.lock" else work.compiled(options)
        if not has_credentials(text):  # such a lock may be used, not kept
            store.cache.put(key, {"lock": text})
        return text


@dataclass(frozen=True, slots=True)
class _Resolution:
    """One resolution that has to be done."""

    requirements: Requirements
    target: Target
    context: Path
    store: Store
    settings: Settings
    offline: bool
    upgrade: bool
    task: Task | None

    def from_uv_lock(self, files: Mapping[str, str]) -> str:
        """What uv.lock holds, as a lock; without an interpreter, and without the network."""
        from wherry.wheels.uv import UvFailed, explained
        from wherry.wheels.uvlock import check_current

        path = self.requirements.path
        folder = posixpath.dirname(path)
        check_current(path, files[path], self.context / folder, self.target)
        arguments = ["export", "--frozen", "--format", "pylock.toml", "--no-default-groups", "--no-editable"]
        arguments += [f"--extra={name}" for name in self.requirements.extras]
        arguments += [f"--group={name}" for name in self.requirements.groups]
        try:
            text = self._uv([*arguments, "--quiet"], cwd=self.context / folder)
        except UvFailed as failed:
            raise explained(failed.output, what=path, context=self.context) from None
        return locks.write(self._with_projects(locks.rebased(locks.parse(text, path), folder)))

    def compiled(self, options: FileOptions) -> str:
        """A resolution of requirements.txt or pyproject.toml for the target."""
        from wherry.wheels.missing import completed
        from wherry.wheels.requirements import held_to
        from wherry.wheels.select import NoUsableWheel, choose
        from wherry.wheels.uv import UvFailed

        what = self.requirements.path
        with self._place() as place:
            try:
                text = self._uv(self._compile_arguments(), cwd=place, stdin=self._compile_input())
            except UvFailed as failed:
                raise self._failure(failed.output, place) from None
        lock = self._with_projects(held_to(locks.parse(text, what), options, what))
        try:
            chosen = choose(lock, self.target, context=self.context, what=what)
        except NoUsableWheel as error:
            raise NoUsableWheel(completed(error.missing, self.target, self._listing), self.target) from None
        if self.task is not None:
            self.task.detail = f"{len(chosen)} distributions"
        return locks.write(lock)

    def _failure(self, output: str, place: Path) -> WherryError:
        """Why uv could not resolve the requirements: for want of a wheel, or as it says."""
        from wherry.wheels.missing import completed
        from wherry.wheels.select import Missing, NoUsableWheel
        from wherry.wheels.uv import explained, failed_build, reasoning, without_wheel

        broken = failed_build(output)
        if broken is not None:
            why = "uv had to build it to learn what it requires, and that failed"
            lacking = [Missing(*broken, source="a source distribution", why=why)]
        else:
            why = reasoning(output)
            lacking = [Missing(name, version, why=why) for name, version in without_wheel(output)]
        if lacking:
            return NoUsableWheel(completed(lacking, self.target, self._listing), self.target)
        told = output.replace(str(place), str(self.context))  # it may have been a copy
        return explained(told, what=self.requirements.path, context=self.context, offline=self.offline)

    def _uv(self, arguments: list[str], *, cwd: Path, stdin: str = "") -> str:
        from wherry.wheels.uv import run_uv

        return run_uv(
            arguments,
            store=self.store,
            settings=self.settings,
            cwd=cwd,
            offline=self.offline,
            stdin=stdin,
        )

    def _compile_arguments(self) -> list[str]:
        from wherry.wheels.tags import uv_platform, uv_version
        from wherry.wheels.uv import python_options

        requirements = self.requirements
        arguments = [
            "pip",
            "compile",
            "--format",
            "pylock.toml",
            "--no-header",
            *self.settings.options,
            *python_options(),
        ]
        arguments += ["--python-version", uv_version(self.target), "--python-platform", uv_platform(self.target)]
        if self.upgrade and not self.offline:
            arguments.append("--refresh")
        folder = posixpath.dirname(requirements.path)
        arguments += [f"--group={posixpath.join(folder, 'pyproject.toml')}:{name}" for name in requirements.groups]
        if requirements.kind == "requirements.txt":
            arguments.append(requirements.path)
        elif not self._installs_itself():
            arguments += [requirements.path, *(f"--extra={name}" for name in requirements.extras)]
        if self._compile_input():
            arguments.append("-")
        return arguments

    def _compile_input(self) -> str:
        """The project itself as a requirement, with its extras."""
        if not self._installs_itself():
            return ""
        extras = f"[{','.join(self.requirements.extras)}]" if self.requirements.extras else ""
        return f"./{_here(self.requirements)}{extras}\n"

    def _installs_itself(self) -> bool:
        return _here(self.requirements) in self.requirements.projects

    def _with_projects(self, lock: Pylock) -> Pylock:
        """``lock`` with every project that is to be installed (uv leaves out what it takes for a virtual one)."""
        for path in self.requirements.projects:
            if name := project_name(self.context / path):
                lock = locks.with_project(lock, name, path)
        return lock

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """Where uv is to run: the context, or a copy if uv would have a backend write into it.

        A project with dynamic metadata must be prepared by its backend, and setuptools leaves an egg-info
        folder where it works.
        """
        own = [_here(self.requirements)] if self.requirements.kind == "pyproject" else []
        if not any(_is_dynamic(self.context / path) for path in (*self.requirements.projects, *own)):
            yield self.context
            return
        import shutil

        from wherry.wheels import tree

        root = self.store.scratch() / f"resolve-{os.urandom(8).hex()}"
        outside = [posixpath.normpath(path) for path in self.requirements.projects if not _is_inside(path)]
        depth = max((path.split("/").count("..") for path in outside), default=0)
        place = root.joinpath(*[f"up{number}" for number in range(depth)], "context")
        try:
            place.mkdir(parents=True)
            copy = tree.copy(self.context, place, epoch=DEFAULT_EPOCH, without=self.store.path.resolve())
            for path in outside:
                if not posixpath.isabs(path):
                    tree.copy(self.context / path, copy / path, epoch=DEFAULT_EPOCH)
            yield copy
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def _listing(self, requirement: str, python: str) -> str:
        """A lock of just ``requirement`` for every platform, for Python ``python`` and later."""
        from wherry.wheels.uv import python_options

        arguments = ["pip", "compile", "--format", "pylock.toml", "--universal", "--no-deps", "--no-build", "--quiet"]
        arguments += python_options()
        return self._uv(
            [*arguments, *self.settings.options, "--python-version", python, "-"], cwd=self.context, stdin=requirement
        )


def project_name(folder: Path) -> str:
    """The name in ``folder``'s pyproject.toml, or an empty one."""
    project = _table(folder / "pyproject.toml").get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else ""


def _own_lock(requirements: Requirements, context: Path, files: Mapping[str, str]) -> str:
    """The project's own pylock.toml."""
    path = requirements.path
    lock = locks.parse(files[path], path)
    for kind, asked, known in (
        ("extra", requirements.extras, lock.extras),
        ("dependency group", requirements.groups, lock.dependency_groups),
    ):
        for name in asked:
            if name not in (known or ()):
                have = ", ".join(known or ()) or "none"
                raise UsageError(f"{path} has no {kind} {name!r}", hint=f"It has: {have}.")
    moved = locks.rebased(lock, posixpath.dirname(path))
    for project in requirements.projects:
        if name := project_name(context / project):
            moved = locks.with_project(moved, name, project)
    return files[path] if moved is lock else locks.write(moved)


def _project_only(requirements: Requirements, context: Path) -> str:
    """The lock of a project that states no requirements; it may be a package all the same."""
    lock = locks.parse(locks.EMPTY)
    for path in requirements.projects:
        if name := project_name(context / path):
            lock = locks.with_project(lock, name, path)
    return locks.write(lock)


def _here(requirements: Requirements) -> str:
    """The folder of the requirements, as the projects name it."""
    return posixpath.dirname(requirements.path) or "."


def _table(path: Path) -> Mapping[str, object]:
    """A TOML file's content; an empty table if it is not there, or is not TOML."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _is_dynamic(folder: Path) -> bool:
    """Whether only the project's backend can tell its metadata."""
    project = _table(folder / "pyproject.toml").get("project")
    return not isinstance(project, dict) or bool(project.get("dynamic"))


def _is_inside(path: str) -> bool:
    normal = posixpath.normpath(path)
    return not posixpath.isabs(normal) and normal.split("/")[0] != ".."


def _read_inputs(requirements: Requirements, context: Path) -> dict[str, str]:
    """The files that decide the result, by their names in the requirements; of distributions just a hash.

    Variables in requirements files are filled in: another value is another input.
    """
    files: dict[str, str] = {}
    for name in dict.fromkeys((requirements.path, *requirements.inputs)):
        path = context / name
        try:
            if name.endswith(_DISTRIBUTIONS):
                with path.open("rb") as file:
                    files[name] = file_digest(file, "sha256").hexdigest()
            else:
                files[name] = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", place=Place(name)) from None
    if requirements.kind == "requirements.txt":
        files = {name: expanded(text, os.environ) for name, text in files.items()}
    return files


def _key(requirements: Requirements, target: Target, files: Mapping[str, str], settings: Settings) -> str:
    """The cache key of a resolution. It is a hash, of nothing that is secret."""
    from wherry.wheels.uv import uv_identity

    parts: list[object] = [
        _FORMAT,
        uv_identity(),
        requirements.kind,
        requirements.path,
        [requirements.projects, requirements.extras, requirements.groups],
        [str(target.platform), str(target.libc), target.interpreter.version],
        {name: sha256(redact(text).encode(errors="surrogateescape")).hexdigest() for name, text in files.items()},
        settings.fingerprint if requirements.kind != "uv.lock" else (),
    ]
    return "resolve:" + sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

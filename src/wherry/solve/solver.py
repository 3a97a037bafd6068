"""Solve: the stages that the target needs, those side by side that do not need each other, each step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from threading import Lock
from typing import assert_never

from wherry.events import Task
from wherry.image import History, Image
from wherry.image.config import timestamp
from wherry.plan import (
    Base,
    BuildWheels,
    Configure,
    Copy,
    Install,
    Origin,
    Packages,
    Plan,
    Run,
    Stage,
    StageRef,
    Step,
    Virtualenv,
    Workdir,
    title,
)
from wherry.solve.base import open_base
from wherry.solve.configure import configure
from wherry.solve.snapshot import Snapshot
from wherry.solve.stage import placed
from wherry.solve.work import Options, Work
from wherry.sources.base import names_path

__all__ = ["Options", "solve"]

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
CREATED = "org.opencontainers.image.created"

_STAGES_AT_ONCE = 8


def solve(work: Work) -> Image:
    """Build the target of ``work.plan``. Raises :class:`~wherry.errors.WherryError` if a step fails."""
    plan = work.plan
    stages = needed_stages(plan)
    for stage in stages:
        for step in stage.steps:
            if isinstance(step, Run):
                with placed(step):
                    work.options.run.check(step)
    building = Building(work)
    snapshots = building.in_turn(stages) if _is_chain(stages) else building.side_by_side(stages)
    return _image(plan, snapshots[plan.target])


def needed_stages(plan: Plan) -> list[Stage]:
    """The stages that the target needs, in the Plan's order."""
    needed = {plan.target}
    for stage in reversed(plan.stages):
        if stage.name in needed:
            needed |= _needs(stage)
    return [stage for stage in plan.stages if stage.name in needed]


def _needs(stage: Stage) -> set[str]:
    """The stages that ``stage`` itself names."""
    origins: list[Origin | None] = [stage.base]
    for step in stage.steps:
        if isinstance(step, Copy):
            origins.append(step.origin)
        elif isinstance(step, Packages):
            origins.append(step.libraries_of)
        elif isinstance(step, Run):
            origins += [mount.origin for mount in step.mounts]
    return {origin.stage for origin in origins if isinstance(origin, StageRef)}


def _is_chain(stages: list[Stage]) -> bool:
    """Whether each stage waits for the one before it: then there is nothing to do side by side."""
    return all(before.name in _needs(stage) for before, stage in pairwise(stages))


class Building:
    """The stages of one Plan being built. A base that several start from is opened once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._bases: dict[Base, Snapshot] = {}
        self._opening: dict[Base, Lock] = {}

    def in_turn(self, stages: list[Stage]) -> dict[str, Snapshot]:
        """Build one after the other."""
        snapshots: dict[str, Snapshot] = {}
        for stage in stages:
            snapshots[stage.name] = self._stage(stage, snapshots)
        return snapshots

    def side_by_side(self, stages: list[Stage]) -> dict[str, Snapshot]:
        """Build each as soon as those that it needs are there. The first failure ends the build."""
        from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

        snapshots: dict[str, Snapshot] = {}
        waiting = list(stages)
        running: dict[Future[Snapshot], str] = {}
        with ThreadPoolExecutor(_STAGES_AT_ONCE, thread_name_prefix="stage") as pool:
            try:
                while waiting or running:
                    for stage in [one for one in waiting if _needs(one) <= snapshots.keys()]:
                        waiting.remove(stage)
                        running[pool.submit(self._stage, stage, dict(snapshots))] = stage.name
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        snapshots[running.pop(future)] = future.result()
            except BaseException:
                self._work.stop.stop()
                raise
        return snapshots

    def _stage(self, stage: Stage, snapshots: Mapping[str, Snapshot]) -> Snapshot:
        work = self._work.within(stage.name)
        with work.reporter.step(f"stage {stage.name}") as task:
            if isinstance(stage.base, StageRef):
                snapshot = snapshots[stage.base.stage]
            else:
                snapshot = self._base(stage, stage.base, work, task)
            for step in stage.steps:
                work.stop.check()
                with task.step(title(step)) as part:
                    snapshot = apply(step, snapshot, work, part, snapshots)
        return snapshot

    def _base(self, stage: Stage, base: Base, work: Work, task: Task) -> Snapshot:
        """The base of ``stage``; who asks first opens it, others wait."""
        with self._opening.setdefault(base, Lock()):
            if base not in self._bases:
                inspected = needs_python(stage) or base.bytecode
                self._bases[base] = open_base(base, work, task, inspected=inspected)
            return self._bases[base]


def needs_python(stage: Stage) -> bool:
    """Whether a step of ``stage`` is for the base's Python, so that the base must be looked into."""
    return any(isinstance(step, Virtualenv | BuildWheels | Install | Packages) for step in stage.steps)


def apply(step: Step, snapshot: Snapshot, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Snapshot:
    """What ``step`` makes of ``snapshot``; ``stages`` are those that are built."""
    # Each kind of step is imported where there is one: a build that has nothing to do imports little.
    match step:
        case Virtualenv():
            from wherry.solve.virtualenv import create_virtualenv

            return create_virtualenv(step, snapshot, work, task)
        case BuildWheels():
            from wherry.solve.wheels import build_wheels

            return build_wheels(step, snapshot, work, task)
        case Install():
            from wherry.solve.install import install

            return install(step, snapshot, work, task)
        case Packages():
            from wherry.solve.packages import add_packages

            return add_packages(step, snapshot, work, task, stages)
        case Copy():
            from wherry.solve.copy import copy

            return copy(step, snapshot, work, task, stages)
        case Run():
            from wherry.solve.run import run

            return run(step, snapshot, work, task, stages)
        case Workdir():
            from wherry.solve.workdir import create_workdir

            return create_workdir(step, snapshot, work, task)
        case Configure():
            return configure(step, snapshot, work, task)
        case _:
            assert_never(step)


def base_history(base: Image) -> tuple[History, ...]:
    """The history of ``base``, with a line for each layer that has none: readers count one for each."""
    told = sum(not line.empty_layer for line in base.config.history)
    missing = History("a layer of the base", base.config.created)
    return (*base.config.history, *(missing for _ in base.layers[told:]))


def _image(plan: Plan, snapshot: Snapshot) -> Image:
    base = snapshot.base
    created = snapshot.created if plan.times == "real" else timestamp(plan.epoch)
    config = replace(
        base.config,
        platform=plan.platform if plan.times == "fixed" else base.config.platform,
        runtime=snapshot.runtime,
        history=(*base_history(base), *snapshot.history),
        created=created,
        author=snapshot.author,
    )
    stage = plan.stage(plan.target)
    annotations = {CREATED: created} if plan.times == "fixed" else {}
    if plan.times == "fixed" and isinstance(stage.base, Base) and base.layers:
        annotations[BASE_DIGEST] = base.digest
        if not names_path(stage.base.source):  # where a folder lies on this machine is nobody's business
            annotations[BASE_NAME] = stage.base.source
    return Image.of(config, snapshot.layers, annotations)

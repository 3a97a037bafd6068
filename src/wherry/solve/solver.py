"""Solve: the stages that the target needs, in order, each from its base through its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from wherry.events import Task
from wherry.image import Image
from wherry.image.config import timestamp
from wherry.plan import (
    Base,
    BuildWheels,
    Configure,
    Copy,
    Install,
    Packages,
    Plan,
    Stage,
    StageRef,
    Step,
    Virtualenv,
    title,
)
from wherry.solve.base import open_base
from wherry.solve.configure import configure
from wherry.solve.copy import copy
from wherry.solve.install import install
from wherry.solve.packages import add_packages
from wherry.solve.snapshot import Snapshot
from wherry.solve.virtualenv import create_virtualenv
from wherry.solve.wheels import build_wheels
from wherry.solve.work import Options, Work
from wherry.sources.base import names_path

__all__ = ["Options", "solve"]

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
CREATED = "org.opencontainers.image.created"


def solve(work: Work) -> Image:
    """Build the target of ``work.plan``. Raises :class:`~wherry.errors.WherryError` if a step fails."""
    plan = work.plan
    snapshots: dict[str, Snapshot] = {}
    bases: dict[Base, Snapshot] = {}
    for stage in needed_stages(plan):
        with work.reporter.step(f"stage {stage.name}") as task:
            if isinstance(stage.base, StageRef):
                snapshot = snapshots[stage.base.stage]
            else:
                if stage.base not in bases:
                    bases[stage.base] = open_base(stage.base, work, task)
                snapshot = bases[stage.base]
            for step in stage.steps:
                with task.step(title(step)) as part:
                    snapshot = _apply(step, snapshot, work, part, snapshots)
            snapshots[stage.name] = snapshot
    return _image(plan, snapshots[plan.target])


def needed_stages(plan: Plan) -> list[Stage]:
    """The stages that the target needs, in the Plan's order."""
    needed = {plan.target}
    for stage in reversed(plan.stages):
        if stage.name in needed:
            origins = [step.origin for step in stage.steps if isinstance(step, Copy)]
            needed |= {origin.stage for origin in (*origins, stage.base) if isinstance(origin, StageRef)}
    return [stage for stage in plan.stages if stage.name in needed]


def _apply(step: Step, snapshot: Snapshot, work: Work, task: Task, stages: dict[str, Snapshot]) -> Snapshot:
    match step:
        case Virtualenv():
            return create_virtualenv(step, snapshot, work, task)
        case BuildWheels():
            return build_wheels(step, snapshot, work, task)
        case Install():
            return install(step, snapshot, work, task)
        case Packages():
            return add_packages(step, snapshot, work, task)
        case Copy():
            return copy(step, snapshot, work, task, stages)
        case Configure():
            return configure(step, snapshot, work, task)
        case _:
            assert_never(step)


def _image(plan: Plan, snapshot: Snapshot) -> Image:
    created = timestamp(plan.epoch)
    base = snapshot.base
    config = replace(
        base.config,
        platform=plan.platform,
        runtime=snapshot.runtime,
        history=(*base.config.history, *snapshot.history),
        created=created,
    )
    stage = plan.stage(plan.target)
    annotations = {CREATED: created}
    if isinstance(stage.base, Base) and base.layers:
        annotations[BASE_DIGEST] = base.digest
        if not names_path(stage.base.source):  # where a folder lies on this machine is nobody's business
            annotations[BASE_NAME] = stage.base.source
    return Image.of(config, (*base.layers, *(added.layer for added in snapshot.added)), annotations)

"""BuildWheels: a wheel for each local project, by its own backend."""

from __future__ import annotations

from dataclasses import replace

from wherry.events import Task
from wherry.plan import BuildWheels
from wherry.solve.selection import selection
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.wheels.distribution import Distribution, Project


def build_wheels(step: BuildWheels, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Build what the resolution names as a local project. Nothing of it enters a layer before it is installed."""
    target = target_of(snapshot)
    snapshot, chosen = selection(step.requirements, snapshot, work, task)
    projects = [one for one in chosen if isinstance(one, Project)]
    wheels: list[tuple[str, Distribution]] = []
    if projects:
        from wherry.wheels.project import build_wheel
    cached = bool(projects)
    for project in projects:
        with task.step(f"build {project.name} of {project.path}") as part:
            wheel, _ = build_wheel(
                project,
                work.context,
                target=target,
                store=work.store,
                offline=work.options.offline,
                epoch=work.plan.epoch,
                indexes=step.requirements.indexes,
                task=part,
                anew=work.options.no_cache,
            )
            cached = cached and part.outcome == "cached"
        wheels.append((project.path, wheel))
    if cached:
        task.cached()
    task.detail = "" if projects else "everything has a wheel"
    return replace(snapshot, wheels=(*snapshot.wheels, *wheels))

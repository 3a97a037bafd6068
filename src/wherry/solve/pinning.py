"""Pins for a build: what they must have been made for, those of a project's wherry.lock, and new ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from wherry import lockfile
from wherry.errors import Place, UsageError
from wherry.events import Task
from wherry.pins import RENEW, Ledger
from wherry.plan import Base, BuildWheels, Install, Packages, Plan, StageRef, Step
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Options, Work

_FILE = "file "  # begins the names of files among what a lock is made for


def ledger(plans: Sequence[Plan], context: Path, options: Options) -> Ledger:
    """The ledger for a build of ``plans`` of the project in ``context``: with the pins of its wherry.lock, if any.

    Raises :class:`UsageError` for a lock that is none, or is not that of the project as it is now.
    """
    pins = None if options.no_lock else lockfile.read(context)
    if pins is None:
        return Ledger()
    if found := differences(pins.made_for, made_for(plans, context)):
        raise UsageError(
            f"it is not the lock of this build: {'; '.join(found)}", place=Place(lockfile.NAME), hint=RENEW
        )
    if options.upgrade:
        raise UsageError(
            "--upgrade resolves anew, and what wherry.lock pins is taken from there",
            hint="`wherry lock --upgrade` pins what there is now; --no-lock builds without the lock.",
        )
    return Ledger(pins, "locked")


def made_for(plans: Sequence[Plan], context: Path) -> Mapping[str, str]:
    """All that decides what the pins of ``plans`` are, but for where things are got from. Plans differ in the platform.

    Raises :class:`UsageError` for a file of requirements that cannot be read.
    """
    plan = plans[0]
    base = next(stage.base for stage in plan.stages if isinstance(stage.base, Base))
    found = {
        "base": base.source,
        "python": base.python,
        "platforms": ", ".join(sorted({str(one.platform) for one in plans})),
    }
    for step in (step for stage in plan.stages for step in stage.steps):
        match step:
            case BuildWheels():
                found |= _of_building(step)
            case Install():
                found |= _of_requirements(step, context)
            case Packages():
                found["packages"] = ", ".join(sorted(step.names))
    return {name: value for name, value in found.items() if value}


def _of_building(step: BuildWheels) -> Mapping[str, str]:
    from wherry.wheels.indexes import redact

    settings = sha256(json.dumps(sorted(step.config_settings)).encode()).hexdigest() if step.config_settings else ""
    return {
        "build-base": step.base.source if step.base else "",
        "build-packages": ", ".join(sorted(set(step.packages))),
        "build-constraints": redact(", ".join(sorted(step.constraints))),
        "build-env": ", ".join(sorted(name for name, _ in step.env)),  # values may be secret
        "config-settings": settings and f"sha256:{settings}",
        "native-libs": step.native_libs,
    }


def _of_requirements(step: Install, context: Path) -> Mapping[str, str]:
    from wherry.wheels.inputs import digests

    wanted = step.requirements
    return {
        "requirements": wanted.path,
        "projects": ", ".join(wanted.projects),
        "extras": ", ".join(sorted(wanted.extras)),
        "groups": ", ".join(sorted(wanted.groups)),
        "no-binary": ", ".join(sorted(wanted.no_binary)),
        "only-binary": ", ".join(sorted(wanted.only_binary)),
        **{f"{_FILE}{name}": f"sha256:{digest}" for name, digest in digests(wanted, context).items()},
    }


def differences(locked: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """How ``now`` is another than ``locked``, in words. A lock for more platforms than are wanted will do."""
    found = []
    for name in dict.fromkeys((*now, *locked)):
        before, after = locked.get(name, ""), now.get(name, "")
        if name == "platforms":
            if missing := sorted(set(after.split(", ")) - set(before.split(", "))):
                found.append(f"it is for {before or 'no platform'}, not for {', '.join(missing)}")
        elif before != after and name.startswith(_FILE):
            how = "has changed" if before and after else "is new" if after else "is not read any more"
            found.append(f"{name.removeprefix(_FILE)} {how}")
        elif before != after and "sha256:" in before + after:
            found.append(f"{name} has changed")
        elif before != after:
            found.append(f"{name} is {after or 'not set'}, and was {before or 'not set'}")
    return tuple(found)


def ask(work: Work) -> None:
    """Ask everything that a build of ``work.plan`` asks its ledger; what is no question is not done.

    A wheel is built where only that tells what building it requires, or which libraries it needs. Raises
    :class:`~wherry.errors.WherryError` as a build does.
    """
    from wherry.solve.solver import needed_stages

    snapshots: dict[str, Snapshot] = {}
    bases: dict[Base, Snapshot] = {}
    for stage in needed_stages(work.plan):
        with work.reporter.step(f"stage {stage.name}") as task:
            here = work.within(stage.name)
            snapshot = (
                snapshots[stage.base.stage]
                if isinstance(stage.base, StageRef)
                else _opened(stage.base, bases, here, task)
            )
            for step in stage.steps:
                work.stop.check()
                snapshot = _asked(step, snapshot, here, task, snapshots)
            snapshots[stage.name] = snapshot


def _opened(base: Base, bases: dict[Base, Snapshot], work: Work, task: Task) -> Snapshot:
    from wherry.solve.base import open_base

    if base not in bases:
        bases[base] = open_base(replace(base, bytecode=False), work, task)
    return bases[base]


def _asked(step: Step, snapshot: Snapshot, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Snapshot:
    from wherry.plan import title

    match step:
        case BuildWheels():
            from wherry.solve.wheels import build_wheels

            with task.step(title(step)) as part:
                return build_wheels(step, snapshot, work, part)
        case Install():
            from wherry.solve.selection import selection

            return selection(step.requirements, snapshot, work, task)[0]
        case Packages():
            from wherry.solve.packages import add_packages

            with task.step(title(step)) as part:
                return add_packages(step, snapshot, work, part, stages)
        case _:
            return snapshot

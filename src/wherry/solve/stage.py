"""What COPY, ADD and WORKDIR share: the files of their stage, their cache keys, times and places."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wherry.errors import Place, WherryError
from wherry.image.digest import digest_of
from wherry.image.json import Json, dump
from wherry.plan import Instruction, Step, title
from wherry.solve.snapshot import Snapshot
from wherry.solve.states import open_layers
from wherry.solve.work import Work

if TYPE_CHECKING:
    from wherry.layers.source import LayeredTree
    from wherry.solve.copy.target import Look


@contextmanager
def stage_tree(snapshot: Snapshot, work: Work) -> Iterator[LayeredTree]:
    """The files of a stage as they are after ``snapshot``."""
    from wherry.layers.source import LayeredTree

    with open_layers(snapshot, work) as layers:
        yield LayeredTree(layers, work.store)


def state_of(snapshot: Snapshot) -> str:
    """What tells the files of ``snapshot`` from all others."""
    if snapshot.state and all(added.state for added in snapshot.added):
        return snapshot.state
    return digest_of(dump([layer.descriptor.digest for layer in snapshot.layers]))


def times_key(work: Work) -> Json:
    """What of the Plan's times decides what a layer is."""
    plan = work.plan
    return [plan.times] if plan.times == "real" else [plan.times, plan.epoch]


def look_of(work: Work) -> Look:
    """The times that files get."""
    from wherry.solve.copy.target import Look

    plan = work.plan
    match plan.times:
        case "real":
            return Look(time=int(time.time()))
        case "clamped":
            return Look(time=plan.epoch, latest=plan.epoch)
        case "fixed":
            return Look(time=plan.epoch, fixed=True)


def instruction_of(step: Step) -> Instruction:
    """The words of ``step``, its title if it has none."""
    found = getattr(step, "instruction", None)
    return found if isinstance(found, Instruction) else Instruction(title(step), title(step), Place(""))


@contextmanager
def placed(step: Step) -> Iterator[None]:
    """Say of an error where in the Dockerfile the step stands that meets it."""
    try:
        yield
    except WherryError as error:
        instruction = getattr(step, "instruction", None)
        if error.place is None and isinstance(instruction, Instruction):
            error.place = instruction.place
            error.hint = "\n".join(filter(None, (instruction.excerpt, error.hint))) or None
        raise

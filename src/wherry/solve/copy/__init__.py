"""COPY and ADD, as BuildKit carries them out, but straight into a layer: no file system is written to.

``selection`` says which files of an origin are meant, ``target`` where in the stage they go and what becomes of what is
there, ``pack`` writes the layer; ``mounts`` shows files to RUN. Project builds have a way of their own (``project``):
the same layer everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from wherry.events import Task
from wherry.plan import Copy
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work

Stages = Mapping[str, Snapshot]

__all__ = ["copy"]


def copy(step: Copy, snapshot: Snapshot, work: Work, task: Task, stages: Stages) -> Snapshot:
    """Carry out ``step``. Raises :class:`~wherry.errors.WherryError` at its place in the Dockerfile."""
    if step.normalise:
        from wherry.solve.copy.project import copy_normalised

        return copy_normalised(step, snapshot, work, task, stages)
    from wherry.solve.copy.step import copy_files

    return copy_files(step, snapshot, work, task, stages)

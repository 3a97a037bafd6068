"""The base of a stage: its image, what must be known of its content, and bytecode where it has none."""

from __future__ import annotations

from wherry.events import Task
from wherry.plan import Base
from wherry.solve.image import base_image
from wherry.solve.snapshot import Snapshot
from wherry.solve.stdlib import with_stdlib_bytecode
from wherry.solve.work import Work


def open_base(base: Base, work: Work, task: Task) -> Snapshot:
    """The state that a stage starts with. Raises :class:`~wherry.errors.WherryError` if the base cannot be had."""
    with task.step(f"base {base.source}") as part:
        image, facts = base_image(base, work.plan.platform, work, part)
        snapshot = Snapshot(image, facts, base, image.config.runtime)
        return with_stdlib_bytecode(snapshot, work, part) if base.bytecode else snapshot

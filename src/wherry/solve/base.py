"""The base of a stage: its image, what must be known of its content, and bytecode where it has none."""

from __future__ import annotations

from wherry.events import Task
from wherry.image.digest import digest_of
from wherry.image.json import dump
from wherry.plan import Base
from wherry.solve.image import base_image, facts_of
from wherry.solve.keys import content_of
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work
from wherry.sources.base import Facts


def open_base(base: Base, work: Work, task: Task, *, inspected: bool = True) -> Snapshot:
    """The state that a stage starts with; ``inspected`` looks for its Python.

    Raises :class:`~wherry.errors.WherryError` if the base cannot be had.
    """
    with task.step(f"base {base.source}") as part:
        image = base_image(base, work.plan.platform, work, part)
        facts = facts_of(image, work) if inspected else Facts(None, ())
        state = digest_of(dump(content_of(image)))
        snapshot = Snapshot(image, facts, base, image.config.runtime, state=state, author=image.config.author)
        if not base.bytecode:
            return snapshot
        from wherry.solve.stdlib import with_stdlib_bytecode

        return with_stdlib_bytecode(snapshot, work, part)

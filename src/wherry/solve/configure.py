"""Configure: set fields of the runtime config."""

from __future__ import annotations

from dataclasses import replace

from wherry.events import Task
from wherry.image.config import timestamp
from wherry.plan import Configure, title
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work


def configure(step: Configure, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Apply ``step`` to the config. An entry point of our own drops the base's command, as in a Dockerfile."""
    runtime = snapshot.runtime.with_env(dict(step.env))
    if step.entrypoint is not None:
        runtime = replace(runtime, entrypoint=step.entrypoint, cmd=())
    if step.cmd is not None:
        runtime = replace(runtime, cmd=step.cmd)
    if step.workdir is not None:
        runtime = replace(runtime, working_dir=step.workdir)
    if step.user is not None:
        runtime = replace(runtime, user=step.user)
    ports = tuple(dict.fromkeys((*runtime.exposed_ports, *step.ports)))
    runtime = replace(runtime, exposed_ports=ports, labels={**runtime.labels, **dict(step.labels)})
    return snapshot.configured(runtime, title(step), timestamp(work.plan.epoch))

"""Configure: set fields of the runtime config."""

from __future__ import annotations

from dataclasses import replace

from wherry.events import Task
from wherry.image import RuntimeConfig
from wherry.image.config import timestamp
from wherry.image.json import Json
from wherry.plan import Configure, Healthcheck, title
from wherry.solve.snapshot import COMMENT, Snapshot
from wherry.solve.work import Work


def configure(step: Configure, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Apply ``step`` to the config. An entry point of our own drops the base's command, as in a Dockerfile."""
    runtime = _configured(step, snapshot.runtime)
    if step.instruction is None:
        return snapshot.configured(runtime, title(step), timestamp(work.plan.epoch))
    if not step.instruction.created_by:  # what the builder adds by itself has no line in the history
        return replace(snapshot, runtime=runtime)
    created = snapshot.created if work.plan.times == "real" else timestamp(work.plan.epoch)
    return snapshot.configured(runtime, step.instruction.created_by, created, comment=COMMENT, author=step.author)


def _configured(step: Configure, runtime: RuntimeConfig) -> RuntimeConfig:
    runtime = runtime.with_env(dict(step.env)) if step.env else runtime
    if step.entrypoint is not None:
        runtime = replace(runtime, entrypoint=step.entrypoint, cmd=())
    if step.cmd is not None:
        runtime = replace(runtime, cmd=step.cmd)
    if step.workdir is not None:
        runtime = replace(runtime, working_dir=step.workdir)
    if step.user is not None:
        runtime = replace(runtime, user=step.user)
    if step.stop_signal is not None:
        runtime = replace(runtime, stop_signal=step.stop_signal)
    return replace(
        runtime,
        exposed_ports=tuple(dict.fromkeys((*runtime.exposed_ports, *step.ports))),
        volumes=tuple(dict.fromkeys((*runtime.volumes, *step.volumes))),
        labels={**runtime.labels, **dict(step.labels)},
        other=_others(step, dict(runtime.other)),
    )


def _others(step: Configure, other: dict[str, Json]) -> dict[str, Json]:
    """The fields of Docker's config that OCI's does not have."""
    if step.args_escaped:
        other["ArgsEscaped"] = True
    if step.shell is not None:
        other["Shell"] = list(step.shell)
    if step.healthcheck is not None:
        other["Healthcheck"] = _healthcheck(step.healthcheck)
    if step.onbuild_done:
        other.pop("OnBuild", None)
    if step.onbuild:
        before = other.get("OnBuild")
        other["OnBuild"] = [*(before if isinstance(before, list) else []), *step.onbuild]
    return other


def _healthcheck(check: Healthcheck) -> Json:
    fields: dict[str, Json] = {
        "Test": list(check.test),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {name: value for name, value in fields.items() if value}

"""Why a build failed: the end of what its backend said, what it lacks, and the Debian packages that have that."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.errors import WherryError
from wherry.events import Task
from wherry.plan import BuildWheels
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Stopped, Work
from wherry.wheels.lacking import Lacking, lacking
from wherry.wheels.uv import last_lines

_LINES = 20  # of output that are shown
_OTHERS = 2  # packages that are named beside the best one


def failed(what: str, output: str, step: BuildWheels, base: Snapshot, work: Work, task: Task) -> WherryError:
    """The error of a backend that could not build ``what`` in files that start from ``base``, and said ``output``."""
    things = lacking(output)
    hints = list(_advice(things, step, base, work, task))
    if not hints and things:
        hints = [f"It lacks {', '.join(map(str, things))}: add the Debian packages that have it to build-packages."]
    if not hints and _wants_network(output):
        hints = ["A build has no network. What it fetches must be a build requirement, a crate or a Debian package."]
    if not hints:
        hints = ["What it lacks goes into build-packages (Debian packages), build-env or config-settings."]
    return WherryError(f"no wheel can be built from {what}:\n{last_lines(output, _LINES)}", hint="\n".join(hints))


def _advice(things: tuple[Lacking, ...], step: BuildWheels, base: Snapshot, work: Work, task: Task) -> Iterator[str]:
    if step.base is not None:
        if things:
            yield f"{step.base.source} (build-base) must have {', '.join(map(str, things))}."
        return
    found = _packages(things, base, work, task)
    for thing in things:
        packages = [name for name in found.get(thing, ()) if name not in step.packages]
        if packages:
            others = f" (or {', '.join(packages[1 : 1 + _OTHERS])})" if len(packages) > 1 else ""
            yield f"{thing}: add `{packages[0]}` to build-packages{others}"


def _packages(things: tuple[Lacking, ...], base: Snapshot, work: Work, task: Task) -> dict[Lacking, tuple[str, ...]]:
    """The packages that have each of ``things``; none where the archive cannot be asked."""
    from wherry.debian.base import Workshop
    from wherry.debian.contents import providers
    from wherry.sources.debian import archive_of

    if not things:
        return {}
    workshop = Workshop(work.store, work.fetcher, base.origin.mirror, epoch=work.plan.epoch)
    try:
        archive = archive_of(base.base, workshop)
        if archive is None:
            return {}
        found = providers(archive, [thing.patterns for thing in things], work.fetcher, task)
    except Stopped:
        raise
    except WherryError as error:
        task.note(f"Debian's archive could not be asked what provides it: {error.message}")
        return {}
    return {thing: found.get(thing.patterns, ()) for thing in things}


def _wants_network(output: str) -> bool:
    low = output.lower()
    signs = ("temporary failure in name resolution", "could not resolve host", "network is unreachable")
    return any(sign in low for sign in signs)

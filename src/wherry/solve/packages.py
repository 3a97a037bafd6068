"""Packages: Debian packages on top of a Debian base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.debian import FORMAT
from wherry.events import Task
from wherry.image import Image, Layer
from wherry.image.config import timestamp
from wherry.image.json import as_object, as_str
from wherry.plan import Packages
from wherry.solve.keys import cache_key, content_of
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.work import Work


def add_packages(
    step: Packages, snapshot: Snapshot, work: Work, task: Task, stages: Mapping[str, Snapshot] | None = None
) -> Snapshot:
    """Add a layer of ``step``'s packages and all that they need beyond the base's.

    Remembered by the base and the names, as a base is; a look at the archive is what ``--pull`` is for.
    """
    from wherry.debian.apt import fingerprint

    names = {*step.names}
    if step.libraries_of is not None and stages is not None and (wanted := stages[step.libraries_of.stage].libraries):
        from wherry.solve.compile.native import packages_for

        names |= packages_for(wanted, snapshot, work)
    if not names:
        task.detail = "no wheel needs any"
        return snapshot
    key = cache_key(
        "packages",
        format=FORMAT,
        base=content_of(snapshot.base),
        names=sorted(names),
        mirror=fingerprint(snapshot.origin.mirror),
        compression=str(work.options.compression),
        epoch=work.plan.epoch,
        **({"pins": work.pins.identity} if work.pins.identity else {}),
    )
    refresh = work.options.pull == "always" or work.options.no_cache
    again = work.options.no_cache or work.pins.locking or (refresh and work.pins.free)
    work.pins.floats("Debian packages")
    value = None if again else work.store.cache.get(key)
    if value is None:
        made = _made(sorted(names), snapshot.base, snapshot.origin.mirror, work, task, refresh=refresh)
        if made is None:
            value = {}
            work.store.cache.put(key, value)
        else:
            layer, line = made
            value = {"layer": layer.to_json(), "createdBy": line}
            work.store.cache.put(key, value, [layer.descriptor.digest])
    else:
        task.cached()
    if not value:
        task.detail = "the base has them"
        return snapshot
    task.detail = ", ".join(sorted(names))
    added = Added(Layer.from_json(as_object(value["layer"], key)), "/", as_str(value["createdBy"], key))
    return snapshot.add(added, created=timestamp(work.plan.epoch))


def _made(
    names: Sequence[str], base: Image, mirror: str, work: Work, task: Task, *, refresh: bool
) -> tuple[Layer, str] | None:
    from wherry.debian.base import Workshop
    from wherry.sources.debian import add_packages as packages_layer

    workshop = Workshop(
        work.store, work.fetcher, mirror, refresh, work.options.compression, work.plan.epoch, pins=work.pins
    )
    made = packages_layer(base, names, workshop, task)
    return (made[0], f"add {made[1]}") if made else None

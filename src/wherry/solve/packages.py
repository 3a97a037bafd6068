"""Packages: Debian packages on top of a Debian base."""

from __future__ import annotations

from wherry.debian import FORMAT
from wherry.events import Task
from wherry.image import Image, Layer
from wherry.image.config import timestamp
from wherry.image.json import as_object, as_str
from wherry.plan import Packages
from wherry.solve.keys import cache_key, content_of
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.work import Work


def add_packages(step: Packages, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Add a layer of ``step``'s packages and all that they need beyond the base's.

    Remembered by the base and the names, as a base is; a look at the archive is what ``--pull`` is for.
    """
    from wherry.debian.apt import fingerprint

    key = cache_key(
        "packages",
        format=FORMAT,
        base=content_of(snapshot.base),
        names=sorted(set(step.names)),
        mirror=fingerprint(snapshot.origin.mirror),
        compression=str(work.options.compression),
        epoch=work.plan.epoch,
    )
    refresh = work.options.pull == "always" or work.options.no_cache
    value = None if refresh else work.store.cache.get(key)
    if value is None:
        made = _made(step, snapshot.base, snapshot.origin.mirror, work, task, refresh=refresh)
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
    added = Added(Layer.from_json(as_object(value["layer"], key)), "/", as_str(value["createdBy"], key))
    return snapshot.add(added, created=timestamp(work.plan.epoch))


def _made(
    step: Packages, base: Image, mirror: str, work: Work, task: Task, *, refresh: bool
) -> tuple[Layer, str] | None:
    from wherry.debian.base import Workshop
    from wherry.sources.debian import add_packages as packages_layer

    workshop = Workshop(work.store, work.fetcher, mirror, refresh, work.options.compression, work.plan.epoch)
    made = packages_layer(base, step.names, workshop, task)
    return (made[0], f"add {made[1]}") if made else None

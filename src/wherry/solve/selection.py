"""Requirements to distributions: resolved, chosen for the target, and remembered as a short list.

Reading a lock costs more than all the rest of a build that has nothing to do, so what was chosen from it
is kept by the lock's own content.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from wherry.events import Task
from wherry.fetch import Download
from wherry.image import digest_of
from wherry.image.json import Json, JsonObject, as_int, as_list, as_object, as_str, as_string_map
from wherry.plan import Requirements
from wherry.solve.keys import cache_key
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.target import Target
from wherry.wheels.distribution import Distribution, Project
from wherry.wheels.resolve import resolve

Chosen = Distribution | Project


def selection(
    requirements: Requirements, snapshot: Snapshot, work: Work, task: Task
) -> tuple[Snapshot, tuple[Chosen, ...]]:
    """What ``requirements`` come to on the stage's Python, by name; and the snapshot that remembers it."""
    for known, chosen in snapshot.chosen:
        if known == requirements:
            return snapshot, chosen
    with task.step(f"resolve {requirements.path or 'the project'}") as part:
        chosen = _selected(requirements, target_of(snapshot), work, part)
        part.detail = f"{len(chosen)} distribution{'' if len(chosen) == 1 else 's'}"
    return replace(snapshot, chosen=(*snapshot.chosen, (requirements, chosen))), chosen


def _selected(requirements: Requirements, target: Target, work: Work, task: Task) -> tuple[Chosen, ...]:
    lock = resolve(
        requirements,
        target,
        work.context,
        store=work.store,
        offline=work.options.offline,
        upgrade=work.options.upgrade or work.options.no_cache,
        task=task,
        fetcher=work.fetcher,
    )
    key = cache_key(
        "selection",
        lock=digest_of(lock.encode()),
        context=str(work.context),
        target=_target_json(target),
        extras=list(requirements.extras),
        groups=list(requirements.groups),
    )
    if not work.options.no_cache and (found := work.store.cache.get(key)):
        return tuple(_read(item) for item in as_list(found.get("chosen"), "a cached selection"))
    from wherry.wheels.indexes import has_credentials
    from wherry.wheels.select import select

    chosen = select(lock, target, context=work.context, extras=requirements.extras, groups=requirements.groups)
    if not has_credentials(lock):  # what holds a password may be used, not kept
        written: Json = [_written(one) for one in chosen]
        work.store.cache.put(key, {"chosen": written})
    return chosen


def _target_json(target: Target) -> Json:
    """A target as part of a cache key."""
    interpreter = target.interpreter
    return [str(target.platform), str(target.libc), interpreter.version, interpreter.executable]


def distributions(chosen: Iterable[Chosen], built: dict[str, Distribution]) -> tuple[Distribution, ...]:
    """``chosen`` with each local project replaced by the wheel that was ``built`` from its path."""
    return tuple(built[one.path] if isinstance(one, Project) else one for one in chosen)


def _written(one: Chosen) -> JsonObject:
    if isinstance(one, Project):
        return {"project": one.path, "name": one.name}
    wheel: Json = {**asdict(one.wheel), "hashes": dict(one.wheel.hashes)}
    return {"name": one.name, "version": one.version, "wheel": wheel, "direct_url": one.direct_url}


def _read(value: Json) -> Chosen:
    item = as_object(value, "a chosen distribution")
    name = as_str(item.get("name"), "name")
    if project := as_str(item.get("project"), "project"):
        return Project(name, project)
    wheel = as_object(item.get("wheel"), "wheel")
    size = wheel.get("size")
    return Distribution(
        name,
        as_str(item.get("version"), "version"),
        Download(
            as_str(wheel.get("url"), "url"),
            as_string_map(wheel.get("hashes"), "hashes"),
            None if size is None else as_int(size, "size"),
            as_str(wheel.get("name"), "file name"),
        ),
        as_str(item.get("direct_url"), "direct_url"),
    )

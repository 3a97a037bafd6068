"""Requirements to distributions: resolved, chosen for the target, and remembered as a short list.

Reading a lock costs more than all the rest of a build that has nothing to do, so what was chosen from it
is kept by the lock's own content.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from wherry.events import Task
from wherry.fetch import Download
from wherry.image import digest_of
from wherry.image.json import Json, JsonObject, as_int, as_list, as_object, as_str, as_string_map, as_strings
from wherry.pins import ResolutionWish
from wherry.plan import Requirements
from wherry.solve.keys import cache_key
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.target import Target
from wherry.wheels.distribution import Chosen, Distribution, Project, Source
from wherry.wheels.resolve import resolve

if TYPE_CHECKING:
    from wherry.wheels.resolution import Builder


def selection(
    requirements: Requirements, snapshot: Snapshot, work: Work, task: Task, builder: Builder | None = None
) -> tuple[Snapshot, tuple[Chosen, ...]]:
    """What ``requirements`` come to on the stage's Python, by name; and the snapshot that remembers it.

    ``builder`` finds out what an sdist requires where nothing else tells.
    """
    for known, chosen in snapshot.chosen:
        if known == requirements:
            return snapshot, chosen
    with task.step(f"resolve {requirements.path or 'the project'}") as part:
        chosen = _selected(requirements, target_of(snapshot), work, part, builder)
        _note_floating(requirements, chosen, work)
        part.detail = f"{len(chosen)} distribution{'' if len(chosen) == 1 else 's'}"
    return replace(snapshot, chosen=(*snapshot.chosen, (requirements, chosen))), chosen


def _note_floating(requirements: Requirements, chosen: Iterable[Chosen], work: Work) -> None:
    """Say that ``requirements`` float, if they do; those of builds are noted where something is built."""
    if not work.pins.free or requirements.kind == "lines" or all(isinstance(one, Project) for one in chosen):
        return
    from wherry.wheels.inputs import floats

    if floats(requirements, work.context):
        work.pins.floats(requirements.path)


def _selected(
    requirements: Requirements, target: Target, work: Work, task: Task, builder: Builder | None
) -> tuple[Chosen, ...]:
    lock = _lock(requirements, target, work, task, builder)
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


def _lock(requirements: Requirements, target: Target, work: Work, task: Task, builder: Builder | None) -> str:
    """The lock that ``requirements`` come to: the one that is pinned, or else as they are resolved now."""

    def resolved(before: str = "") -> str:
        return resolve(
            requirements,
            target,
            work.context,
            store=work.store,
            offline=work.options.offline,
            upgrade=work.options.upgrade or work.options.no_cache,
            task=task,
            fetcher=work.fetcher,
            builder=builder,
            before=before,
        )

    if work.pins.free:
        return resolved()
    from wherry.wheels.inputs import EXACT, digest

    if requirements.kind in EXACT:
        return resolved()
    from wherry.wheels.exact import exact
    from wherry.wheels.indexes import redact
    from wherry.wheels.resolve import introduce
    from wherry.wheels.select import select

    wish = ResolutionWish(
        redact(requirements.path or ", ".join(requirements.lines)),
        digest(requirements, work.context),
        str(target.platform),
        str(target.libc),
        target.interpreter.version,
    )
    if (found := work.pins.resolutions.find(wish)) is not None:
        introduce(requirements, work.context, work.fetcher)
        task.cached()
        return found
    known = work.pins.resolutions.known.items()
    text = resolved(next((lock for one, lock in known if replace(one, inputs=wish.inputs) == wish), ""))
    chosen = select(text, target, context=work.context, extras=requirements.extras, groups=requirements.groups)
    lock = exact(text, chosen)
    work.pins.resolutions.note(wish, lock)
    return lock


def _target_json(target: Target) -> Json:
    """A target as part of a cache key."""
    interpreter = target.interpreter
    return [str(target.platform), str(target.libc), interpreter.version, interpreter.executable]


def distributions(chosen: Iterable[Chosen], built: dict[str, Distribution]) -> tuple[Distribution, ...]:
    """``chosen`` with everything that is no wheel replaced by that which was ``built`` from it, by its key."""
    return tuple(one if isinstance(one, Distribution) else built[one.key] for one in chosen)


def _written(one: Chosen) -> JsonObject:
    match one:
        case Project():
            return {"project": one.path, "name": one.name}
        case Source():
            archive = _file(one.archive) if one.archive else None
            return {**asdict(one), "wanted_by": list(one.wanted_by), "archive": archive}
        case Distribution():
            return {**asdict(one), "wheel": _file(one.wheel)}


def _file(download: Download) -> JsonObject:
    return {**asdict(download), "hashes": dict(download.hashes)}


def _read(value: Json) -> Chosen:
    item = as_object(value, "a chosen distribution")

    def text(key: str) -> str:
        return as_str(item.get(key), key)

    if project := text("project"):
        return Project(text("name"), project)
    if "wheel" in item:
        return Distribution(text("name"), text("version"), _download(item["wheel"]), text("direct_url"))
    return Source(
        text("name"),
        text("version"),
        _download(item["archive"]) if item.get("archive") else None,
        text("repository"),
        text("commit"),
        text("subdirectory"),
        as_strings(item.get("wanted_by"), "wanted_by"),
        text("direct_url"),
    )


def _download(value: Json) -> Download:
    file = as_object(value, "a file")
    size = file.get("size")
    return Download(
        as_str(file.get("url"), "url"),
        as_string_map(file.get("hashes"), "hashes"),
        None if size is None else as_int(size, "size"),
        as_str(file.get("name"), "file name"),
    )

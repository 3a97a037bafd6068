"""Install: a lock becomes layers, each packed as soon as its wheels are here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.events import Task
from wherry.image import Layer
from wherry.image.config import timestamp
from wherry.image.json import Json, as_list, as_object, as_str
from wherry.plan import Install, Requirements
from wherry.solve.compiler import open_compiler
from wherry.solve.keys import cache_key
from wherry.solve.selection import distributions, selection
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.store.cache import PARTS
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.grouping import Group, group
from wherry.wheels.identity import INSTALL, bytecode_identity

if TYPE_CHECKING:
    from concurrent.futures import Future

    from wherry.wheels.bytecode import Compiler

_NAMED = 8  # a shared layer's line of history names so many distributions and counts the rest

Made = list[tuple[Layer, str]]
"""Layers, each with its line of history."""


def install(step: Install, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Add the layers of all distributions that ``step`` requires; of none, if one of them cannot be had."""
    target = target_of(snapshot)
    environment = Environment(target.interpreter, step.prefix)
    snapshot, chosen = selection(step.requirements, snapshot, work, task)
    wheels = distributions(chosen, dict(snapshot.wheels))
    task.detail = f"{len(wheels)} distribution{'' if len(wheels) == 1 else 's'}"
    identity = bytecode_identity(target.interpreter.version) if step.bytecode else ""
    made = _remembered(_key(wheels, environment, identity, work), work)
    if made is None and step.bytecode:
        with open_compiler(snapshot, work, task) as compiler:
            made = _made(step, wheels, environment, compiler, work, task)
    elif made is None:
        made = _made(step, wheels, environment, None, work, task)
    else:
        task.cached()
    added = (Added(layer, step.prefix, created_by) for layer, created_by in made)
    return snapshot.add(*added, created=timestamp(work.plan.epoch))


def _key(wheels: Sequence[Distribution], environment: Environment, bytecode: str, work: Work) -> str:
    """The name of the whole result: a build with nothing to do need not look at one wheel after the other."""
    return cache_key(
        "install",
        format=INSTALL,
        wheels=[[one.name, one.version, *one.wheel.key, one.wheel.size, one.direct_url] for one in wheels],
        environment=[environment.prefix, environment.interpreter.minor],
        bytecode=bytecode,
        compression=str(work.options.compression),
        epoch=work.plan.epoch,
    )


def _remembered(key: str, work: Work) -> Made | None:
    value = None if work.options.no_cache else work.store.cache.get(key)
    if value is None:
        return None
    items = [as_object(item, key) for item in as_list(value["layers"], key)]
    return [(Layer.from_json(as_object(item["layer"], key)), as_str(item["createdBy"], key)) for item in items]


def _made(
    step: Install,
    wheels: Sequence[Distribution],
    environment: Environment,
    compiler: Compiler | None,
    work: Work,
    task: Task,
) -> Made:
    key = _key(wheels, environment, compiler.identity if compiler else "", work)
    if (made := _remembered(key, work)) is not None:
        task.cached()
        return made
    groups = group(wheels)
    layers = _layers(step.requirements, groups, environment, compiler, work, task)
    made = [(layers[one.name], _created_by(one)) for one in groups]
    value: list[Json] = [{"layer": layer.to_json(), "createdBy": created_by} for layer, created_by in made]
    parts = _parts(groups, environment, compiler, work)
    work.store.cache.put(key, {"layers": value, PARTS: parts}, [layer.descriptor.digest for layer, _ in made])
    return made


def _parts(groups: Sequence[Group], environment: Environment, compiler: Compiler | None, work: Work) -> list[Json]:
    """The keys of the results that the whole was made of: where one distribution is another, the others serve again."""
    from wherry.wheels.conflicts import claims_key
    from wherry.wheels.install import pack_key

    compression, epoch = work.options.compression, work.plan.epoch
    keys: list[Json] = [
        pack_key(one.distributions, environment, compression=compression, epoch=epoch, compiler=compiler)
        for one in groups
    ]
    return keys + [claims_key(distribution, environment) for one in groups for distribution in one.distributions]


def _layers(
    requirements: Requirements,
    groups: Sequence[Group],
    environment: Environment,
    compiler: Compiler | None,
    work: Work,
    task: Task,
) -> dict[str, Layer]:
    """Each group's layer: from the cache, or packed while other wheels are still on their way."""
    from concurrent.futures import ThreadPoolExecutor

    from wherry.wheels.conflicts import check_conflicts
    from wherry.wheels.download import fetch_wheels
    from wherry.wheels.indexes import read_settings
    from wherry.wheels.install import WheelToInstall, cached, pack, pack_key

    compression, epoch, store = work.options.compression, work.plan.epoch, work.store
    layers: dict[str, Layer] = {}
    for one in groups:
        key = pack_key(one.distributions, environment, compression=compression, epoch=epoch, compiler=compiler)
        if not work.options.no_cache and (layer := cached(key, store)):
            layers[one.name] = layer
    missing = [one for one in groups if one.name not in layers]
    owner = {distribution.name: one for one in missing for distribution in one.distributions}
    here: dict[str, Path] = {}

    def packed(one: Group) -> Layer:
        with task.step(f"pack {_title(one)}") as part:
            return pack(
                [WheelToInstall(distribution, here[distribution.name]) for distribution in one.distributions],
                environment,
                store=store,
                compression=compression,
                epoch=epoch,
                compiler=compiler,
                task=part,
                anew=work.options.no_cache,
            )

    settings = read_settings(requirements.indexes, work.context)
    pool = ThreadPoolExecutor(thread_name_prefix="pack")
    try:
        futures: dict[str, Future[Layer]] = {}
        wanted = [distribution for one in missing for distribution in one.distributions]
        with task.step("fetch wheels") as part:
            for distribution, path in fetch_wheels(wanted, work.fetcher, part, settings=settings):
                here[distribution.name] = path
                one = owner[distribution.name]
                if all(other.name in here for other in one.distributions):
                    futures[one.name] = pool.submit(packed, one)
        layers |= {name: future.result() for name, future in futures.items()}
        # What packing has found out of each wheel is remembered, so this comes last.
        everything = [distribution for one in groups for distribution in one.distributions]
        check_conflicts(
            everything,
            environment,
            store=store,
            wheel=lambda distribution: here.get(distribution.name) or work.fetcher.get(distribution.wheel),
        )
    except BaseException:
        if compiler:
            compiler.close()  # whoever waits for bytecode is waiting in vain
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()
    return layers


def _title(one: Group) -> str:
    if len(one.distributions) == 1:
        return f"{one.distributions[0].name} {one.distributions[0].version}"
    return f"{len(one.distributions)} small distributions"


def _created_by(one: Group) -> str:
    """A layer's line in the history."""
    names = [f"{distribution.name} {distribution.version}" for distribution in one.distributions]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"install {', '.join(names[:_NAMED])}{more}"

"""Results in the cache index: made once, by one of however many builds want them at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from wherry.image import Layer
from wherry.image.config import timestamp
from wherry.image.json import JsonObject, as_object, as_str
from wherry.solve.snapshot import Result
from wherry.solve.work import Work


def cached_layer(work: Work, key: str) -> Layer | None:
    """The layer remembered under ``key``."""
    if work.no_cache:
        return None
    value = work.store.cache.get(key)
    return Layer.from_json(value) if value is not None else None


def layer_once(work: Work, key: str, make: Callable[[], Layer]) -> tuple[Layer, bool]:
    """The layer under ``key``, made by ``make`` if need be; and whether it was there already."""
    if layer := cached_layer(work, key):
        return layer, True
    with work.store.once(key):
        if layer := cached_layer(work, key):
            return layer, True
        layer = make()
        work.store.cache.put(key, layer.to_json(), [layer.descriptor.digest])
        return layer, False


def cached_result(work: Work, key: str) -> Result | None:
    """What the step with the cache key ``key`` came to."""
    if work.no_cache:
        return None
    value = work.store.cache.get(key)
    return _read(value) if value is not None else None


def result_once(work: Work, key: str, make: Callable[[], Result]) -> tuple[Result, bool]:
    """What the step with the cache key ``key`` comes to, by ``make`` if need be; and whether it was known already."""
    if result := cached_result(work, key):
        return result, True
    with work.store.once(key):
        if result := cached_result(work, key):
            return result, True
        result = make()
        layer = result.layer
        written = {"layer": layer.to_json() if layer else None, "state": result.state, "created": result.created}
        work.store.cache.put(key, written, [layer.descriptor.digest] if layer else [])
        return result, False


def now(work: Work) -> str:
    """The time that a step which is done now gets in the image's history, in RFC 3339."""
    if work.plan.times != "real":
        return timestamp(work.plan.epoch)
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(value: JsonObject) -> Result:
    layer = value.get("layer")
    return Result(
        Layer.from_json(as_object(layer, "a result's layer")) if layer else None,
        as_str(value.get("state"), "a result's state"),
        as_str(value.get("created"), "a result's time"),
    )

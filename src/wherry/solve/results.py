"""Layers in the cache index: made once, by one of however many builds want them at the same time."""

from __future__ import annotations

from collections.abc import Callable

from wherry.image import Layer
from wherry.solve.work import Work


def cached_layer(work: Work, key: str) -> Layer | None:
    """The layer remembered under ``key``."""
    if work.options.no_cache:
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

"""Layers in the cache index."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from wherry.events import Reporter
from wherry.fetch import Fetcher
from wherry.image import Layer, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.plan import Base, Plan, Stage
from wherry.registry.registries import Registries
from wherry.solve.results import cached_layer, layer_once
from wherry.solve.work import Options, Work
from wherry.store import Store


def work_in(store: Store, options: Options | None = None) -> Work:
    plan = Plan((Stage("only", Base("scratch"), ()),), "only", Platform("linux", "amd64"))
    return Work(plan, Path(), store, Fetcher(store.files), Registries(offline=True), options or Options(), Reporter())


def layer(store: Store) -> Layer:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("opt", "dir", 0o755))
        return writer.finish()


def test_a_layer_is_made_once_and_then_remembered(store: Store) -> None:
    work = work_in(store)
    made, was_there = layer_once(work, "key", lambda: layer(store))
    assert not was_there
    assert layer_once(work, "key", lambda: layer(store)) == (made, True)


def test_a_layer_whose_blob_is_gone_is_made_again(store: Store) -> None:
    work = work_in(store)
    made, _ = layer_once(work, "key", lambda: layer(store))
    store.blobs.path(made.descriptor.digest).unlink()
    assert cached_layer(work, "key") is None
    assert layer_once(work, "key", lambda: layer(store)) == (made, False)


def test_without_the_cache_a_layer_is_made_again(store: Store) -> None:
    layer_once(work_in(store), "key", lambda: layer(store))
    work = replace(work_in(store), options=Options(no_cache=True))
    assert layer_once(work, "key", lambda: layer(store))[1] is False


def test_two_builds_at_once_make_a_layer_once(store: Store) -> None:
    work = work_in(store)
    start = threading.Barrier(4)
    made: list[int] = []
    results: list[bool] = []

    def make() -> Layer:
        made.append(1)
        return layer(store)

    def build() -> None:
        start.wait()
        results.append(layer_once(work, "key", make)[1])

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(results) == [False, True, True, True]

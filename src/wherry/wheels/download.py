"""Fetching what was chosen: all wheels at once, the largest first, each given out as soon as it is here."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.wheels.distribution import Distribution
from wherry.wheels.indexes import Settings

_PATIENCE = 1.0  # seconds for transfers that are given up to remove what they have written
_THREADS = 8  # more are slower: Python's part of a transfer is one processor's work


def fetch_wheels(
    distributions: Iterable[Distribution],
    fetcher: Fetcher,
    task: Task | None = None,
    *,
    settings: Settings | None = None,
    threads: int = _THREADS,
) -> Iterator[tuple[Distribution, Path]]:
    """Each distribution with its wheel's file, in the order in which they arrive, those in the store first.

    ``settings`` (:func:`~wherry.wheels.indexes.read_settings`) hold the indexes' credentials. The first failure
    is raised and ends the other transfers; so does leaving the iteration early.
    """
    if settings is not None:
        settings.introduce(fetcher)
    wanted: list[Distribution] = []
    for distribution in distributions:
        if path := fetcher.cached(distribution.wheel):
            yield distribution, path
        else:
            wanted.append(distribution)
    if not wanted:
        if task is not None:
            task.cached()
        return
    if task is not None:
        task.expect(sum(distribution.wheel.size or 0 for distribution in wanted))
    wanted.sort(key=lambda one: (-(one.wheel.size or 0), one.name))
    yield from _fetch_all(wanted, fetcher, task, min(threads, len(wanted)))


def _fetch_all(
    wanted: list[Distribution], fetcher: Fetcher, task: Task | None, threads: int
) -> Iterator[tuple[Distribution, Path]]:
    pending: queue.SimpleQueue[Distribution] = queue.SimpleQueue()
    for distribution in wanted:
        pending.put(distribution)
    arrived: queue.SimpleQueue[tuple[Distribution, Path] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                distribution = pending.get_nowait()
            except queue.Empty:
                return
            try:
                advance = task.advance if task is not None else None
                arrived.put((distribution, fetcher.get(distribution.wheel, advance, stop=stop)))
            except BaseException as error:
                arrived.put(error)
                return

    # Daemons: one that waits for a server that has gone silent must not keep a failed build from ending.
    workers = [threading.Thread(target=work, name="fetch", daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for _ in wanted:
            result = arrived.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop.set()
        end = time.monotonic() + _PATIENCE
        for worker in workers:
            worker.join(max(end - time.monotonic(), 0))

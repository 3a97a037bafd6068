"""Virtualenv: the empty environment, a layer of a few links and one small file."""

from __future__ import annotations

from wherry.events import Task
from wherry.image import Layer
from wherry.image.config import timestamp
from wherry.plan import Virtualenv, title
from wherry.solve.keys import cache_key
from wherry.solve.results import layer_once
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.wheels.environment import Environment, skeleton


def create_virtualenv(step: Virtualenv, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Add the environment's own files, for the base's Python."""
    environment = Environment(target_of(snapshot).interpreter, step.prefix)
    compression, epoch = work.options.compression, work.plan.epoch

    def make() -> Layer:
        from wherry.layers.writer import LayerWriter

        with LayerWriter(work.store.blobs, compression) as writer:
            for entry, data in skeleton(environment, epoch):
                writer.add(entry, data)
            return writer.finish()

    interpreter = environment.interpreter
    key = cache_key(
        "virtualenv",
        prefix=step.prefix,
        python=[interpreter.version, interpreter.executable],
        compression=str(compression),
        epoch=epoch,
    )
    layer, was_cached = layer_once(work, key, make)
    if was_cached:
        task.cached()
    return snapshot.add(Added(layer, step.prefix, title(step)), created=timestamp(epoch))

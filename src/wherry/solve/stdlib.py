"""Bytecode for the standard library of a base made from Debian's packages.

The packages leave it to their scripts, which we do not run; without it every start of Python compiles
dozens of modules anew, which takes longer than all the rest of a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.events import Task
from wherry.image import Layer
from wherry.image.config import timestamp
from wherry.layers.entry import Entry, parents
from wherry.solve.compiler import open_compiler
from wherry.solve.keys import cache_key, content_of
from wherry.solve.results import cached_layer, layer_once
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.sources.base import is_debian
from wherry.wheels.identity import bytecode_identity

if TYPE_CHECKING:
    from wherry.wheels.bytecode import Compiler


def with_stdlib_bytecode(snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """The same with a layer of bytecode on top, if the base comes from Debian's packages and a Python can make it."""
    if not is_debian(snapshot.origin.source) or not snapshot.facts.interpreters:
        return snapshot
    version = target_of(snapshot).interpreter.version
    line = f"compile the standard library of Python {version}"
    key = _key(snapshot, bytecode_identity(version), work)
    layer = cached_layer(work, key)
    if layer is None:
        with task.step(line) as part, open_compiler(snapshot, work, part) as compiler:
            if compiler is None:
                return snapshot
            key = _key(snapshot, compiler.identity, work)
            layer, _ = layer_once(work, key, lambda: _compile(snapshot, compiler, work, part))
    return snapshot.add(Added(layer, "/usr", line), created=timestamp(work.plan.epoch))


def _key(snapshot: Snapshot, identity: str, work: Work) -> str:
    return cache_key(
        "stdlib",
        base=content_of(snapshot.base),
        bytecode=identity,
        compression=str(work.options.compression),
        epoch=work.plan.epoch,
    )


def _compile(snapshot: Snapshot, compiler: Compiler, work: Work, task: Task) -> Layer:
    from wherry.debian.python import stdlib_sources
    from wherry.layers.writer import LayerWriter

    # In one order everywhere: what CPython writes depends on what it has compiled just before.
    sources = sorted(stdlib_sources(snapshot.base, work.store))
    compiled = {
        one.path.lstrip("/"): one.data for one in compiler.compile((f"/{path}", text) for path, text in sources)
    }
    folders = {folder for path in compiled for folder in parents(path)}
    epoch = work.plan.epoch
    with LayerWriter(work.store.blobs, work.options.compression) as writer:
        for path in sorted(compiled.keys() | folders):
            data = compiled.get(path)
            if data is None:
                writer.add(Entry(path, "dir", 0o755, mtime=epoch))
            else:
                writer.add(Entry(path, "file", 0o644, len(data), mtime=epoch), data)
                task.advance(len(data))
        return writer.finish()

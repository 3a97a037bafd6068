"""Packages to a layer: fetched and unpacked on all cores, written in the order of their paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from wherry.debian import FORMAT
from wherry.debian.ldcache import cache_libraries
from wherry.debian.package import Package
from wherry.debian.parallel import parallel
from wherry.debian.rootfs import link_alternatives, register
from wherry.debian.tree import Node, Tree, Unpacked, unpack
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Layer
from wherry.layers.compression import Compression
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.files import storing


def package_layer(
    packages: Sequence[Package],
    *,
    store: Store,
    fetcher: Fetcher,
    compression: Compression,
    epoch: int,
    task: Task,
    below: Mapping[str, bytes],
    furnish: Callable[[Tree], None] | None = None,
    variant: str = "",
) -> Layer:
    """A layer of ``packages``. ``furnish`` completes its tree in a way that ``variant`` names.

    ``below`` are the dynamic linker's files (:data:`wherry.debian.ldcache.FILES`) in the layers below, by path.

    The same packages, epoch (seconds since 1970: every file's time), compression and files below give the same layer
    on any machine; it is remembered by them. Raises :class:`~wherry.errors.WherryError` if a package cannot be had or
    is damaged.
    """
    chosen = sorted((package.name, package.sha256) for package in packages)
    parts = (FORMAT, variant, epoch, str(compression), sorted(below.items()), *chosen)
    key = "debian-layer:" + sha256(repr(parts).encode()).hexdigest()
    with store.once(key):
        if value := store.cache.get(key):
            return Layer.from_json(value)
        layer = _make(
            packages,
            store=store,
            fetcher=fetcher,
            compression=compression,
            epoch=epoch,
            task=task,
            below=below,
            furnish=furnish,
        )
        store.cache.put(key, layer.to_json(), [layer.descriptor.digest])
    return layer


def _make(
    packages: Sequence[Package],
    *,
    store: Store,
    fetcher: Fetcher,
    compression: Compression,
    epoch: int,
    task: Task,
    below: Mapping[str, bytes],
    furnish: Callable[[Tree], None] | None,
) -> Layer:
    missing = [package for package in packages if not fetcher.cached(package.download)]
    task.expect(sum(package.size for package in missing))
    spools = {package.name: store.scratch() / f"deb-{os.urandom(8).hex()}" for package in packages}
    try:
        # Large ones first: the last to be unpacked should not be the one that takes longest.
        ordered = sorted(packages, key=lambda package: (-package.size, package.name))
        unpacked = parallel(lambda one: _prepare(one, fetcher, spools[one.name], task), ordered)
        tree = Tree()
        tree.merge(unpacked)
        if furnish:
            furnish(tree)
        register(tree, unpacked)
        link_alternatives(tree, unpacked)
        cache_libraries(tree, below)
        return _write(tree, store, compression, epoch)
    finally:
        for spool in spools.values():
            spool.unlink(missing_ok=True)


def _prepare(package: Package, fetcher: Fetcher, spool: Path, task: Task) -> Unpacked:
    deb = _fetched(package, fetcher, task)
    with storing(spool):
        return unpack(package, deb, spool)


def _fetched(package: Package, fetcher: Fetcher, task: Task) -> Path:
    """The file of ``package``, from the first place that has it."""
    from wherry.fetch import NotFound

    *others, last = package.downloads
    for download in others:
        try:
            return fetcher.get(download, task.advance)
        except NotFound:
            continue
    return fetcher.get(last, task.advance)


def _write(tree: Tree, store: Store, compression: Compression, epoch: int) -> Layer:
    files: dict[Path, BinaryIO] = {}
    try:
        with LayerWriter(store.blobs, compression) as writer:
            for node in tree.finish():
                writer.add(replace(node.entry, mtime=epoch), _data(node, files))
            return writer.finish()
    finally:
        for file in files.values():
            file.close()


def _data(node: Node, files: dict[Path, BinaryIO]) -> bytes | Iterator[bytes]:
    return node.data if isinstance(node.data, bytes) else node.data.pieces(files)

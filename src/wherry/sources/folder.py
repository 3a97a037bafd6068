"""A build context as the base of a stage: its files are the root filesystem, in one layer."""

from __future__ import annotations

from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Image, ImageConfig, Layer, Platform
from wherry.layers.compression import Compression
from wherry.sources.context import ContextFile, Memory, Stamp, digest, walk
from wherry.sources.ignore import Patterns
from wherry.sources.named import FolderContext, open_named
from wherry.sources.scratch import BLANK
from wherry.store import Store


class ContextSource:
    """``context:LOCATION``: a directory, or whatever else :func:`~wherry.sources.location.open_context` opens."""

    def __init__(self, location: str, store: Store, fetcher: Fetcher, compression: Compression) -> None:
        self._location = location
        self._store = store
        self._fetcher = fetcher
        self._compression = compression

    def image(self, platform: Platform, task: Task) -> Image:
        """An image with one layer and an empty config.

        Raises :class:`~wherry.errors.WherryError` if the context cannot be had or read.
        """
        context = FolderContext(self._location)
        with open_named(context, store=self._store, fetcher=self._fetcher, task=task) as opened:
            files = walk(opened.root, Patterns(opened.ignore), normalise=False)
            content = digest(files, Memory(self._store.path, opened.root, self._store.scratch()))
            key = f"context-layer:{content}:{self._compression}"
            with self._store.once(key):
                if value := self._store.cache.get(key):
                    task.cached()
                    layer = Layer.from_json(value)
                else:
                    layer = self._pack(files, task)
                    self._store.cache.put(key, layer.to_json(), [layer.descriptor.digest])
        return Image.of(ImageConfig(platform, BLANK), (layer,), {})

    def _pack(self, files: tuple[ContextFile, ...], task: Task) -> Layer:
        from dataclasses import replace

        from wherry.layers.writer import LayerWriter

        first: dict[Stamp, str] = {}
        with LayerWriter(self._store.blobs, self._compression) as writer:
            for file in files:
                entry = file.entry
                if file.linked and (name := first.setdefault(file.stamp, entry.path)) != entry.path:
                    writer.add(replace(entry, kind="hardlink", size=0, link=name))
                    continue
                writer.add(entry, file.read() if entry.kind == "file" else b"")
                task.advance(entry.size)
            return writer.finish()

"""The files of a base image: names and attributes of all, the bytes of a few; read from its layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.image import Image
from wherry.layers.entry import Entry
from wherry.layers.merge import merged
from wherry.store import Store

_MOST_LINKS = 40  # as Linux follows
_LARGEST = 64 << 20  # bytes of a file that is read whole


@dataclass(slots=True)
class Files:
    """The root filesystem of an image: entries by path, and the bytes of the few files that tell what it is."""

    entries: dict[str, Entry] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)

    def resolve(self, path: str) -> str | None:
        """The path that ``path`` leads to, links followed within the image; None if there is nothing."""
        done: list[str] = []
        rest = [part for part in path.split("/") if part][::-1]
        links = 0
        while rest:
            part = rest.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = done[:-1]
                continue
            here = "/".join([*done, part])
            entry = self.entries.get(here)
            if entry is None:
                return None
            if entry.kind != "symlink":
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            done = [] if entry.link.startswith("/") else done
            rest += entry.link.split("/")[::-1]
        return "/".join(done)

    def read(self, path: str) -> bytes | None:
        """The bytes of the file that ``path`` leads to, if they are among those kept."""
        found = self.resolve(path)
        return self.data.get(found) if found is not None else None


def files(image: Image, store: Store, wanted: str) -> Files:
    """What the layers of ``image`` hold together; of files whose path ``wanted`` matches in full, the bytes too.

    Raises :class:`~wherry.errors.WherryError` if a layer is damaged or missing.
    """
    found = Files()
    matches = re.compile(wanted).fullmatch
    for entry, reader in merged(_paths(image, store)):
        found.entries[entry.path] = entry
        if reader and entry.size <= _LARGEST and matches(entry.path):
            found.data[entry.path] = reader.read()
        elif entry.kind == "hardlink" and entry.link in found.data:
            found.data[entry.path] = found.data[entry.link]
    return found


def _paths(image: Image, store: Store) -> Sequence[Path]:
    store.blobs.bring(layer.descriptor.digest for layer in image.layers)
    return [store.blobs.file(layer.descriptor.digest) for layer in image.layers]

"""Layers as one root filesystem, as a stream of entries with their data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.layers.tree import Content, Tree


def merged(layers: Sequence[Path]) -> Iterator[tuple[Entry, IO[bytes] | None]]:
    """What the root filesystem of ``layers`` (lowest first) holds, always in the same order.

    First all directories, parents before children, then the rest in the layers' order; hard links follow
    the file that they link to. A regular file comes with a reader of its data, good until the next is asked for.
    The root itself is left out. Raises :class:`WherryError` if a layer is damaged.
    """
    tree = Tree()
    for number, layer in enumerate(layers):
        tree.apply(number, (entry for entry, _ in entries(layer)))
    others: dict[tuple[int, int], tuple[Content, list[str]]] = {}
    for path, node in tree.walk():
        content = node.content
        if node.children is not None:
            yield replace(content.entry, path=path), None
        else:
            others.setdefault((content.layer, content.number), (content, []))[1].append(path)
    wanted = {layer for layer, _ in others}
    for layer_number, layer in enumerate(layers):
        if layer_number not in wanted:
            continue
        for number, (_, data) in enumerate(entries(layer)):
            found = others.get((layer_number, number))
            if found is None:
                continue
            content, (first, *more) = found
            yield replace(content.entry, path=first), data
            for path in more:
                yield replace(content.entry, path=path, kind="hardlink", size=0, link=first, xattrs={}), None

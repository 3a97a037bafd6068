"""Layers as one root filesystem, in memory: names and attributes, and where each file's data is.

Applies what OCI image-spec, layer.md ("Applying Changesets", "Whiteouts") says. Parents that are symbolic links are
followed inside the root, so that no path of the result leads through a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from wherry.errors import WherryError
from wherry.layers.entry import Entry
from wherry.layers.reader import entries

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_MOST_LINKS = 40  # as Linux follows


@dataclass(slots=True, eq=False)
class _Node:
    """A name in the tree. Hard links of one file share ``content``."""

    content: _Content
    layer: int
    children: dict[str, _Node] | None = None  # of a directory


@dataclass(slots=True, eq=False)
class _Content:
    """A file's attributes, and where its data is: the ``number``-th entry of layer ``layer``."""

    entry: Entry
    layer: int
    number: int
    paths: list[str] = field(default_factory=list)


def merged(layers: Sequence[Path]) -> Iterator[tuple[Entry, IO[bytes] | None]]:
    """What the root filesystem of ``layers`` (lowest first) holds, always in the same order.

    First all directories, parents before children, then the rest in the layers' order; hard links follow
    the file that they link to. A regular file comes with a reader of its data, good until the next is asked for.
    The root itself is left out. Raises :class:`WherryError` if a layer is damaged.
    """
    tree = _Tree()
    for number, layer in enumerate(layers):
        tree.apply(number, (entry for entry, _ in entries(layer)))
    others: dict[tuple[int, int], _Content] = {}
    for path, node in tree.walk():
        content = node.content
        if node.children is not None:
            yield replace(content.entry, path=path), None
        else:
            content.paths.append(path)
            others[content.layer, content.number] = content
    wanted = {layer for layer, _ in others}
    for layer_number, layer in enumerate(layers):
        if layer_number not in wanted:
            continue
        for number, (_, data) in enumerate(entries(layer)):
            found = others.get((layer_number, number))
            if found is None:
                continue
            first, *more = found.paths
            yield replace(found.entry, path=first), data
            for path in more:
                yield replace(found.entry, path=path, kind="hardlink", size=0, link=first, xattrs={}), None


class _Tree:
    def __init__(self) -> None:
        self._root = _directory(-1)

    def apply(self, layer: int, changes: Iterable[Entry]) -> None:
        for number, entry in enumerate(changes):
            if not entry.path:
                self._root.content = _Content(entry, layer, number)
                continue
            above, _, name = entry.path.rpartition("/")
            if name == _OPAQUE:
                if (hidden := self._find(above)) is not None and hidden.children is not None:
                    _hide(hidden, layer)
            elif name.startswith(_WHITEOUT):
                if not name.startswith(_WHITEOUT * 2) and (parent := self._find(above)) is not None:
                    _remove(parent, name.removeprefix(_WHITEOUT), layer)
            else:
                self._put(layer, number, entry, self._directory(above, layer), name)

    def _put(self, layer: int, number: int, entry: Entry, parent: _Node, name: str) -> None:
        assert parent.children is not None
        there = parent.children.get(name)
        if entry.kind == "dir":
            children = there.children if there is not None and there.children is not None else {}
            parent.children[name] = _Node(_Content(entry, layer, number), layer, children)
        elif entry.kind == "hardlink":
            above, _, last = entry.link.rpartition("/")
            directory = self._find(above)
            if directory is parent and last == name:
                return
            target = (directory.children or {}).get(last) if directory else None
            if target is None or target.children is not None or (there and _holds(there, target)):
                raise WherryError(f"layer: hard link {entry.path!r} leads to {entry.link!r}, which is not a file there")
            parent.children[name] = _Node(target.content, layer)
        else:
            parent.children[name] = _Node(_Content(entry, layer, number), layer)

    def _find(self, path: str) -> _Node | None:
        """The directory at ``path``, or None."""
        return self._resolve(path, None)

    def _directory(self, path: str, layer: int) -> _Node:
        """The directory at ``path``, made if need be."""
        node = self._resolve(path, layer)
        assert node is not None
        return node

    def _resolve(self, path: str, make: int | None) -> _Node | None:
        """The directory at ``path``, links followed inside the root; with ``make``, missing parts are that layer's."""
        trail = [self._root]
        rest = path.split("/")[::-1] if path else []
        links = 0
        while rest:
            part = rest.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                trail = trail[:-1] or trail
                continue
            children = trail[-1].children
            assert children is not None
            node = children.get(part)
            if node is not None and node.content.entry.kind == "symlink":
                links += 1
                if links > _MOST_LINKS:
                    raise WherryError(f"layer: {path!r} leads through too many symbolic links")
                target = node.content.entry.link
                if target.startswith("/"):
                    trail = [self._root]
                rest += target.split("/")[::-1]
                continue
            if node is None and make is not None:
                node = children[part] = _directory(make)
            if node is None or node.children is None:
                if make is None:
                    return None
                raise WherryError(f"layer: {path!r} is not a directory")
            trail.append(node)
        return trail[-1]

    def walk(self) -> Iterator[tuple[str, _Node]]:
        """All names but the root's, parents first, in the order of their bytes."""
        waiting = [("", self._root)]
        while waiting:
            path, node = waiting.pop()
            if path:
                yield path, node
            names = sorted(node.children or {}, reverse=True)
            waiting += [(f"{path}/{name}" if path else name, (node.children or {})[name]) for name in names]


def _holds(directory: _Node, node: _Node) -> bool:
    """Whether ``node`` is somewhere below ``directory``."""
    return any(child is node or _holds(child, node) for child in (directory.children or {}).values())


def _directory(layer: int) -> _Node:
    return _Node(_Content(Entry("", "dir", 0o755), layer, -1), layer, {})


def _hide(directory: _Node, layer: int) -> None:
    """Remove from ``directory`` what layers below ``layer`` put there."""
    for name in list(directory.children or {}):
        _remove(directory, name, layer)


def _remove(parent: _Node, name: str, layer: int) -> None:
    """Remove ``name`` from ``parent`` unless ``layer`` itself put it, or something below it, there."""
    children = parent.children
    node = children.get(name) if children else None
    if children is None or node is None:
        return
    if node.children is not None:
        _hide(node, layer)
        if node.children:
            return
    if node.layer < layer:
        del children[name]

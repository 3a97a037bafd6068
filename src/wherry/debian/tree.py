"""The files of several packages as one tree, with their data still where the packages were unpacked to."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from wherry.debian.content import kept, placed
from wherry.debian.deb import Control, contents, control
from wherry.debian.package import Package, paragraph
from wherry.errors import WherryError
from wherry.layers.entry import Entry, parents

_PIECE = 1 << 18
_MOST_LINKS = 40  # as Linux follows


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a file."""

    path: Path
    offset: int
    size: int

    def pieces(self, files: dict[Path, BinaryIO]) -> Iterator[bytes]:
        """The bytes, a piece at a time; ``files`` holds what is open already."""
        file = files.get(self.path) or files.setdefault(self.path, self.path.open("rb"))
        file.seek(self.offset)
        left = self.size
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class Node:
    """One object of the tree: its entry, a regular file's data, and the package it came with."""

    entry: Entry
    data: bytes | Data = b""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package's control files, and those of its files that go into an image."""

    package: Package
    control: Control
    nodes: tuple[Node, ...]


def unpack(package: Package, deb: Path, spool: Path) -> Unpacked:
    """Read ``deb``; the data of what is kept goes to the file ``spool``.

    Raises :class:`WherryError` if it is damaged.
    """
    what = f"{package.name} {package.version}"
    about = control(deb, what)
    found = paragraph(about.text)
    if (found.get("Package"), found.get("Version")) != (package.name, package.version):
        raise WherryError(f"the file of {what} holds {found.get('Package')} {found.get('Version')}")
    nodes = []
    with spool.open("wb") as target:
        for entry, reader in contents(deb, what):
            path = entry.path if entry.kind == "symlink" and "/" not in entry.path else placed(entry.path)
            if not path or not kept(path, package.name):
                continue
            link = placed(entry.link) if entry.kind == "hardlink" else entry.link
            offset = target.tell()
            if reader:
                while piece := reader.read(_PIECE):
                    target.write(piece)
            data = Data(spool, offset, entry.size) if reader else b""
            nodes.append(Node(replace(entry, path=path, link=link), data, package.name))
    # An index says the same of it; but of a package that is pinned nobody asks an index.
    replaces = Package.parse(found).replaces
    return Unpacked(replace(package, replaces=replaces), about, tuple(nodes))


class Tree:
    """Nodes by path, each with its parent directories."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    def put(self, node: Node) -> None:
        """Set ``node``, in place of what was there."""
        self.nodes[node.entry.path] = node

    def put_new(self, node: Node) -> None:
        """Set ``node`` unless something is there."""
        self.nodes.setdefault(node.entry.path, node)

    def resolve(self, path: str) -> str:
        """Where ``path`` leads if the last part of it is a link, and so on; perhaps out of the tree."""
        for _ in range(_MOST_LINKS):
            node = self.nodes.get(path)
            if node is None or node.entry.kind not in {"symlink", "hardlink"}:
                break
            above = "/" if node.entry.kind == "hardlink" else f"/{posixpath.dirname(path)}"
            path = placed(posixpath.normpath(posixpath.join(above, node.entry.link)).lstrip("/"))
        return path

    def merge(self, unpacked: list[Unpacked]) -> None:
        """Add packages' files. Raises :class:`WherryError` if two ship different things under one path."""
        replacing = {one.package.name: {relation.name for relation in one.package.replaces} for one in unpacked}
        for one in sorted(unpacked, key=lambda one: one.package.name):
            for node in one.nodes:
                path = node.entry.path
                there = self.nodes.get(path)
                if there is None or node.owner in replacing.get(there.owner, set()):
                    self.nodes[path] = there or node
                elif there.owner in replacing[node.owner]:
                    self.nodes[path] = node
                elif not _same(there, node):
                    raise WherryError(
                        f"the Debian packages {there.owner} and {node.owner} both hold /{path}",
                        hint="They cannot be installed together: leave one out.",
                    )

    def finish(self) -> Iterator[Node]:
        """All nodes in the order of their paths, missing parents added, each hard link after its file."""
        links: dict[str, list[str]] = {}
        for path, node in self.nodes.items():
            if node.entry.kind == "hardlink":
                links.setdefault(self._target(node), []).append(path)
        for target, paths in links.items():
            self._relink(target, sorted(paths))
        for path in list(self.nodes):
            for parent in parents(path):
                self.put_new(Node(Entry(parent, "dir", 0o755)))
        for path in sorted(self.nodes):
            yield self.nodes[path]

    def _target(self, node: Node) -> str:
        seen = set()
        while node.entry.kind == "hardlink" and node.entry.path not in seen and node.entry.link in self.nodes:
            seen.add(node.entry.path)
            node = self.nodes[node.entry.link]
        if node.entry.kind != "file":
            raise WherryError(f"the Debian package {node.owner} holds /{node.entry.path}, a link to nothing")
        return node.entry.path

    def _relink(self, target: str, paths: list[str]) -> None:
        """Let the first of a file's names hold the data."""
        file = self.nodes[target]
        first, *others = sorted([target, *paths])
        self.put(replace(file, entry=replace(file.entry, path=first)))
        for path in others:
            entry = replace(file.entry, path=path, kind="hardlink", size=0, link=first)
            self.put(Node(entry, owner=self.nodes[path].owner))


def _same(one: Node, other: Node) -> bool:
    if one.entry.kind != other.entry.kind:
        return False
    if one.entry.kind == "dir":
        return True
    if one.entry.kind != "file":
        return one.entry.link == other.entry.link
    return one.entry.size == other.entry.size and content(one) == content(other)


def content(node: Node) -> bytes:
    """A (small) file's bytes."""
    if isinstance(node.data, bytes):
        return node.data
    with node.data.path.open("rb") as file:
        return b"".join(node.data.pieces({node.data.path: file}))


def reader(node: Node) -> Callable[[int, int], bytes]:
    """Reads from a file's bytes: where to begin, and how many at most."""

    def read(offset: int, size: int) -> bytes:
        if isinstance(node.data, bytes):
            return node.data[offset : offset + size]
        size = min(size, node.data.size - offset)
        if size <= 0:
            return b""
        with node.data.path.open("rb", buffering=0) as file:
            file.seek(node.data.offset + offset)
            return file.read(size)

    return read

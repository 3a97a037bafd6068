"""An image archive as what is compared: config, history, and one line for each path of the root filesystem.

Written for its own sake and apart from ``wherry.layers``: a mistake there must not hide one here.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.differential.case import OLD

_PREFIX = "SCHILY.xattr."
_SHOWN = 80  # bytes of a file that are shown as they are


@dataclass
class Node:
    """What a name stands for; hard links share one."""

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    detail: str = ""
    """A file's content, a link's target, a device's numbers."""
    mtime: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    def line(self) -> str:
        """All but the name. A time is in it only if something preserved it, that is, if it is an old one."""
        words = [self.kind, f"{self.mode:o}", f"{self.uid}:{self.gid}", self.detail]
        words += [f"{name}={value.hex()}" for name, value in sorted(self.xattrs.items())]
        if self.kind != "dir" and self.mtime == OLD:
            words.append("old")
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class Description:
    """What an image is."""

    config: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    files: Mapping[str, str]
    """Absolute paths to :meth:`Node.line`; a hard link names the first of its group."""
    layers: int


def describe(archive: Path | bytes, markers: Mapping[str, str]) -> Description:
    """Read what ``docker save`` writes; file contents of a SHA-256 in ``markers`` are named by its word."""
    source = io.BytesIO(archive) if isinstance(archive, bytes) else archive.open("rb")
    with source, tarfile.open(fileobj=source, mode="r:") as outer:

        def member(name: str) -> bytes:
            found = outer.extractfile(name)
            assert found is not None
            return found.read()

        (manifest,) = json.loads(member("manifest.json"))
        document = json.loads(member(manifest["Config"]))
        tree: dict[str, Node] = {"/": Node("dir")}
        for layer in manifest["Layers"]:
            apply(member(layer), tree, markers)
    config = {key: value for key, value in document.get("config", {}).items() if value}
    config |= {f".{key}": document[key] for key in ("architecture", "os", "author") if document.get(key)}
    return Description(config, tuple(_history(document)), lines(tree), len(manifest["Layers"]))


def _history(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document.get("history", []):
        yield {key: value for key, value in item.items() if key != "created" and value}


def apply(layer: bytes, tree: dict[str, Node], markers: Mapping[str, str]) -> None:
    """Apply a layer, compressed or not, as image-spec's layer.md says.

    No entry may lead through a symbolic link: what such a layer means depends on who unpacks it.
    """
    fresh: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(layer), errors="surrogateescape", encoding="utf-8") as archive:
        for info in archive:
            path = "/" + "/".join(part for part in info.name.split("/") if part not in {"", "."})
            above, _, name = path.rpartition("/")
            above = above or "/"
            if name == ".wh..wh..opq":
                _remove(tree, above, fresh)
                continue
            if name.startswith(".wh."):
                gone = f"{above.rstrip('/')}/{name.removeprefix('.wh.')}"
                _remove(tree, gone, fresh, itself=True)
                continue
            _make_parents(above, tree, fresh)
            node = tree[_absolute(info.linkname)] if info.islnk() else _node(info, archive, markers)
            there = tree.get(path)
            if there and there.kind == "dir" and node.kind != "dir":
                _remove(tree, path, set())
            tree[path] = node
            fresh.add(path)


def _make_parents(path: str, tree: dict[str, Node], fresh: set[str]) -> None:
    if path not in tree:
        _make_parents(path.rpartition("/")[0] or "/", tree, fresh)
        tree[path] = Node("dir")
        fresh.add(path)
    assert tree[path].kind == "dir", f"the layer has something below {path}, which is a {tree[path].kind}"


def _absolute(path: str) -> str:
    return "/" + path.removeprefix("./").lstrip("/")


def _remove(tree: dict[str, Node], root: str, kept: set[str], *, itself: bool = False) -> None:
    """Remove what is below ``root``, and perhaps ``root``, but nothing that is ``kept``."""
    below = root.rstrip("/") + "/"
    for path in [path for path in tree if path.startswith(below) or (itself and path == root)]:
        if path != "/" and path not in kept:
            del tree[path]


def _node(info: tarfile.TarInfo, archive: tarfile.TarFile, markers: Mapping[str, str]) -> Node:
    node = Node("", info.mode & 0o7777, info.uid, info.gid, mtime=int(info.mtime))
    node.xattrs = {
        key.removeprefix(_PREFIX): value.encode("utf-8", "surrogateescape")
        for key, value in info.pax_headers.items()
        if key.startswith(_PREFIX)
    }
    if info.isdir():
        node.kind = "dir"
    elif info.issym():
        node.kind, node.detail, node.mode = "symlink", f"-> {info.linkname}", 0o777
    elif info.isfifo():
        node.kind = "fifo"
    elif info.ischr() or info.isblk():
        node.kind, node.detail = ("char" if info.ischr() else "block"), f"{info.devmajor},{info.devminor}"
    else:
        assert info.isreg(), f"{info.name}: {info.type!r}"
        file = archive.extractfile(info)
        assert file is not None
        node.kind, node.detail = "file", content(file.read(), markers)
    return node


def content(data: bytes, markers: Mapping[str, str]) -> str:
    """A file's content in one word: all of it if it is short text, else its size and hash."""
    digest = hashlib.sha256(data).hexdigest()
    if digest in markers:
        return markers[digest]
    if len(data) <= _SHOWN and data.isascii() and all(byte >= 32 or byte in b"\n\t" for byte in data):
        return repr(data.decode())
    return f"{len(data)} sha256:{digest[:24]}"


def lines(tree: Mapping[str, Node]) -> dict[str, str]:
    """Every path and its line, in the order of the paths."""
    first: dict[int, str] = {}
    found = {}
    for path in sorted(tree):
        node = tree[path]
        other = first.setdefault(id(node), path)
        found[path] = node.line() if other == path else f"hardlink to {other}"
    return found

"""Files that can be copied: their data, from directories and from blobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.image import Layer
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.records import keep_records, scan
from wherry.layers.source import LayeredTree, MemoryTree
from wherry.layers.unpack import unpack
from wherry.layers.writer import LayerWriter
from wherry.store import Store


def layer_of(store: Store, files: Mapping[str, bytes]) -> Layer:
    with LayerWriter(store.blobs, Compression()) as writer:
        for path, data in files.items():
            writer.add(Entry(path, "file", size=len(data)), data)
        return writer.finish()


def contents(tree: LayeredTree, *paths: str) -> list[tuple[str, bytes]]:
    files = []
    names = {}
    for path in paths:
        node = tree.tree.find(path)
        assert node is not None
        files.append((node.content, path))
        names[id(node.content)] = path
    return [(names[id(content)], b"".join(pieces)) for content, pieces in tree.read(files)]


@pytest.fixture
def layers(store: Store) -> list[Layer]:
    return [layer_of(store, {"d/b": b"B" * 700_000, "d/a": b"A", "c": b"old"}), layer_of(store, {"c": b"new"})]


def unpacked(store: Store, layer: Layer, folder: Path) -> Path:
    folder.mkdir()
    unpack([store.blobs.path(layer.descriptor.digest)], folder, owners=False)
    return folder


def test_data_comes_in_the_order_of_the_layers(store: Store, layers: list[Layer]) -> None:
    tree = LayeredTree([(layer, None) for layer in layers], store)
    expected = [("d/b", b"B" * 700_000), ("d/a", b"A"), ("c", b"new")]
    assert contents(tree, "c", "d/a", "d/b") == expected
    assert contents(tree, "d/a") == [("d/a", b"A")]


def test_data_comes_from_a_directory_where_there_is_one(store: Store, layers: list[Layer], tmp_path: Path) -> None:
    places = [(layer, unpacked(store, layer, tmp_path / str(number))) for number, layer in enumerate(layers)]
    tree = LayeredTree(places, store)
    for layer in layers:
        store.blobs.path(layer.descriptor.digest).write_bytes(b"nobody reads this")
    expected = [("d/b", b"B" * 700_000), ("d/a", b"A"), ("c", b"new")]
    assert contents(tree, "c", "d/a", "d/b") == expected
    node = tree.tree.find("d/b")
    assert node is not None
    with tree.open((node.content, "d/b")) as file:
        assert file.read(2) == b"BB"


@pytest.mark.parametrize("trick", ["link", "parent", "gone", "size", "fifo", "directory"])
def test_a_directory_is_not_believed(store: Store, layers: list[Layer], tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    (secret / "d").mkdir(parents=True)
    (secret / "d" / "a").write_bytes(b"S")
    folder = unpacked(store, layers[0], tmp_path / "0")
    file = folder / "d" / "a"
    if trick == "parent":
        (folder / "d").rename(folder / "moved")
        (folder / "d").symlink_to(secret / "d")
    else:
        file.unlink()
    if trick == "link":
        file.symlink_to(secret / "d" / "a")
    elif trick == "size":
        file.write_bytes(b"longer")
    elif trick == "fifo":
        os.mkfifo(file)
    elif trick == "directory":
        file.mkdir()
    tree = LayeredTree([(layers[0], folder)], store)
    assert contents(tree, "d/a") == [("d/a", b"A")]
    node = tree.tree.find("d/a")
    assert node is not None
    with tree.open((node.content, "d/a")) as opened:
        assert opened.read() == b"A"


@pytest.mark.parametrize("in_folder", [True, False])
def test_hashes_that_are_not_remembered_are_found(
    store: Store, layers: list[Layer], tmp_path: Path, in_folder: bool
) -> None:
    layer = layers[0]
    folder = unpacked(store, layer, tmp_path / "0") if in_folder else None
    records = scan(store.blobs.path(layer.descriptor.digest), "layer")
    keep_records(store, layer.descriptor.digest, [(*row[:-1], "") for row in records.rows])
    tree = LayeredTree([(layer, folder)], store)
    nodes = {path: tree.tree.find(path) for path in ("d/a", "d/b", "c")}
    files = [(node.content, path) for path, node in nodes.items() if node is not None]
    hashes = [sha256(data).hexdigest() for data in (b"A", b"B" * 700_000)]
    assert [content.hash for content, _ in files] == ["", "", ""]
    tree.know([*files[:2], files[0]])
    assert [content.hash for content, _ in files] == [*hashes, ""]


def test_nothing_is_left_in_the_scratch_directory(store: Store, layers: list[Layer]) -> None:
    tree = LayeredTree([(layer, None) for layer in layers], store)
    node = tree.tree.find("d/b")
    assert node is not None
    with tree.open((node.content, "d/b")) as file:
        assert len(file.read()) == 700_000
    assert list(store.scratch().iterdir()) == []


def test_a_blob_that_is_gone_is_an_error(store: Store, layers: list[Layer]) -> None:
    tree = LayeredTree([(layer, None) for layer in layers], store)
    store.blobs.path(layers[0].descriptor.digest).unlink()
    with pytest.raises(WherryError, match="missing from the store"):
        contents(tree, "d/a")


def test_files_in_memory() -> None:
    memory = MemoryTree()
    node = memory.add("a", b"data")
    assert memory.tree.find("a") is node
    ((content, pieces),) = memory.read([(node.content, "a")])
    assert (content is node.content, b"".join(pieces)) == (True, b"data")

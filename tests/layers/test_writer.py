"""Layers into the store."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.image.digest import encoded
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.layers.records import row_of
from wherry.layers.writer import LayerWriter
from wherry.store import Store


def test_digest_size_and_diff_id_are_what_they_say(store: Store) -> None:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "dir", 0o755))
        writer.add(Entry("a/b", "file", size=4), b"data")
        layer = writer.finish()
    packed = store.blobs.path(layer.descriptor.digest).read_bytes()
    plain = gzip.decompress(packed)
    assert layer.descriptor.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.descriptor.size == len(packed)
    assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert layer.size == len(plain)


def test_the_diff_id_does_not_depend_on_the_compression(store: Store) -> None:
    ids = set()
    for name in ("gzip", "zstd", "uncompressed"):
        with LayerWriter(store.blobs, Compression.of(name)) as writer:
            writer.add(Entry("a", "file", size=4), b"data")
            ids.add(writer.finish().diff_id)
    assert len(ids) == 1


def test_an_empty_layer_is_an_archive(store: Store) -> None:
    with LayerWriter(store.blobs, Compression()) as writer:
        layer = writer.finish()
    with tarfile.open(store.blobs.path(layer.descriptor.digest)) as archive:
        assert archive.getmembers() == []


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.binary(max_size=700), max_size=4), max_size=5))
def test_data_in_pieces_comes_back_whole(store: Store, files: list[list[bytes]]) -> None:
    with LayerWriter(store.blobs, Compression("zstd", 1)) as writer:
        for number, pieces in enumerate(files):
            writer.add(Entry(f"{number}", "file", size=sum(map(len, pieces))), iter(pieces))
        layer = writer.finish()
    found = [data.read() if data else None for _, data in entries(store.blobs.path(layer.descriptor.digest))]
    assert found == [b"".join(pieces) for pieces in files]


@pytest.mark.parametrize("content", ["", "c" * 64])
def test_rows_are_written_like_entries_and_told_with_their_hashes(store: Store, content: str) -> None:
    made = [
        (Entry("a", "dir", 0o755, uid=7), b""),
        (Entry("a/b", "file", 0o4755, 4, mtime=9, xattrs={"user.x": b"1"}), b"data"),
        (Entry("a/" + "long" * 50, "file", size=4), b"data"),
        (Entry("a/c", "file", size=4), b"data"),
        (Entry("a/d", "hardlink", link="a/c"), b""),
        (Entry("a/e", "char", major=1, minor=3), b""),
    ]
    with LayerWriter(store.blobs, Compression()) as plain:
        for entry, data in made:
            plain.add(entry, data)
        expected = plain.finish()
    with LayerWriter(store.blobs, Compression(), records=True) as writer:
        for entry, data in made:
            is_file = entry.kind == "file"
            writer.add_row(row_of(entry, content if is_file else ""), (data[:1], data[1:]) if is_file else ())
        assert writer.finish() == expected
    data_hash = content or hashlib.sha256(b"data").hexdigest()
    assert writer.rows == [row_of(entry, data_hash if entry.kind == "file" else "") for entry, _ in made]
    assert plain.rows is None


@pytest.mark.parametrize("size", [3, 5])
def test_data_of_another_length_than_announced_is_refused(store: Store, size: int) -> None:
    announced = pytest.raises(WherryError, match=f"4 bytes where {size} were announced")
    with announced, LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=size), b"data")


def test_leaving_without_finishing_leaves_nothing(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(3 << 20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=4 << 20), broken())
    assert list(store.scratch().iterdir()) == []
    assert not (store.blobs.root / "sha256").exists()


def test_a_layer_written_again_is_the_same_blob(store: Store) -> None:
    layers = []
    for _ in range(2):
        with LayerWriter(store.blobs, Compression()) as writer:
            writer.add(Entry("a", "file", size=4), b"data")
            layers.append(writer.finish())
    assert layers[0] == layers[1]
    (blob,) = (store.blobs.root / "sha256").iterdir()
    assert blob.name == encoded(layers[0].descriptor.digest)


@pytest.mark.e2e
def test_memory_does_not_grow_with_the_layer(store: Store) -> None:
    script = """
import os, resource, sys
from pathlib import Path
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store
piece = os.urandom(1 << 16) * 4
def write(store, count):
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=count * len(piece)), (piece for _ in range(count)))
        writer.finish()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Store(Path(sys.argv[1])) as store:
    small = write(store, 64)
    print((write(store, 2000) - small) >> 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, store.path], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 24  # MB more for 500 MB than for 16

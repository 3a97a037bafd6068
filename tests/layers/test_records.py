"""What layers hold, remembered."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.image import Digest, Layer
from wherry.image.digest import encoded
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.layers.records import Record, entry_of, keep_records, load_records, row_of, scan
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.prune import prune

ENTRIES = [
    (Entry("d", "dir", 0o1777, uid=1, gid=2, mtime=3), b""),
    (Entry("d/f", "file", 0o4755, 5, mtime=9, xattrs={"security.capability": b"\0\1\xff"}), b"hello"),
    (Entry("d/h", "hardlink", link="d/f"), b""),
    (Entry("d/l", "symlink", 0o777, link="../x"), b""),
    (Entry("dev", "char", 0o600, major=5, minor=1), b""),
    (Entry(os.fsdecode(b"caf\xe9"), "fifo"), b""),
    (Entry("d/.wh.gone", "file", size=0), b""),
]


def write(store: Store, *, records: bool = False) -> tuple[Layer, LayerWriter]:
    with LayerWriter(store.blobs, Compression(), records=records) as writer:
        for entry, data in ENTRIES:
            writer.add(entry, data)
        return writer.finish(), writer


def path_of(store: Store, layer: Layer) -> Path:
    return store.path / "records" / encoded(layer.descriptor.digest)


def test_the_records_of_a_layer_are_its_entries_and_the_hashes_of_their_data(store: Store) -> None:
    layer, _ = write(store)
    records = load_records(store, layer.descriptor.digest)
    assert [record.entry for record in records] == [entry for entry, _ in ENTRIES]
    assert records[1] == Record(ENTRIES[1][0], hashlib.sha256(b"hello").hexdigest())
    assert records[0].content == records[2].content == ""
    assert (len(records), len(records[1:3])) == (7, 2)


def test_a_blob_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _ = write(store)
    first = load_records(store, layer.descriptor.digest)
    monkeypatch.setattr("wherry.layers.records.scan", None)
    assert load_records(store, layer.descriptor.digest) == first


def test_what_is_noted_while_a_layer_is_written_is_what_reading_it_gives(store: Store) -> None:
    layer, writer = write(store, records=True)
    assert writer.rows == scan(store.blobs.path(layer.descriptor.digest), "layer").rows
    keep_records(store, layer.descriptor.digest, writer.rows or [])
    assert load_records(store, layer.descriptor.digest).rows == writer.rows


def test_a_hash_that_is_known_is_taken(store: Store) -> None:
    with LayerWriter(store.blobs, Compression(), records=True) as writer:
        writer.add(Entry("a", "file", size=1), b"a", "abc")
        writer.finish()
    assert writer.rows is not None and writer.rows[0][-1] == "abc"


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "version", "nonsense"])
def test_what_is_damaged_is_made_again(store: Store, damage: str) -> None:
    layer, _ = write(store)
    whole = load_records(store, layer.descriptor.digest)
    path = path_of(store, layer)
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[:-1],
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "empty": b"",
            "version": data.replace(b"records 1", b"records 0"),
            "nonsense": b"wherry",
        }[damage]
    )
    assert load_records(store, layer.descriptor.digest) == whole
    assert path.read_bytes() == data


def test_a_missing_or_damaged_blob_is_an_error(store: Store) -> None:
    with pytest.raises(WherryError, match="missing from the store"):
        load_records(store, Digest("sha256:" + "0" * 64))
    digest = store.blobs.add(gzip.compress(b"no archive at all"))
    with pytest.raises(WherryError, match="damaged"):
        load_records(store, digest)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(Entry, st.text(), xattrs=st.dictionaries(st.text(), st.binary())))
def test_a_row_is_its_entry(entry: Entry) -> None:
    assert entry_of(row_of(entry)) == entry


def test_records_go_with_their_blobs(store: Store) -> None:
    kept, _ = write(store)
    load_records(store, kept.descriptor.digest)
    store.cache.put("needs it", {}, [kept.descriptor.digest])
    orphan = path_of(store, kept).with_name("1" * 64)
    orphan.write_bytes(b"of a layer that is gone")
    assert "records/" + orphan.name in prune(store, dry_run=True).paths
    assert orphan.exists()
    prune(store)
    assert not orphan.exists()
    assert path_of(store, kept).exists()
    prune(store, everything=True)
    assert not path_of(store, kept).exists()


def test_records_are_read_from_any_archive_a_reader_reads(store: Store) -> None:
    layer, _ = write(store)
    path = store.blobs.path(layer.descriptor.digest)
    assert [row[0] for row in scan(path, "layer").rows] == [entry.path for entry, _ in entries(path)]

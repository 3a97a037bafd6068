"""The document of a shared cache: what is written is read, and nothing else is."""

from __future__ import annotations

import json

import pytest
import zstandard

from wherry.errors import WherryError
from wherry.image import Descriptor, Digest, Layer
from wherry.image.json import Json
from wherry.image.mediatype import OCI_LAYER_GZIP
from wherry.sharing.entries import Entry, entries_of, read_entries, write_entries
from wherry.store import Store
from wherry.store.origins import Origin

ONE = Descriptor(OCI_LAYER_GZIP, Digest("sha256:" + "1" * 64), 10)
TWO = Descriptor(OCI_LAYER_GZIP, Digest("sha256:" + "2" * 64), 20)
ENTRIES = [
    Entry("run:b", {"x": [1, None]}, (TWO, ONE)),
    Entry("copy:a", {}, ()),
    Entry("install:c", {"é": "ü"}, (ONE,)),
]


def compressed(value: Json) -> bytes:
    return zstandard.compress(json.dumps(value).encode())


def test_what_is_written_is_read() -> None:
    assert read_entries(write_entries(ENTRIES), "it") == {entry.key: entry for entry in ENTRIES}


def test_the_same_entries_in_any_order_are_the_same_bytes() -> None:
    assert write_entries(ENTRIES) == write_entries(reversed(ENTRIES))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zstd",
        zstandard.compress(b"no JSON"),
        compressed([]),
        compressed({"version": 2}),
        compressed({"version": 1, "blobs": [{"digest": "x"}]}),
        compressed({"version": 1, "entries": [["run:a"]]}),
        compressed({"version": 1, "entries": [["run:a", {}, [0]]]}),
        compressed({"version": 1, "blobs": [ONE.to_json()], "entries": [["run:a", {}, [-1]]]}),
        compressed({"version": 1, "entries": [[1, {}, []]]}),
        compressed({"version": 1, "entries": [["run:a", 3, []]]}),
        compressed({"version": 1, "entries": {"run:a": {}}}),
        write_entries(ENTRIES)[:-5],
    ],
)
def test_what_is_no_document_is_an_error_and_no_traceback(data: bytes) -> None:
    with pytest.raises(WherryError):
        read_entries(data, "it")


def test_results_that_speak_of_one_machine_are_neither_written_nor_believed(store: Store) -> None:
    store.cache.put("runs:here", {})
    store.cache.put("copy:a", {})
    assert [entry.key for entry in entries_of(["runs:here", "copy:a"], store)] == ["copy:a"]
    foreign = compressed({"version": 1, "entries": [["runs:here", {}, []], ["registry:name", {}, []]]})
    assert read_entries(foreign, "it") == {}


def test_what_a_result_was_made_of_goes_with_it(store: Store) -> None:
    digest = store.blobs.add(b"layer")
    layer = Layer(Descriptor(OCI_LAYER_GZIP, digest, 5), digest, 5)
    store.cache.put("layer of wheels a", layer.to_json(), [digest])
    store.cache.put("install:b", {"layers": [], "parts": ["layer of wheels a", "claims gone"]}, [digest])
    whole, part = entries_of(["install:b"], store)
    assert (whole.key, part.key) == ("install:b", "layer of wheels a")
    assert part.needs == (layer.descriptor,)


def test_a_result_whose_blob_is_elsewhere_can_be_handed_on(store: Store) -> None:
    digest = Digest("sha256:" + "3" * 64)
    store.origins.add([Origin(digest, "docker://host/path", 7)])
    store.cache.put("project:a", {}, [digest])
    (entry,) = entries_of(["project:a"], store)
    assert [(one.digest, one.size) for one in entry.needs] == [(digest, 7)]

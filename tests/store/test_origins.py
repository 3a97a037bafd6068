"""Blobs that are elsewhere: the store knows where, results count with them, and pruning forgets none that is needed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wherry.errors import StoreError
from wherry.image import Descriptor, Digest, Image, ImageConfig, Layer, Platform
from wherry.image.mediatype import OCI_LAYER_GZIP
from wherry.store import Store
from wherry.store.origins import Origin
from wherry.store.prune import prune

AWAY = Digest("sha256:" + "a" * 64)
OTHER = Digest("sha256:" + "b" * 64)
PLACE = "docker://example.com/base"


def lazy_image(store: Store) -> Descriptor:
    """An image in the store whose layer is not."""
    layer = Layer(Descriptor(OCI_LAYER_GZIP, AWAY, 10), OTHER, 20)
    return store.add_image(Image.of(ImageConfig(Platform("linux", "amd64")), (layer,), {}))


def test_where_a_blob_is_can_be_remembered_and_forgotten(store: Store) -> None:
    here, there = Origin(AWAY, "docker://a/b", 10), Origin(AWAY, "oci:/c", 10)
    store.origins.add([there, here, here])
    assert store.origins.of(AWAY) == (here, there)
    assert store.origins.of(OTHER) == ()
    store.origins.forget(here)
    assert store.origins.of(AWAY) == (there,)


def test_a_result_counts_as_long_as_its_blob_is_somewhere(store: Store) -> None:
    store.cache.put("key", {"a": 1}, [AWAY])
    assert store.cache.get("key") is None
    store.origins.add([Origin(AWAY, PLACE, 10)])
    assert store.cache.get("key") == {"a": 1}


def test_a_blob_that_is_asked_for_is_fetched_and_one_that_is_here_is_not(store: Store) -> None:
    asked: list[Sequence[Digest]] = []

    def supply(digests: Sequence[Digest]) -> None:
        asked.append(digests)
        store.blobs.add(b"away")

    away, here = Digest("sha256:" + "0" * 64), store.blobs.add(b"here")
    store.blobs.supply = supply
    assert store.blobs.file(here).read_bytes() == b"here"
    assert asked == []
    with pytest.raises(StoreError, match="missing from the store"):
        store.blobs.file(away)
    assert asked == [[away]]


def test_pruning_keeps_the_origins_of_what_a_named_image_needs_and_no_others(store: Store) -> None:
    store.origins.add([Origin(AWAY, PLACE, 10), Origin(OTHER, PLACE, 10)])
    store.tag(("lazy:1",), lazy_image(store))
    prune(store)
    assert (len(store.origins.of(AWAY)), len(store.origins.of(OTHER))) == (1, 0)


def test_so_does_pruning_that_drops_every_cache(store: Store) -> None:
    store.origins.add([Origin(AWAY, PLACE, 10), Origin(OTHER, PLACE, 10)])
    store.tag(("lazy:1",), lazy_image(store))
    store.cache.put("key", {})
    prune(store, everything=True)
    assert store.cache.get("key") is None
    assert (len(store.origins.of(AWAY)), len(store.origins.of(OTHER))) == (1, 0)


def test_a_dry_run_forgets_nothing(store: Store) -> None:
    store.origins.add([Origin(OTHER, PLACE, 10)])
    for everything in (False, True):
        prune(store, everything=everything, dry_run=True)
        assert len(store.origins.of(OTHER)) == 1


def test_what_is_borrowed_is_kept(store: Store) -> None:
    digest = store.blobs.add(b"x")
    with store.cache.borrowing(lambda key: ({"of": key}, [digest]) if key == "known" else None):
        assert store.cache.get("unknown") is None
        assert store.cache.get("known") == {"of": "known"}
    assert store.cache.get("known") == {"of": "known"}
    assert store.cache.needs("known") == (digest,)


def test_what_is_borrowed_needs_its_blobs_too(store: Store) -> None:
    with store.cache.borrowing(lambda key: ({}, [AWAY])):
        assert store.cache.get("key") is None


def test_one_s_own_result_goes_before_another_s(store: Store) -> None:
    store.cache.put("key", {"whose": "mine"})
    with store.cache.borrowing(lambda key: ({"whose": "theirs"}, [])):
        assert store.cache.get("key") == {"whose": "mine"}


def test_the_keys_of_results_that_are_used_or_made_can_be_watched(store: Store) -> None:
    store.cache.put("before", {})
    with store.cache.watched() as keys:
        store.cache.get("before")
        store.cache.get("missing")
        store.cache.put("made", {})
    store.cache.put("after", {})
    assert keys == {"before", "made"}

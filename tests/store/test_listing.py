"""Named images as people see and name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import Image, ImageConfig, Index, Platform
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.listing import find_descriptor, find_names, rows


def _image(store: Store, data: bytes = b"data", platform: str = "linux/amd64") -> Image:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("a", "file", size=len(data)), data)
        layer = writer.finish()
    return Image.of(ImageConfig(Platform.parse(platform), created="1980-01-01T00:00:00Z"), (layer,), {})


def _keep(store: Store, *names: str, data: bytes = b"data") -> Image:
    image = _image(store, data)
    store.tag(names, store.add_image(image))
    return image


def test_a_row_says_what_an_image_is(store: Store) -> None:
    image = _keep(store, "hello:latest")
    (row,) = rows(store)
    assert (row.name, row.digest, row.id) == ("hello:latest", image.digest, image.id)
    assert row.platforms == (Platform("linux", "amd64"),)
    assert row.created == "1980-01-01T00:00:00Z"
    assert row.size == image.layers[0].descriptor.size
    assert row.unpacked == image.layers[0].size


def test_the_unpacked_size_of_an_image_that_was_only_read_is_not_known(store: Store) -> None:
    _keep(store, "hello:latest")
    store.cache.forget(1e12)
    assert rows(store)[0].unpacked is None


def test_an_index_is_a_row_with_its_platforms(store: Store) -> None:
    index = Index((_image(store), _image(store, platform="linux/arm64")))
    store.tag(("both:latest",), store.add_image(index))
    (row,) = rows(store)
    assert row.digest == index.digest
    assert [str(platform) for platform in row.platforms] == ["linux/amd64", "linux/arm64"]
    assert row.size == index.images[0].layers[0].descriptor.size  # which both share


def test_rows_come_by_name(store: Store) -> None:
    _keep(store, "b:latest", "a:2", "a:1")
    assert [row.name for row in rows(store)] == ["a:1", "a:2", "b:latest"]


def test_an_image_that_cannot_be_read_is_listed_all_the_same(store: Store) -> None:
    image = _keep(store, "hello:latest")
    store.blobs.path(image.id).unlink()
    (row,) = rows(store)
    assert row.name == "hello:latest"
    assert "missing" in row.damaged


def test_an_empty_store_has_no_rows(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        assert rows(store) == ()


@pytest.mark.parametrize("text", ["hello", "hello:latest", "docker.io/library/hello", "library/hello:latest"])
def test_a_name_may_be_short_or_full(text: str, store: Store) -> None:
    _keep(store, "hello:latest", "other:latest")
    assert find_names(store, text) == ("hello:latest",)


def test_a_digest_means_all_names_of_its_image(store: Store) -> None:
    image = _keep(store, "a:latest", "b:latest")
    _keep(store, "c:latest", data=b"other")
    for text in (image.digest, image.id, image.digest[7:], image.digest[7:19], image.id[:19]):
        assert find_names(store, text) == ("a:latest", "b:latest")


def test_a_name_with_a_digest_means_the_name_if_the_digest_is_its_own(store: Store) -> None:
    image = _keep(store, "a:1", "b:1")
    assert find_names(store, f"a@{image.digest}") == ("a:1",)
    with pytest.raises(UsageError):
        find_names(store, f"a@{image.id}")


def test_a_name_comes_before_a_digest_that_begins_like_it(store: Store) -> None:
    image = _keep(store, "a:latest")
    other = _keep(store, f"{image.digest[7:15]}:latest", data=b"other")
    assert find_descriptor(store, image.digest[7:15]).digest == other.digest


def test_the_beginning_of_two_digests_is_refused(store: Store) -> None:
    seen: dict[str, bytes] = {}
    for number in range(2000):  # two manifests whose digests begin with the same four digits
        data = str(number).encode()
        prefix = _image(store, data).digest[7:11]
        if prefix in seen:
            break
        seen[prefix] = data
    _keep(store, "a:latest", data=seen[prefix])
    _keep(store, "b:latest", data=data)
    with pytest.raises(UsageError, match="several images"):
        find_names(store, prefix)


def test_an_unknown_name_is_answered_with_the_nearest(store: Store) -> None:
    _keep(store, "hello:latest", "other:latest")
    with pytest.raises(UsageError) as caught:
        find_names(store, "helo")
    assert "Did you mean 'hello:latest'?" in str(caught.value)


def test_an_empty_store_says_that_it_is_empty(store: Store) -> None:
    with pytest.raises(UsageError, match="holds none"):
        find_names(store, "hello")


def test_what_is_no_reference_at_all_is_an_unknown_image(store: Store) -> None:
    _keep(store, "hello:latest")
    with pytest.raises(UsageError, match="there is no image 'NOT A NAME'"):
        find_names(store, "NOT A NAME")

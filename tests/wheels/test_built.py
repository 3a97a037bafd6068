"""Wheels that were built here: kept, found again, and had from another machine as blobs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.image import Digest
from wherry.image.json import JsonObject
from wherry.store import Store
from wherry.wheels.built import Library, keep, metadata, needs, recall

NAME = "Some_Thing-1.0.post1-py3-none-any.whl"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return made(tmp_path / NAME, "Name: some-thing\nRequires-Dist: one\nRequires-Dist: two>1\nRequires-Python: >=3.9\n")


def made(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_thing-1.0.post1.dist-info/METADATA", f"Metadata-Version: 2.1\n{text}\nLong: words\n")
    return path


def test_a_wheel_that_is_kept_is_found_again(store: Store, wheel: Path) -> None:
    data = wheel.read_bytes()
    value = keep(wheel, store, what="it")
    assert not wheel.exists()
    built = recall(value, store)
    assert built is not None
    assert built.path.read_bytes() == data
    assert (built.distribution.name, built.distribution.version) == ("some-thing", "1.0.post1")
    download = built.distribution.wheel
    digest = hashlib.sha256(data).hexdigest()
    assert (download.name, download.size, dict(download.hashes)) == (NAME, len(data), {"sha256": digest})
    assert download.url == built.path.as_uri()
    assert built.libraries == ()
    assert built.distribution.direct_url == ""


def test_its_libraries_are_remembered_with_their_packages(store: Store, wheel: Path) -> None:
    libraries = (Library("libpq.so.5", "libpq5"), Library("libown.so"))
    built = recall(keep(wheel, store, what="it", libraries=libraries), store)
    assert built is not None
    assert built.libraries == libraries


def test_where_it_came_from_is_told_by_who_asks(store: Store, wheel: Path) -> None:
    built = recall(keep(wheel, store, what="it"), store, direct_url='{"url": "x"}')
    assert built is not None
    assert built.distribution.direct_url == '{"url": "x"}'


def test_nothing_remembered_is_nothing_found(store: Store) -> None:
    assert recall(None, store) is None


def test_a_wheel_whose_file_is_gone_is_made_of_its_blob(store: Store, wheel: Path) -> None:
    data = wheel.read_bytes()
    value = keep(wheel, store, what="it")
    first = recall(value, store)
    assert first is not None
    first.path.unlink()
    again = recall(value, store)
    assert again is not None
    assert again.path.read_bytes() == data


def test_one_whose_file_and_blob_are_gone_is_not_found(store: Store, wheel: Path) -> None:
    value = keep(wheel, store, what="it")
    built = recall(value, store)
    assert built is not None
    built.path.unlink()
    (blob,) = needs(value)
    store.blobs.path(blob).unlink()
    assert recall(value, store) is None


def test_its_blob_is_what_the_cache_needs(store: Store, wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert needs(keep(wheel, store, what="it")) == [Digest(f"sha256:{digest}")]
    assert store.blobs.has(Digest(f"sha256:{digest}"))


def test_the_same_wheel_twice_is_kept_once(store: Store, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    other = tmp_path / "again" / NAME
    other.write_bytes(wheel.read_bytes())
    assert keep(wheel, store, what="it") == keep(other, store, what="it")
    assert len(list((store.files / "sha256").iterdir())) == 1


@pytest.mark.parametrize("name", ["thing.whl", "a-b-c-d-e-f-g.whl", "thing-1.0-py3-none-any.zip"])
def test_a_wheel_with_a_bad_name_is_an_error_of_its_backend(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(WherryError, match="the backend of thing 1 made a wheel with a bad name"):
        keep(made(tmp_path / name, ""), store, what="thing 1")


def test_what_is_remembered_wrongly_is_an_error(store: Store, wheel: Path) -> None:
    value: JsonObject = {**keep(wheel, store, what="it"), "size": "large"}
    with pytest.raises(WherryError, match="a built wheel"):
        recall(value, store)


# -- metadata -----------------------------------------------------------------------------------------


def test_metadata_has_each_fields_values_by_its_name_in_small_letters(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["requires-dist"] == ("one", "two>1")
    assert found["requires-python"] == (">=3.9",)
    assert "long" not in found


def test_what_is_no_wheel_has_no_metadata(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"not zip")
    assert metadata(tmp_path / "x.whl") == {}
    with zipfile.ZipFile(tmp_path / "y.whl", "w") as archive:
        archive.writestr("y.py", "")
    assert metadata(tmp_path / "y.whl") == {}

"""Base images from the store, from layouts and from archives."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.image import Image, ImageConfig, Index, Layer, Platform, RuntimeConfig
from wherry.image.digest import encoded
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.registry.registries import Registries
from wherry.sources import open_source
from wherry.store import Store

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def layer(store: Store, text: bytes, compression: Compression) -> Layer:
    with LayerWriter(store.blobs, compression) as writer:
        writer.add(Entry("etc/x", "file", size=len(text)), text)
        return writer.finish()


def image(store: Store, platform: Platform = AMD64, compression: Compression | None = None) -> Image:
    config = ImageConfig(platform, RuntimeConfig(env=("A=b",)))
    made = layer(store, str(platform).encode(), compression or Compression())
    return Image.of(config, (made,), {})


def get(text: str, store: Store, platform: Platform = AMD64) -> Image:
    source = open_source(
        text,
        store=store,
        fetcher=Fetcher(store.files),
        registries=Registries(offline=True),
        pull="never",
        compression=Compression(),
        epoch=0,
    )
    return source.image(platform, Task(Reporter(), 0))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A layout with an image for two platforms called ``two:1`` and one called ``one:1``."""
    with Store(tmp_path / "other") as store:
        index = Index((image(store), image(store, ARM64)))
        store.tag(("two:1",), store.add_image(index))
        single = replace(index.images[0], annotations={"a": "b"})
        store.tag(("one:1",), store.add_image(single))
    return tmp_path / "other"


def pack(folder: Path, file: Path) -> Path:
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as archive:
        for name in ("oci-layout", "index.json", "blobs"):
            archive.add(folder / name, f"./{name}")
    return file


def test_scratch_is_empty(store: Store) -> None:
    assert get("scratch", store).layers == ()


def test_a_name_in_the_store_is_found_in_each_of_its_forms(store: Store) -> None:
    made = image(store)
    store.tag(("hello:latest",), store.add_image(made))
    for name in ("hello", "hello:latest", "docker.io/library/hello", f"hello@{made.digest}"):
        assert get(name, store).digest == made.digest


def test_an_unknown_name_is_an_error_with_the_nearest_name_and_says_what_can_be_had(store: Store) -> None:
    store.tag(("hello:latest",), store.add_image(image(store)))
    with pytest.raises(UsageError) as caught:
        get("helo", store)
    assert "in the local store" in caught.value.message
    assert "wherry pull helo" in (caught.value.hint or "")
    assert "hello:latest" in (caught.value.hint or "")
    assert "debian://trixie" in (caught.value.hint or "")


def test_a_debian_image_by_tag_points_to_the_assembled_base(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        get("debian:bookworm", store)
    assert "debian://bookworm" in (caught.value.hint or "")


def test_an_image_of_the_store_for_another_platform_is_an_error_that_lists_those_there_are(store: Store) -> None:
    store.tag(("two:1",), store.add_image(Index((image(store), image(store, ARM64)))))
    assert get("two:1", store, ARM64).config.platform == ARM64
    with pytest.raises(UsageError) as caught:
        get("two:1", store, Platform("linux", "s390x"))
    assert "linux/amd64, linux/arm64" in (caught.value.hint or "")


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_a_layout_gives_the_image_for_the_platform(platform: Platform, other: Path, store: Store) -> None:
    found = get(f"oci:{other}:two:1", store, platform)
    assert found.config.platform == platform
    assert store.blobs.has(found.layers[0].descriptor.digest)
    assert store.blobs.has(found.digest)


def test_a_layout_with_several_images_wants_a_name(other: Path, store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        get(f"oci:{other}", store)
    assert "one:1, two:1" in (caught.value.hint or "")


def test_a_layout_with_one_image_needs_no_name(tmp_path: Path, store: Store) -> None:
    with Store(tmp_path / "single") as single:
        made = image(single)
        single.tag(("x:1",), single.add_image(made))
    assert get(f"oci:{tmp_path}/single", store).digest == made.digest


def test_a_name_that_the_layout_lacks_is_an_error_that_lists_its_names(other: Path, store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        get(f"oci:{other}:three", store)
    assert "one:1, two:1" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["image.tar", "image.tar.gz"])
def test_an_archive_is_read_as_a_layout_is(name: str, other: Path, tmp_path: Path, store: Store) -> None:
    file = pack(other, tmp_path / name)
    found = get(f"oci-archive:{file}:one:1", store)
    assert store.blobs.has(found.layers[0].descriptor.digest)
    assert not list(store.scratch().iterdir())


def test_an_altered_layer_is_refused_and_not_kept(other: Path, store: Store) -> None:
    blobs = sorted((other / "blobs/sha256").iterdir(), key=lambda path: path.read_bytes()[:2] != b"\x1f\x8b")
    victim = blobs[0]
    victim.write_bytes(victim.read_bytes() + b"x")
    failures = 0
    for platform in (AMD64, ARM64):
        try:
            get(f"oci:{other}:two:1", store, platform)
        except WherryError as error:
            failures += 1
            assert "damaged" in error.message
    assert failures == 1
    assert not (store.blobs.root / "sha256" / victim.name).exists()


def test_a_layout_that_lacks_a_blob_is_an_error(other: Path, store: Store) -> None:
    shutil.rmtree(other / "blobs")
    with pytest.raises(WherryError, match="not complete"):
        get(f"oci:{other}:one:1", store)


@pytest.mark.parametrize("text", ["oci:/nowhere", "oci-archive:/nowhere.tar:x", "docker-archive:/nowhere.tar"])
def test_what_is_not_there_is_an_error(text: str, store: Store) -> None:
    with pytest.raises(UsageError, match="there is no /nowhere"):
        get(text, store)


def test_a_folder_that_is_no_layout_is_an_error(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="not an OCI image layout"):
        get(f"oci:{tmp_path}", store)


def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "x.tar"
    file.write_bytes(b"hello, this is no tar archive at all")
    with pytest.raises(WherryError, match=r"x\.tar"):
        get(f"oci-archive:{file}", store)


def docker_archive(file: Path, tmp_path: Path, *, alter: bool = False) -> Image:
    """What ``docker save`` writes: a config, uncompressed layers, manifest.json."""
    with Store(tmp_path / "made") as store:
        made = image(store, compression=Compression("uncompressed", 0))
        data = store.blobs.path(made.layers[0].descriptor.digest).read_bytes()
    config = encoded(made.id)
    manifest = [{"Config": f"{config}.json", "RepoTags": ["hello:latest"], "Layers": ["1/layer.tar"]}]
    members = {f"{config}.json": made.config_bytes, "1/layer.tar": data.replace(b"amd64", b"AMD64") if alter else data}
    with tarfile.open(file, "w") as archive:
        for name, content in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made


def test_a_docker_archive_is_read_and_its_layers_compressed(tmp_path: Path, store: Store) -> None:
    made = docker_archive(tmp_path / "saved.tar", tmp_path)
    for text in ("saved.tar", "saved.tar:hello", "saved.tar:hello:latest"):
        found = get(f"docker-archive:{tmp_path}/{text}", store)
        assert found.config == made.config
        assert found.layers[0].diff_id == made.layers[0].diff_id
    blob = store.blobs.path(found.layers[0].descriptor.digest).read_bytes()
    assert len(gzip.decompress(blob)) == found.layers[0].size


def test_a_docker_archive_with_an_altered_layer_is_refused(tmp_path: Path, store: Store) -> None:
    docker_archive(tmp_path / "saved.tar", tmp_path, alter=True)
    with pytest.raises(WherryError, match="damaged"):
        get(f"docker-archive:{tmp_path}/saved.tar", store)
    assert not list(store.blobs.root.rglob("*")) or not list((store.blobs.root / "sha256").iterdir())


def test_a_docker_archive_for_another_platform_is_an_error(tmp_path: Path, store: Store) -> None:
    docker_archive(tmp_path / "saved.tar", tmp_path)
    with pytest.raises(UsageError, match="no image for linux/arm64"):
        get(f"docker-archive:{tmp_path}/saved.tar", store, ARM64)

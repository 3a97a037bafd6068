"""OCI and Docker archives, and layouts in a directory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import StoreError, UsageError, WherryError
from wherry.image import Image, Index
from wherry.image.digest import encoded
from wherry.sinks import Output, export, parse_output
from wherry.store import Store

MakeImage = Callable[..., Image]


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _files(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {info.name: _data(archive, info) for info in archive if info.isfile()}


def _data(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    return file.read()


def test_an_oci_archive_is_a_layout_whose_blobs_are_what_their_names_say(
    image: Image, store: Store, tmp_path: Path
) -> None:
    export(image, Output("oci", str(tmp_path / "x.tar")), names=["hello:1"], store=store)
    files = _files(tmp_path / "x.tar")
    assert json.loads(files.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    (descriptor,) = json.loads(files.pop("index.json"))["manifests"]
    assert descriptor["digest"] == image.digest
    assert descriptor["annotations"] == {
        "io.containerd.image.name": "docker.io/library/hello:1",
        "org.opencontainers.image.ref.name": "1",
    }
    for name, data in files.items():
        assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    wanted = {image.digest, image.id, *(layer.descriptor.digest for layer in image.layers)}
    assert {f"blobs/sha256/{encoded(digest)}" for digest in wanted} == set(files)


def test_several_names_are_several_descriptors_of_one_image(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("oci", str(tmp_path / "x.tar"), names=("b", "a")), names=["a:latest"], store=store)
    manifests = json.loads(_files(tmp_path / "x.tar")["index.json"])["manifests"]
    assert [one["annotations"]["io.containerd.image.name"] for one in manifests] == [
        "docker.io/library/a:latest",
        "docker.io/library/b:latest",
    ]
    assert {one["digest"] for one in manifests} == {image.digest}


def test_an_image_without_a_name_has_one_descriptor_without_annotations(
    image: Image, store: Store, tmp_path: Path
) -> None:
    export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    (descriptor,) = json.loads(_files(tmp_path / "x.tar")["index.json"])["manifests"]
    assert "annotations" not in descriptor


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_the_same_image_gives_the_same_bytes(kind: str, image: Image, store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(image, parse_output(f"type={kind},dest={tmp_path / name}"), names=["hello"], store=store)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_archive_holds_no_times_and_no_owners(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert {(info.mtime, info.uid, info.gid, info.uname) for info in archive} == {(0, 0, 0, "")}


def test_a_docker_archive_lists_config_layers_and_names(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("docker", str(tmp_path / "x.tar")), names=["hello", "example.com/a:1"], store=store)
    files = _files(tmp_path / "x.tar")
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == ["hello:latest", "example.com/a:1"]
    assert files[manifest["Config"]] == image.config_bytes
    assert [hashlib.sha256(files[path]).hexdigest() for path in manifest["Layers"]] == [
        encoded(layer.descriptor.digest) for layer in image.layers
    ]


def test_a_docker_archive_is_an_oci_archive_too(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("docker", str(tmp_path / "docker.tar")), names=["hello"], store=store)
    export(image, Output("oci", str(tmp_path / "oci.tar")), names=["hello"], store=store)
    docker, oci = _files(tmp_path / "docker.tar"), _files(tmp_path / "oci.tar")
    del docker["manifest.json"]
    assert docker == oci


def test_a_layer_that_is_there_twice_is_written_once(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(((), ()))
    export(image, Output("docker", str(tmp_path / "x.tar")), store=store)
    with tarfile.open(tmp_path / "x.tar") as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert len(json.loads(_files(tmp_path / "x.tar")["manifest.json"])[0]["Layers"]) == 2


def test_an_index_brings_all_its_images(index: Index, store: Store, tmp_path: Path) -> None:
    export(index, Output("oci", str(tmp_path / "x.tar")), names=["hello"], store=store)
    files = _files(tmp_path / "x.tar")
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    listed = json.loads(files[f"blobs/sha256/{encoded(descriptor['digest'])}"])["manifests"]
    assert [one["platform"]["architecture"] for one in listed] == ["amd64", "arm64"]
    for one in listed:
        assert f"blobs/sha256/{encoded(one['digest'])}" in files


def test_docker_refuses_an_index(index: Index, store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one platform"):
        export(index, Output("docker", str(tmp_path / "x.tar")), store=store)


def test_an_index_of_one_platform_suits_docker(image: Image, store: Store, tmp_path: Path) -> None:
    done = export(Index((image,)), Output("docker", str(tmp_path / "x.tar")), store=store)
    assert done == image


def test_zstd_layers_become_gzip_for_docker_and_the_image_keeps_its_id(
    make_image: MakeImage, store: Store, tmp_path: Path
) -> None:
    image = make_image(compression="zstd")
    done = export(image, Output("docker", str(tmp_path / "x.tar")), store=store)
    files = _files(tmp_path / "x.tar")
    (manifest,) = json.loads(files["manifest.json"])
    assert all(files[path].startswith(b"\x1f\x8b") for path in manifest["Layers"])
    assert isinstance(done, Image)
    assert done.id == image.id
    assert done.digest != image.digest


def test_zstd_stays_where_it_was_asked_for(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(compression="zstd")
    output = parse_output(f"type=docker,dest={tmp_path / 'x.tar'},compression=zstd")
    assert export(image, output, store=store) == image


def test_uncompressed_layers_suit_docker(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(compression="uncompressed")
    assert export(image, Output("docker", str(tmp_path / "x.tar")), store=store) == image


@pytest.mark.parametrize("compression", ["zstd", "uncompressed"])
def test_an_output_may_have_a_compression_of_its_own(
    compression: str, image: Image, store: Store, tmp_path: Path
) -> None:
    output = parse_output(f"type=oci,dest={tmp_path / 'x.tar'},compression={compression}")
    done = export(image, output, store=store)
    assert isinstance(done, Image)
    assert done.id == image.id
    assert {layer.descriptor.media_type.rpartition(".")[2] for layer in done.layers} == {
        {"zstd": "tar+zstd", "uncompressed": "tar"}[compression]
    }


def test_a_conversion_is_made_once(image: Image, store: Store, tmp_path: Path) -> None:
    output = parse_output(f"type=oci,dest={tmp_path / 'x.tar'},compression=zstd")
    first = export(image, output, store=store)
    for layer in image.layers:
        store.blobs.path(layer.descriptor.digest).write_bytes(b"not to be read again")
    assert export(image, output, store=store) == first


def test_a_damaged_layer_is_not_converted(image: Image, store: Store, tmp_path: Path) -> None:
    path = store.blobs.path(image.layers[0].descriptor.digest)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WherryError, match="damaged"):
        export(image, parse_output(f"type=oci,dest={tmp_path / 'x.tar'},compression=zstd"), store=store)
    assert _listed(tmp_path) == ["store"]


def test_force_compression_converts_what_is_compressed_so_already(
    make_image: MakeImage, store: Store, tmp_path: Path
) -> None:
    image = make_image(compression="gzip")
    output = parse_output(f"type=oci,dest={tmp_path / 'x.tar'},compression=gzip,compression-level=9")
    assert export(image, output, store=store) == image
    forced = parse_output(
        f"type=oci,dest={tmp_path / 'x.tar'},compression=gzip,compression-level=0,force-compression=true"
    )
    assert export(image, forced, store=store).digest != image.digest


def test_an_image_read_from_the_store_is_converted_as_well(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(annotations={"a": "b"})
    loaded = store.load(store.add_image(image))
    output = parse_output(f"type=oci,dest={tmp_path / 'x.tar'},compression=zstd,annotation.c=d")
    done = export(loaded, output, store=store)
    assert isinstance(done, Image)
    assert done.digest == export(image, output, store=store).digest
    assert json.loads(done.manifest_bytes)["annotations"] == {"a": "b", "c": "d"}


def test_a_missing_layer_is_an_error_and_leaves_nothing(image: Image, store: Store, tmp_path: Path) -> None:
    store.blobs.path(image.layers[1].descriptor.digest).unlink()
    with pytest.raises(StoreError, match="missing from the store"):
        export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    assert _listed(tmp_path) == ["store"]


def test_a_failed_export_leaves_the_old_file(image: Image, store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("old")
    store.blobs.path(image.layers[1].descriptor.digest).unlink()
    with pytest.raises(StoreError):
        export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    assert (tmp_path / "x.tar").read_text() == "old"


def test_a_link_stays_and_what_it_names_is_replaced(image: Image, store: Store, tmp_path: Path) -> None:
    (tmp_path / "real.tar").write_text("old")
    (tmp_path / "x.tar").symlink_to("real.tar")
    export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    assert (tmp_path / "x.tar").is_symlink()
    assert "index.json" in _files(tmp_path / "real.tar")


def test_the_umask_decides_the_mode(image: Image, store: Store, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        export(image, Output("oci", str(tmp_path / "x.tar")), store=store)
    finally:
        os.umask(before)
    assert (tmp_path / "x.tar").stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_as_it_is(image: Image, store: Store) -> None:
    export(image, Output("oci", os.devnull), store=store)
    assert not Path(os.devnull).is_file()


def test_an_archive_goes_through_a_pipe(image: Image, store: Store) -> None:
    script = (
        "import sys; from pathlib import Path; from wherry.store import Store; from wherry.sinks import *\n"
        "store = Store(Path(sys.argv[1])); export(store.load(store.images()[0]), parse_output('type=oci'), store=store)"
    )
    store.tag(("hello:latest",), store.add_image(image))
    done = subprocess.run([sys.executable, "-c", script, store.path], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert "index.json" in archive.getnames()


def test_a_reader_that_goes_away_is_an_error_not_a_traceback(
    image: Image, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(os.fdopen(writing, "wb", buffering=0)) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(WherryError, match="stopped before the end"):
            export(image, Output("oci", "-"), store=store)


def test_the_image_output_keeps_the_image_under_its_names(image: Image, store: Store) -> None:
    export(image, parse_output("type=image,name=hello"), store=store)
    (descriptor,) = store.images()
    assert store.load(descriptor).digest == image.digest


def test_cacheonly_writes_nothing(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, parse_output("type=cacheonly"), store=store)
    assert _listed(tmp_path) == ["store"]
    assert store.images() == ()


# -- directories -------------------------------------------------------------------------------------


def _layout(path: Path) -> Output:
    return Output("oci", str(path), tar=False)


def test_a_layout_holds_what_the_archive_holds(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, _layout(tmp_path / "a" / "dir"), names=["hello"], store=store)
    export(image, Output("oci", str(tmp_path / "x.tar")), names=["hello"], store=store)
    root = tmp_path / "a" / "dir"
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == _files(tmp_path / "x.tar")


def test_images_in_a_layout_stay_unless_they_have_the_same_tag(
    make_image: MakeImage, store: Store, tmp_path: Path
) -> None:
    one, two = make_image(), make_image(platform="linux/arm64")
    export(one, _layout(tmp_path / "dir"), names=["hello:1", "hello:2"], store=store)
    export(two, _layout(tmp_path / "dir"), names=["hello:2"], store=store)
    manifests = json.loads((tmp_path / "dir" / "index.json").read_text())["manifests"]
    assert [(item["annotations"]["org.opencontainers.image.ref.name"], item["digest"]) for item in manifests] == [
        ("1", one.digest),
        ("2", two.digest),
    ]


def test_a_directory_of_something_else_is_refused(image: Image, store: Store, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="neither empty nor an image layout"):
        export(image, _layout(tmp_path / "dir"), store=store)


def test_a_layout_with_a_broken_index_is_not_touched(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, _layout(tmp_path / "dir"), store=store)
    (tmp_path / "dir" / "index.json").write_text("{")
    with pytest.raises(WherryError, match="not valid JSON"):
        export(image, _layout(tmp_path / "dir"), store=store)
    assert (tmp_path / "dir" / "index.json").read_text() == "{"

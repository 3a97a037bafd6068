"""What other programs make of what we write: skopeo, umoci, Docker Engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from wherry.image import Image, Index
from wherry.sinks import Output, export, parse_output
from wherry.store import Store

pytestmark = pytest.mark.e2e

MakeImage = Callable[..., Image]


class Docker(Protocol):
    """The fixture of tests/conftest.py."""

    def __call__(self, *args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``docker ARGS``."""

    def load(self, archive: Path) -> str:
        """Load an archive; gives what was loaded."""


def _run(*words: str | Path) -> str:
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"no {words[0]}: make test installs it")
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _inspect(where: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(_run("skopeo", "inspect", where))
    return value


def _layer_digests(image: Image) -> list[str]:
    return [layer.descriptor.digest for layer in image.layers]


def test_skopeo_reads_the_store_itself(image: Image, store: Store) -> None:
    store.tag(("hello:latest",), store.add_image(image))
    found = _inspect(f"oci:{store.path}:hello:latest")
    assert found["Digest"] == image.digest
    assert found["Layers"] == _layer_digests(image)


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_skopeo_reads_an_archive_as_oci(kind: str, image: Image, store: Store, tmp_path: Path) -> None:
    export(image, parse_output(f"type={kind},dest={tmp_path / 'x.tar'}"), names=["hello"], store=store)
    assert _inspect(f"oci-archive:{tmp_path / 'x.tar'}:latest")["Digest"] == image.digest


def test_skopeo_reads_a_docker_archive(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("docker", str(tmp_path / "x.tar")), names=["hello:1", "b:2"], store=store)
    assert _inspect(f"docker-archive:{tmp_path / 'x.tar'}:b:2")["Labels"] == {"a": "b"}


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_skopeo_copies_a_layout(compression: str, make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(compression=compression)
    export(image, Output("oci", str(tmp_path / "dir"), tar=False), names=["hello:1"], store=store)
    _run("skopeo", "--insecure-policy", "copy", f"oci:{tmp_path}/dir:1", f"dir:{tmp_path}/copy")
    assert json.loads((tmp_path / "copy" / "manifest.json").read_text()) == json.loads(image.manifest_bytes)


def test_skopeo_copies_a_docker_archive(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    export(make_image(compression="zstd"), Output("docker", str(tmp_path / "x.tar")), names=["hello"], store=store)
    _run("skopeo", "--insecure-policy", "copy", f"docker-archive:{tmp_path}/x.tar", f"oci:{tmp_path}/copy:x")


def test_skopeo_copies_all_platforms_of_an_index(index: Index, store: Store, tmp_path: Path) -> None:
    export(index, Output("oci", str(tmp_path / "x.tar")), names=["hello"], store=store)
    _run(
        "skopeo", "--insecure-policy", "copy", "--all", f"oci-archive:{tmp_path}/x.tar:latest", f"oci:{tmp_path}/copy:x"
    )
    copied = {path.name for path in (tmp_path / "copy" / "blobs" / "sha256").iterdir()}
    assert {image.digest.removeprefix("sha256:") for image in index.images} <= copied


def _unpacked(bundle: Path) -> dict[str, str]:
    root = bundle / "rootfs"
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


ROOT = {"etc/kept": "kept\n", "etc/link": "kept\n", "etc/same": "kept\n", "usr/grüße": "übrig\n"}


def test_umoci_unpacks_the_store_itself(image: Image, store: Store, tmp_path: Path) -> None:
    store.tag(("example.com/team/hello:latest",), store.add_image(image))
    _run("umoci", "unpack", "--rootless", "--image", f"{store.path}:example.com/team/hello:latest", tmp_path / "bundle")
    assert _unpacked(tmp_path / "bundle") == ROOT


def test_umoci_unpacks_a_layout(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("oci", str(tmp_path / "dir"), tar=False), names=["hello:1"], store=store)
    _run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/dir:1", tmp_path / "bundle")
    assert _unpacked(tmp_path / "bundle") == ROOT


def test_docker_loads_an_archive_under_its_names(docker: Docker, image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("docker", str(tmp_path / "x.tar")), names=["sink-a:1", "example.com/sink-b:2"], store=store)
    docker.load(tmp_path / "x.tar")
    found = json.loads(docker("image", "inspect", "sink-a:1", "example.com/sink-b:2").stdout)
    assert [one["RootFS"]["Layers"] for one in found] == [list(image.config.diff_ids)] * 2
    assert {one["Id"] for one in found} == {image.id}
    assert found[0]["Config"]["Labels"] == {"a": "b"}


def test_docker_loads_what_was_zstd(docker: Docker, make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    image = make_image(compression="zstd")
    export(image, Output("docker", str(tmp_path / "x.tar")), names=["sink-zstd"], store=store)
    docker.load(tmp_path / "x.tar")
    (found,) = json.loads(docker("image", "inspect", "sink-zstd").stdout)
    assert found["RootFS"]["Layers"] == list(image.config.diff_ids)


def test_docker_imports_the_flattened_root(docker: Docker, image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("tar", str(tmp_path / "x.tar")), store=store)
    assert docker("import", tmp_path / "x.tar").stdout.startswith("sha256:")

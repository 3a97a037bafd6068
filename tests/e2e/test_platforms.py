"""Images for processors other than this machine's: really built, and checked by their files' ELF headers."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Descriptor, Digest, Image, ImageConfig, Layer, Platform, RuntimeConfig
from wherry.image.mediatype import OCI_LAYER_ZSTD
from wherry.layers import reader
from wherry.store import Store

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MACHINES = {62: "linux/amd64", 183: "linux/arm64"}
"""ELF's e_machine: EM_X86_64 and EM_AARCH64."""
FILES = {
    "requirements.txt": "markupsafe==3.0.3\n",
    "main.py": "import markupsafe._speedups\nprint(markupsafe.escape('<&>'))\n",
}


def machines(rootfs: Path) -> set[str]:
    """The platforms of all ELF files in a tar file."""
    found = set()
    with tarfile.open(rootfs) as archive:
        for info in archive:
            reader = archive.extractfile(info) if info.isreg() else None
            head = reader.read(20) if reader else b""
            if head.startswith(b"\x7fELF"):
                found.add(MACHINES.get(int.from_bytes(head[18:20], "little"), info.name))
    return found


def test_an_image_for_arm64_holds_programs_for_arm64_alone(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path
) -> None:
    root = project(FILES)
    rootfs = tmp_path / "rootfs.tar"
    warm.build(root, "-t", "arm", "--platform", "linux/arm64", "-o", f"type=tar,dest={rootfs}")
    assert machines(rootfs) == {"linux/arm64"}
    with tarfile.open(rootfs) as archive:
        names = archive.getnames()
    assert any("_speedups.cpython-313-aarch64-linux-gnu.so" in name for name in names)
    assert any(name.endswith("markupsafe/__pycache__/__init__.cpython-313.pyc") for name in names)


def test_two_platforms_are_one_index_and_the_native_one_runs(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path
) -> None:
    root = project(FILES)
    archive = tmp_path / "app.tar"
    warm.build(root, "-t", "two", "--platform", "linux/amd64,linux/arm64", "-o", f"type=oci,dest={archive}")
    with tarfile.open(archive) as opened:
        index = json.load(opened.extractfile("index.json") or pytest.fail("no index.json"))
        digest = index["manifests"][0]["digest"].partition(":")[2]
        inner = json.load(opened.extractfile(f"blobs/sha256/{digest}") or pytest.fail("no index"))
    platforms = {f"{one['platform']['os']}/{one['platform']['architecture']}" for one in inner["manifests"]}
    assert platforms == {"linux/amd64", "linux/arm64"}
    assert warm.ok("run", "two").stdout == "&lt;&amp;&gt;\n"


def test_on_a_musl_base_compiled_requirements_are_musl_wheels_and_import(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path, musl_base: Path
) -> None:
    base = tmp_path / "base"
    with Store(base) as layout:
        layer = layer_of(musl_base, layout)
        runtime = RuntimeConfig(env=("PATH=/usr/local/bin:/usr/bin:/bin",))
        image = Image.of(ImageConfig(Platform("linux", "amd64"), runtime), (layer,), {})
        layout.tag(("latest",), layout.add_image(image))
    root = project({"requirements.txt": "numpy==2.5.5\n", "main.py": "import numpy\nprint(numpy.arange(4).sum())\n"})
    rootfs = tmp_path / "rootfs.tar"
    warm.build(root, "-t", "musl", "--base", f"oci:{base}", "-o", f"type=tar,dest={rootfs}")
    with tarfile.open(rootfs) as archive:
        extensions = [name for name in archive.getnames() if "site-packages/numpy" in name and name.endswith(".so")]
    assert extensions
    assert all("-musl" in name for name in extensions if ".cpython-" in name)
    assert warm.ok("run", "musl").stdout == "6\n"


def layer_of(archive: Path, layout: Store) -> Layer:
    """A root filesystem in a compressed tar file as a layer of ``layout``."""
    with layout.blobs.writer() as blob:
        blob.write(archive.read_bytes())
        digest, size = blob.commit()
    content = hashlib.sha256()
    with reader.decompressed(archive) as stream:
        while piece := stream.read(1 << 20):
            content.update(piece)
    return Layer(Descriptor(OCI_LAYER_ZSTD, digest, size), Digest("sha256:" + content.hexdigest()))

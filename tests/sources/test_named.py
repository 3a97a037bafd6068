"""Named contexts: images, and folders that may be the base of a stage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.sources.conftest import Server, packed

from wherry.errors import UsageError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Image, ImageConfig, Platform
from wherry.image.digest import digest_of
from wherry.layers.compression import Compression
from wherry.layers.records import load_records
from wherry.registry.registries import Registries
from wherry.sources import open_source
from wherry.sources.named import FolderContext, ImageContext, open_named, resolve_named
from wherry.store import Store

AMD64 = Platform("linux", "amd64")


def get(text: str, store: Store, fetcher: Fetcher, task: Task) -> Image:
    source = open_source(
        text,
        store=store,
        fetcher=fetcher,
        registries=Registries(offline=True),
        pull="never",
        compression=Compression(),
        epoch=0,
    )
    return source.image(AMD64, task)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("docker-image://python:3.12", "python:3.12"),
        ("docker-image://docker.io/library/python@sha256:" + "0" * 64, "docker.io/library/python@sha256:" + "0" * 64),
        ("docker-image://scratch", "scratch"),
        ("debian://trixie?python=3.13", "debian://trixie?python=3.13"),
        ("oci-layout:///srv/x:1", "oci-layout:///srv/x:1"),
        ("oci-layout://x@sha256:0", "oci-layout:///here/x@sha256:0"),
        ("oci:x:1", "oci:/here/x:1"),
        ("oci-archive:x.tar", "oci-archive:/here/x.tar"),
        ("docker-archive:/srv/x.tar", "docker-archive:/srv/x.tar"),
    ],
)
def test_an_image_is_what_a_stage_may_start_from(value: str, source: str) -> None:
    assert resolve_named(value, cwd=Path("/here")) == ImageContext(source)


def test_files_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.tar").write_bytes(b"")
    assert resolve_named("folder", cwd=tmp_path) == FolderContext(str(tmp_path / "folder"))
    assert resolve_named("x.tar", cwd=tmp_path) == FolderContext(str(tmp_path / "x.tar"))
    for url in ("https://example.org/x.git#v1:sub", "git@example.org:x.git", "https://example.org/x.tar.gz"):
        assert resolve_named(url, cwd=tmp_path) == FolderContext(url)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "'base' is empty"),
        ("docker-image://", "names no image"),
        ("nowhere", "no folder 'nowhere'"),
        ("s3://bucket", "unsupported source s3"),
        ("target://x", "bake files"),
        ("ext::sh -c x", "no folder"),
        ("--upload-pack=x", "no folder"),
        ("file:///etc", "unsupported source file"),
        ("x" * 5000, "no folder"),
        ("x\0y", "no folder"),
    ],
)
def test_what_means_nothing_is_an_error(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_named(value, "base")


def test_the_files_of_a_folder_are_a_root_filesystem(
    tmp_path: Path, store: Store, fetcher: Fetcher, task: Task
) -> None:
    folder = tmp_path / "folder"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/tool").write_text("x")
    (folder / "bin/tool").chmod(0o755)
    (folder / "bin/same").hardlink_to(folder / "bin/tool")
    (folder / "left-out").touch()
    (folder / ".dockerignore").write_text("left-out\n.dockerignore\n")
    os.utime(folder / "bin/tool", (1000, 1000))
    image = get(resolve_named(str(folder)).source, store, fetcher, task)
    (layer,) = image.layers
    found = {record.entry.path: record.entry for record in load_records(store, layer.descriptor.digest)}
    assert set(found) == {"bin", "bin/same", "bin/tool"}
    assert (found["bin/tool"].kind, found["bin/tool"].link) == ("hardlink", "bin/same")
    assert (found["bin/same"].mode, found["bin/same"].mtime, found["bin/same"].uid) == (0o755, 1000, 0)
    again = get(resolve_named(str(folder)).source, store, fetcher, task)
    assert (again, task.outcome) == (image, "cached")


def test_an_archive_behind_a_url_is_a_root_filesystem_too(
    server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    server.files["/x.tgz"] = packed(("etc/x", b"y"), mode="w:gz")
    image = get(resolve_named(f"{server.url}/x.tgz").source, store, fetcher, task)
    assert [record.entry.path for record in load_records(store, image.layers[0].descriptor.digest)] == ["etc", "etc/x"]


def test_the_ignore_file_of_a_named_folder_counts(tmp_path: Path, store: Store, fetcher: Fetcher, task: Task) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/.dockerignore").write_text("*.md\n")
    context = resolve_named(str(tmp_path / "folder"))
    assert isinstance(context, FolderContext)
    with open_named(context, store=store, fetcher=fetcher, task=task) as opened:
        assert (opened.root, opened.ignore) == (tmp_path / "folder", ("*.md",))


# -- names of the store ------------------------------------------------------------------------------


@pytest.fixture
def image(store: Store) -> Image:
    """An image called python:3.12-slim in the store."""
    image = Image.of(ImageConfig(AMD64), (), {})
    store.tag(("python:3.12-slim",), store.add_image(image))
    return image


def test_an_image_of_the_store_has_the_names_that_docker_knows(
    image: Image, store: Store, fetcher: Fetcher, task: Task
) -> None:
    identity = digest_of(image.config_bytes)
    for name in (
        "python:3.12-slim",
        "docker.io/library/python:3.12-slim",
        "docker.io/python:3.12-slim",
        "index.docker.io/library/python:3.12-slim",
        "docker-image://python:3.12-slim",
        f"python@{image.digest}",
        f"python:3.12-slim@{image.digest}",
        f"python:other@{image.digest}",
        identity.removeprefix("sha256:"),
        identity.removeprefix("sha256:")[:12],
        f"sha256:{identity.removeprefix('sha256:')[:20]}",
    ):
        assert get(name, store, fetcher, task).digest == image.digest, name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("python:3.12-slm", "Did you mean 'python:3.12-slim'"),
        ("python:latest-and-greatest-of-all", "The store has python:3.12-slim"),
        ("python:3.12-slim@sha256:" + "0" * 64, "python:3.12-slim, with other digests"),
        ("debian:12", "Did you mean debian://12"),
        ("0123456789ab", "wherry pull 0123456789ab"),
    ],
)
def test_a_name_that_is_not_there_says_what_is(
    image: Image, store: Store, fetcher: Fetcher, task: Task, name: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=hint):
        get(name, store, fetcher, task)


def test_a_layout_is_named_by_its_directory_and_a_tag_or_a_digest(
    tmp_path: Path, store: Store, fetcher: Fetcher, task: Task
) -> None:
    with Store(tmp_path / "layout") as other:
        image = Image.of(ImageConfig(AMD64), (), {})
        other.tag(("one:1",), other.add_image(image))
    for end in ("", ":1", ":one:1", f"@{image.digest}"):
        assert get(f"oci-layout://{tmp_path}/layout{end}", store, fetcher, task).digest == image.digest
    with pytest.raises(UsageError, match="has no image"):
        get(f"oci-layout://{tmp_path}/layout@sha256:{'0' * 64}", store, fetcher, task)

"""``-o type=registry`` and ``type=image,push=true``: what a build sends to registries, as skopeo reads it there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import skopeo
from tests.registry.servers import PROGRAM, Registry, registry

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that everybody may read and write."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A Dockerfile of one layer."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY Dockerfile /\n")
    return folder


def manifest(name: str) -> dict[str, object]:
    value: dict[str, object] = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    return value


def digest(name: str) -> str:
    return skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}").strip()


def test_a_registry_output_goes_to_the_names_of_the_image(wherry: Wherry, server: Registry, context: Path) -> None:
    names = [f"{server.host}/tagged:{tag}" for tag in ("1", "2")]
    built = wherry.build(context, "-o", "type=registry", "-t", names[0], "-t", names[1])
    assert {digest(name) for name in names} == {built}


def test_it_goes_to_its_own_names_alone_and_these_are_none_of_the_store(
    wherry: Wherry, server: Registry, context: Path
) -> None:
    one, two = f"{server.host}/own/one:1", f"{server.host}/own/two:1"
    built = wherry.build(context, "-t", "unreachable.example/app", "-o", f'type=registry,"name={one},{two}"')
    assert digest(one) == digest(two) == built
    (row,) = json.loads(wherry.ok("images", "--format=json").stdout)
    assert row["name"] == "unreachable.example/app:latest"


def test_an_image_output_is_kept_and_pushed(wherry: Wherry, server: Registry, context: Path) -> None:
    name = f"{server.host}/kept:1"
    built = wherry.build(context, "-o", f"type=image,name={name},push=true")
    assert digest(name) == built
    (row,) = json.loads(wherry.ok("images", "--format=json").stdout)
    assert (row["name"], row["digest"]) == (name, built)


def test_by_digest_no_tag_is_made(wherry: Wherry, server: Registry, context: Path) -> None:
    output = f"type=image,name={server.host}/digests,push-by-digest=true,push=true"
    built = wherry.build(context, "-o", output)
    assert server.tags("digests") == set()
    assert manifest(f"{server.host}/digests@{built}")["layers"]
    assert wherry.ok("images", "-q").stdout == ""


def test_compression_and_annotations_are_those_of_the_output(wherry: Wherry, server: Registry, context: Path) -> None:
    name = f"{server.host}/converted:1"
    built = wherry.build(context, "-o", f"type=registry,name={name},compression=zstd,annotation.org.example=yes")
    found = manifest(name)
    assert digest(name) == built
    assert found["annotations"] == {"org.example": "yes"}
    assert json.dumps(found["layers"]).count("tar+zstd") == 1


def test_several_platforms_are_pushed_as_an_index_after_all_other_outputs(
    wherry: Wherry, server: Registry, context: Path, tmp_path: Path
) -> None:
    name = f"{server.host}/both:1"
    words = ["--platform", "linux/amd64,linux/arm64", "-t", name, "--push", "-o", f"type=oci,dest={tmp_path}/app.tar"]
    done = wherry.ok("build", context, "--progress=plain", *words)
    assert done.stderr.index("write an OCI archive") < done.stderr.index(f"push to {server.host}/both")
    listed = manifest(name)["manifests"]
    assert isinstance(listed, list)
    assert [one["platform"]["architecture"] for one in listed] == ["amd64", "arm64"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "type=registry"], "-t HOST/NAME:TAG"),
        (["--push"], "-t HOST/NAME:TAG"),
        (["--push", "-t", "a", "--offline"], "--offline allows none"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_the_build(
    words: list[str], said: str, wherry: Wherry, context: Path
) -> None:
    refused = wherry("build", context, *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "COPY" not in refused.stderr


def test_a_push_that_fails_is_an_error_and_the_image_stays(wherry: Wherry, context: Path) -> None:
    failed = wherry("build", context, "-t", "127.0.0.1:1/app", "-o", "type=registry")
    assert failed.returncode == 1
    assert "127.0.0.1:1/app" in failed.stderr
    assert "127.0.0.1:1/app:latest" in wherry.ok("images").stdout

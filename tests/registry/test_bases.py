"""Bases that are at a registry: asked for when they are wanted, fetched when they are read, never sent again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine, built, configure, dockerfile, skopeo
from tests.registry.servers import PROGRAM, Registry, registry
from tests.registry.wires import Wire, wire

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]

LARGE = 3_000_000


@pytest.fixture
def counted(open_registry: Registry) -> Iterator[Wire]:
    """A way to the open registry that counts bytes."""
    with wire(open_registry.host) as made:
        yield made


@pytest.fixture
def base(machine: Machine, counted: Wire, tmp_path: Path) -> str:
    """A base with a large layer and a small one, which another machine has pushed."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "large").write_bytes(os.urandom(LARGE))
    (folder / "small").write_text("of the base\n")
    name = f"{counted.host}/bases/large-{tmp_path.name}:1"
    dockerfile(machine("elsewhere"), folder, "FROM scratch\nCOPY large /\nCOPY small /\nENV A=b", name, "--push")
    counted.up = counted.down = 0
    return name


def blobs(wherry: Wherry) -> int:
    """The bytes of all blobs in a store."""
    return sum(path.stat().st_size for path in (wherry.store / "blobs" / "sha256").iterdir())


def env_of(name: str) -> list[str]:
    config = json.loads(skopeo("inspect", "--config", "--tls-verify=false", f"docker://{name}"))
    return list(config["config"]["Env"])


def test_a_base_is_built_on_and_pushed_without_a_byte_of_its_layers_coming_here(
    machine: Machine, base: str, counted: Wire, tmp_path: Path
) -> None:
    here = machine("here")
    name = f"{counted.host}/team/on-base:1"
    dockerfile(here, tmp_path / "context", f"FROM {base}\nENV C=d\nCMD x", name, "--push")
    assert counted.down < 100_000
    assert counted.up < 100_000
    assert blobs(here) < 100_000
    assert {"A=b", "C=d"} <= {*env_of(name)}


def test_a_step_that_reads_the_base_fetches_it(machine: Machine, base: str, counted: Wire, tmp_path: Path) -> None:
    here = machine("here")
    dockerfile(here, tmp_path / "context", f"FROM {base}\nCOPY --from={base} small /copy", "on-base")
    assert counted.down > LARGE
    out = tmp_path / "out"
    here.ok("build", tmp_path / "context", "-o", out)
    assert (out / "copy").read_text() == "of the base\n"


def test_layers_that_stayed_at_the_registry_come_when_the_image_goes_elsewhere(
    machine: Machine, base: str, counted: Wire, tmp_path: Path
) -> None:
    here = machine("here")
    dockerfile(here, tmp_path / "context", f"FROM {base}\nENV C=d", "on-base")
    assert counted.down < 100_000
    here.ok("build", tmp_path / "context", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "large").stat().st_size == LARGE
    with registry(tmp_path / "other") as other:
        dockerfile(machine("third"), tmp_path / "third-context", f"FROM {base}", f"{other.host}/moved:1", "--push")
        assert env_of(f"{other.host}/moved:1")[-1] == "A=b"
        assert len(other.blobs()) == 4  # two layers, a config, a manifest


def test_an_image_whose_layers_stayed_away_outlives_pruning(machine: Machine, base: str, tmp_path: Path) -> None:
    here = machine("here")
    dockerfile(here, tmp_path / "context", f"FROM {base}\nENV C=d", "kept")
    assert "kept" in here.ok("images").stdout
    here.ok("prune", "--all")
    here.ok("copy", "kept", f"oci:{tmp_path / 'layout'}:1")
    assert sum(path.stat().st_size for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir()) > LARGE


def test_a_known_tag_is_not_asked_for_again_unless_somebody_says_so(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    here, there = machine("here"), machine("there")
    name = f"{open_registry.host}/moving:1"
    first = built(there, tmp_path, name, "a", more=["--push"])

    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "Dockerfile").write_text(f"FROM {name}\nENV B=c\n")

    def based(*more: str) -> str:
        metadata = tmp_path / "metadata.json"
        here.ok("build", tmp_path / "moved", "--metadata-file", metadata, *more)
        (listed,) = json.loads(metadata.read_text())["wherry.bases"]
        assert (listed["name"], listed["platform"]) == (name, "linux/amd64")
        return str(listed["digest"])

    assert based() == first
    second = built(there, tmp_path, name, "b", more=["--push"])
    assert based() == first
    assert based("--pull=never") == first
    assert based("--pull") == second
    assert based() == second
    assert first != second


def test_a_base_for_several_platforms_is_reported_by_the_digest_that_pins_all_of_them(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/both-bases:1"
    platforms = "linux/amd64,linux/arm64"
    text = "FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY Dockerfile /"
    index = dockerfile(machine("there"), tmp_path / "base", text, name, "--platform", platforms, "--push")
    here = machine("here")
    metadata = tmp_path / "metadata.json"
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM {name}\nENV B=c\n")
    pushed = f"{open_registry.host}/on-both:1"
    here.ok("build", tmp_path / "context", "--platform", platforms, "--metadata-file", metadata, "-t", pushed, "--push")
    listed = json.loads(metadata.read_text())["wherry.bases"]
    assert {one["platform"] for one in listed} == {"linux/amd64", "linux/arm64"}
    assert {one["digest"] for one in listed} == {index}
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM {name}@{index}\n")
    here.ok("build", tmp_path / "context", "--platform", "linux/arm64", "--offline")


def test_nothing_is_asked_where_never_is_said(machine: Machine, base: str, tmp_path: Path) -> None:
    here = machine("here")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM {base}\n")
    for option in ("--pull=never", "--offline"):
        refused = here("build", tmp_path / "context", option)
        assert refused.returncode == 2
        assert f"wherry pull {base}" in refused.stderr


def test_an_image_of_the_store_goes_before_one_of_the_same_name_elsewhere(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/own:1"
    built(machine("there"), tmp_path, name, "a", more=["--push"])
    here = machine("here")
    built(here, tmp_path, name, "b")
    here.ok("build", tmp_path / "context", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "b").exists()


def test_an_image_that_only_the_store_has_serves_though_the_registry_was_to_be_asked(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/only/here:1"
    here = machine("here")
    built(here, tmp_path, name, "a")
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM {name}\n")
    done = here.ok("build", tmp_path / "context", "--pull", "--progress", "plain")
    assert "the registry has none, that of the store serves" in done.stderr


def test_a_base_that_nobody_has_is_an_error_that_says_who_was_asked(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {open_registry.host}/nobody/has:this\n")
    refused = machine("here")("build", tmp_path)
    assert refused.returncode == 2
    assert "Dockerfile:1" in refused.stderr
    assert "manifest unknown" in refused.stderr


def test_layers_that_have_gone_from_the_registry_are_an_error_that_names_them(machine: Machine, tmp_path: Path) -> None:
    here = machine("here")
    with registry(tmp_path / "registry") as server:
        name = f"{server.host}/going:1"
        built(machine("there"), tmp_path, name, "a", more=["--push"])
        dockerfile(here, tmp_path / "other", f"FROM {name}\nENV A=b", "kept")
        for blob in (server.folder / "data/docker/registry/v2/blobs/sha256").glob("*/*/data"):
            if blob.stat().st_size < 5000 and blob.read_bytes()[:2] == b"\x1f\x8b":
                blob.unlink()
        for link in (server.folder / "data/docker/registry/v2/repositories/going/_layers/sha256").iterdir():
            (link / "link").unlink()
        refused = here("push", "kept", f"{server.host}/kept:1")
        assert refused.returncode == 1
        assert "missing from the store" in refused.stderr or "any more" in refused.stderr
        assert server.tags("kept") == set()


def test_a_mirror_serves_the_layers_too(machine: Machine, open_registry: Registry, tmp_path: Path) -> None:
    with registry(tmp_path / "mirror") as mirror:
        built(machine("there"), tmp_path, "x", "a", "b")
        machine("there").ok("push", "x", f"{mirror.host}/mirrored/base:1")
        configure(tmp_path / "here", f'[registry."{open_registry.host}"]\nmirrors = ["{mirror.host}"]\n')
        (tmp_path / "context" / "Dockerfile").write_text(f"FROM {open_registry.host}/mirrored/base:1\n")
        machine("here").ok("build", tmp_path / "context", "-o", tmp_path / "out")
        assert (tmp_path / "out" / "b").exists()

"""Results shared between machines that have nothing in common but a registry or a folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine, built, dockerfile, skopeo
from tests.registry.servers import PROGRAM, Registry, registry
from tests.registry.wires import Wire, wire

if TYPE_CHECKING:
    from tests.conftest import NewWherry, Wherry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]

BUSYBOX = Path("/bin/busybox")
NOWHERE = "http://127.0.0.1:9"

needs_busybox = pytest.mark.skipif(not BUSYBOX.exists(), reason="Debian's busybox-static is not installed")


@pytest.fixture
def counted(open_registry: Registry) -> Iterator[Wire]:
    """A way to the open registry that counts bytes."""
    with wire(open_registry.host) as made:
        yield made


@pytest.fixture
def cut_off(tmp_path: Path, new_wherry: NewWherry) -> Wherry:
    """A new machine that reaches registries on loopback, and neither a package index nor Debian's archive."""
    home = tmp_path / "cut-off"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    env = {"HOME": str(home), "DOCKER_CONFIG": str(home / ".docker"), "XDG_CONFIG_HOME": str(home / ".config")}
    return new_wherry(home / "store", env={**env, **proxies, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with requirements."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "requirements.txt").write_text("requests==2.32.3\n")
    (folder / "app.py").write_text("import requests\nprint(requests.__version__)\n")
    return folder


def shared(host: str, name: str) -> str:
    return f"type=registry,ref={host}/{name}:cache"


def titles(text: str, outcome: str) -> list[str]:
    """The steps that ended so, as ``--progress plain`` shows them."""
    lines = [line.partition(" ") for line in text.splitlines() if line.startswith("#")]
    names = {number: rest for number, _, rest in reversed(lines) if not rest.startswith(("CACHED", "DONE", "ERROR"))}
    return [names[number] for number, _, rest in lines if rest.startswith(outcome)]


def test_a_new_machine_builds_and_pushes_a_project_without_fetching_or_packing_anything_again(
    machine: Machine, warm: Wherry, cut_off: Wherry, counted: Wire, project: Path, tmp_path: Path
) -> None:
    cache = shared(counted.host, tmp_path.name)
    names = [f"{counted.host}/{tmp_path.name}:{tag}" for tag in (1, 2, 3)]
    first = warm.build(project, "-t", names[0], "--push", "--cache-to", cache)
    counted.up = counted.down = 0
    same = cut_off.build(project, "-t", names[1], "--push", "--cache-from", cache)
    assert same == first
    assert (counted.up < 100_000, counted.down < 200_000) == (True, True)
    (project / "app.py").write_text("import requests\nprint('changed')\n")
    counted.up = counted.down = 0
    changed = cut_off.build(project, "-t", names[2], "--push", "--cache-from", cache, "--cache-to", cache)
    assert changed != first
    assert (counted.up < 100_000, counted.down < 200_000) == (True, True)
    third = machine("third")
    third.ok("pull", names[2])
    assert third.ok("run", names[2]).stdout == "changed\n"


def test_one_changed_requirement_leaves_the_layers_of_the_others_where_they_are(
    machine: Machine, warm: Wherry, open_registry: Registry, project: Path, tmp_path: Path
) -> None:
    cache = shared(open_registry.host, tmp_path.name)
    warm.build(project, "--cache-to", cache)
    machine("second").build(project, "--cache-from", cache, "--cache-to", cache)  # hands on what it did not look at
    (project / "requirements.txt").write_text("requests==2.32.3\nsix==1.17.0\n")
    done = machine("third").ok("build", project, "--progress", "json", "--cache-from", cache)
    begun = [event["title"] for event in map(json.loads, done.stderr.splitlines()) if event["event"] == "started"]
    assert [title for title in begun if title.startswith("pack ")] == ["pack 2 small distributions"]  # of six
    assert not [title for title in begun if "package index" in title or "standard library" in title]


def test_a_project_that_is_a_package_is_not_built_again_where_nothing_of_it_changed(
    warm: Wherry, cut_off: Wherry, open_registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    (folder / "src" / "hull").mkdir(parents=True)
    (folder / "src" / "hull" / "__init__.py").write_text("def main():\n    print('afloat')\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "hull"\nversion = "1"\ndescription = "A hull."\nscripts = {hull = "hull:main"}\n'
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
    )
    cache = shared(open_registry.host, tmp_path.name)
    first = warm.build(folder, "--cache-to", cache)
    assert cut_off.build(folder, "-t", "hull", "--cache-from", cache) == first
    assert cut_off.ok("run", "hull").stdout == "afloat\n"


@pytest.fixture
def stages(tmp_path: Path) -> Path:
    """A Dockerfile of two stages whose first runs something."""
    folder = tmp_path / "stages"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "data").write_text("data\n")
    (folder / "Dockerfile").write_text(
        "FROM scratch AS build\nCOPY busybox /bin/sh\nCOPY data /\n"
        'RUN ["/bin/sh", "-c", "cat /data /data > /twice; echo $RANDOM > /random"]\n'
        "FROM scratch\nCOPY --from=build /twice /random /\n"
    )
    return folder


@needs_busybox
def test_steps_of_all_stages_are_known_elsewhere_if_all_are_written(
    machine: Machine, counted: Wire, stages: Path, tmp_path: Path
) -> None:
    cache = shared(counted.host, tmp_path.name)
    first = machine("first").build(stages, "--cache-to", f"{cache},mode=max")
    counted.up = counted.down = 0
    done = machine("second").ok("build", stages, "--progress", "plain", "--cache-from", cache, "-t", "x")
    assert first in done.stderr
    assert len(titles(done.stderr, "CACHED")) == 4
    assert counted.down < 50_000  # not even the layer that is copied out of
    (stages / "Dockerfile").write_text((stages / "Dockerfile").read_text() + "COPY --from=build /data /\n")
    machine("third").ok("build", stages, "--cache-from", cache, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "twice").read_text() == "data\ndata\n"


@needs_busybox
def test_layers_of_the_image_alone_are_written_if_nothing_else_is_said(
    machine: Machine, counted: Wire, stages: Path, tmp_path: Path
) -> None:
    cache = shared(counted.host, tmp_path.name)
    machine("first").build(stages, "--cache-to", cache)
    assert counted.up < 200_000  # busybox is larger
    done = machine("second").ok("build", stages, "--progress", "plain", "--cache-from", cache)
    assert any(title.startswith("RUN") for title in titles(done.stderr, "DONE"))


def test_a_cache_in_a_folder_serves_without_a_network(
    machine: Machine, warm: Wherry, project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    first = warm.build(project, "--cache-to", f"type=local,dest={folder}")
    second = machine("second")
    assert second.build(project, "-t", "x", "--offline", "--cache-from", f"type=local,src={folder}") == first
    assert second.ok("run", "x").stdout == "2.32.3\n"
    assert skopeo("inspect", "--raw", f"oci:{folder}:latest")  # others read the folder


def test_an_image_carries_its_own_cache(warm: Wherry, cut_off: Wherry, counted: Wire, project: Path) -> None:
    name = f"{counted.host}/inline:1"
    first = warm.build(project, "-t", name, "--push", "--cache-to", "type=inline")
    counted.up = counted.down = 0
    assert cut_off.build(project, "-t", name, "--push", "--cache-from", name, "--cache-to", "type=inline") == first
    assert (counted.up < 100_000, counted.down < 200_000) == (True, True)


def test_an_image_for_two_platforms_carries_the_caches_of_both(
    warm: Wherry, cut_off: Wherry, open_registry: Registry, project: Path
) -> None:
    name = f"{open_registry.host}/inline-both:1"
    options = ["--platform", "linux/amd64,linux/arm64", "-t", name, "--push", "--cache-to", "type=inline"]
    first = warm.build(project, *options)
    assert cut_off.build(project, *options, "--cache-from", name) == first
    index = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


def test_a_cache_that_is_not_there_stops_nothing(machine: Machine, open_registry: Registry, tmp_path: Path) -> None:
    here = machine("here")
    built(here, tmp_path, "x", "a")
    for place in (shared(open_registry.host, "no/such"), f"type=local,src={tmp_path / 'none'}"):
        done = here.ok("build", tmp_path / "context", "--progress", "plain", "--cache-from", place)
        assert "no cache from" in done.stderr


@pytest.mark.parametrize("what", ["document", "manifest", "no cache"])
def test_a_cache_that_is_damaged_stops_nothing(machine: Machine, tmp_path: Path, what: str) -> None:
    here = machine("here")
    folder = tmp_path / "cache"
    built(here, tmp_path, "x", "a", more=["--cache-to", f"type=local,dest={folder}"])
    if what == "no cache":
        shutil.rmtree(folder)
        here.ok("build", tmp_path / "context", "-o", f"type=oci,tar=false,name=x:latest,dest={folder}")
    else:
        blobs = sorted((folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        wanted = b"schemaVersion" if what == "manifest" else b"\x28\xb5\x2f\xfd"
        (blob,) = [path for path in blobs if wanted in path.read_bytes()]
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    done = here.ok("build", tmp_path / "context", "--progress", "plain", "--cache-from", f"type=local,src={folder}")
    assert "no cache from" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_what_has_gone_from_a_cache_is_made_again(machine: Machine, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "cache"
    built(machine("first"), tmp_path, "x", "a", "b", more=["--cache-to", f"type=local,dest={folder}"])
    for blob in (folder / "blobs" / "sha256").iterdir():
        if (data := blob.read_bytes())[:2] == b"\x1f\x8b":
            blob.unlink()
            if how == "damaged":
                blob.write_bytes(data[:-1] + b"?")
    second = machine("second")
    (tmp_path / "context" / "Dockerfile").write_text(
        "FROM scratch AS x\nCOPY a /\nFROM x\nCOPY b /\nCOPY --from=x a /c\n"
    )
    second.ok("build", tmp_path / "context", "--cache-from", f"type=local,src={folder}", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "c").read_text() == "a" * 1000


def test_a_cache_that_cannot_be_written_is_an_error_unless_it_is_said_not_to_be_one(
    machine: Machine, tmp_path: Path
) -> None:
    here = machine("here")
    place = f"type=registry,ref=127.0.0.1:{9}/x"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert here("build", tmp_path, "--cache-to", place).returncode == 1
    done = here.ok("build", tmp_path, "--progress", "plain", "--cache-to", f"{place},ignore-error=true")
    assert "the cache is not in" in done.stderr


def test_nothing_is_borrowed_for_a_build_that_does_every_step_again(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    built(machine("first"), tmp_path, "x", "a", more=["--cache-to", f"type=local,dest={folder}"])
    place = f"type=local,src={folder}"
    done = machine("second").ok(
        "build", tmp_path / "context", "--no-cache", "--progress", "plain", "--cache-from", place
    )
    assert titles(done.stderr, "CACHED") == []


def test_a_cache_needs_a_login_where_the_registry_does(machine: Machine, tmp_path: Path) -> None:
    here = machine("here")
    with registry(tmp_path / "registry", password=True) as server:
        (tmp_path / "context").mkdir()
        (tmp_path / "context" / "data").write_bytes(os.urandom(1000))
        (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY data /\n")
        refused = here("build", tmp_path / "context", "--cache-to", shared(server.host, "closed"))
        assert refused.returncode == 1
        assert f"wherry login {server.host}" in refused.stderr
        assert server.tags("closed") == set()


def test_dockerfile_steps_over_a_base_of_a_registry_are_known_without_the_base(
    machine: Machine, counted: Wire, tmp_path: Path
) -> None:
    base = f"{counted.host}/bases/{tmp_path.name}:1"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "large").write_bytes(os.urandom(2_000_000))
    dockerfile(machine("elsewhere"), tmp_path / "base", "FROM scratch\nCOPY large /", base, "--push")
    cache = shared(counted.host, tmp_path.name)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "small").write_text("small")
    text = f"FROM {base}\nWORKDIR /w\nCOPY small ."
    name = f"{counted.host}/{tmp_path.name}:1"
    dockerfile(machine("first"), tmp_path / "context", text, name, "--cache-to", cache, "--push")
    counted.up = counted.down = 0
    dockerfile(machine("second"), tmp_path / "context", text, name, "--cache-from", cache, "--push")
    assert counted.down < 100_000
    assert counted.up < 50_000

"""The Dockerfile that the project comes from, byte for byte: two stages, glibc to musl, built and run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Image
from wherry.layers.merge import merged
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

SEED = Path(__file__).parent / "seed" / "Dockerfile"
COMPILE = "python:3.8.4-slim-buster"
RUNTIME = "python:3.8.4-alpine3.12"
APPLICATION = {
    "requirements.txt": "humanize==4.12.3\nitsdangerous==2.2.0\n",
    "main.py": """
import humanize
from itsdangerous import URLSafeSerializer

token = URLSafeSerializer("key").dumps("two stages")
print(humanize.intcomma(1234567), URLSafeSerializer("key").loads(token))
""",
}


@pytest.fixture(scope="module")
def bases(warm: Wherry, tmp_path_factory: pytest.TempPathFactory) -> Wherry:
    """The command with the seed's two base images in its store, under the names that the seed has for them."""
    musl = Path(__file__).parents[3] / "shared" / "bases" / "musl-python-3.13.tar.zst"
    if not musl.is_file():
        pytest.skip("the root filesystem with musl and Python is not beside this checkout")
    compiling = tmp_path_factory.mktemp("compile-base")
    (compiling / "Dockerfile").write_text("FROM debian\nRUN ln -s /usr/bin/python3 /usr/local/bin/python3\n")
    source = "debian=debian://trixie?shell=1&include=python3-venv,python3-pip"
    warm.ok("build", "-t", COMPILE, "--build-context", source, compiling)
    running = tmp_path_factory.mktemp("runtime-base")
    (running / musl.name).write_bytes(musl.read_bytes())
    (running / "Dockerfile").write_text(f"FROM scratch\nADD {musl.name} /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
    warm.ok("build", "-t", RUNTIME, running)
    return warm


@pytest.fixture(scope="module")
def seed(bases: Wherry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the seed's Dockerfile and an application; its image is built, and called ``seed``."""
    folder = tmp_path_factory.mktemp("seed") / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_bytes(SEED.read_bytes())
    for name, text in APPLICATION.items():
        (folder / name).write_text(text)
    bases.ok("build", "--host-certs", "-t", "seed", folder)
    return folder


def test_the_dockerfile_is_the_one_that_the_project_comes_from() -> None:
    original = Path(__file__).parents[3] / "shared" / "seed" / "Dockerfile"
    if not original.is_file():
        pytest.skip("the original is not beside this checkout")
    assert SEED.read_bytes() == original.read_bytes()


def test_the_image_runs_what_the_first_stage_installed(bases: Wherry, seed: Path) -> None:
    result = bases.ok("run", "seed")
    assert result.stdout == "1,234,567 two stages\n"


def test_the_image_holds_nothing_of_the_first_stage_but_the_environment(bases: Wherry, seed: Path) -> None:
    with Store(bases.store) as store:
        base, image = (_image(name, store) for name in (RUNTIME, "seed"))
        layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
        assert image.layers[: len(base.layers)] == base.layers
        paths = {entry.path for entry, _ in merged(layers)}
        new = paths - {entry.path for entry, _ in merged(layers[: len(base.layers)])}
    outside = {path for path in new if not path.startswith("opt/venv/")}
    application = {"usr/src", "usr/src/app", *(f"usr/src/app/{name}" for name in (*APPLICATION, "Dockerfile"))}
    assert outside - {"opt", "opt/venv"} == application - paths.difference(new)
    assert not any("/.cache" in path or path == "requirements.txt" for path in paths)
    assert "opt/venv/bin/python3" in new


def test_the_config_is_the_seeds(bases: Wherry, seed: Path) -> None:
    with Store(bases.store) as store:
        runtime = _image("seed", store).config.runtime
    assert runtime.entrypoint == ("/bin/sh", "-c", "python3 main.py")
    assert runtime.working_dir == "/usr/src/app"
    assert runtime.environment()["PATH"] == "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"


def test_a_second_build_does_nothing_and_gives_the_same_image(bases: Wherry, seed: Path, tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        metadata = tmp_path / f"{number}.json"
        result = bases.ok("build", "--host-certs", "--progress", "json", "--metadata-file", metadata, seed)
        digests.append(json.loads(metadata.read_text())["containerimage.digest"])
        events = [
            json.loads(line) for line in result.stderr.splitlines() + result.stdout.splitlines() if line[:1] == "{"
        ]
        assert not [event for event in events if event.get("type") == "output"]
    assert digests[0] == digests[1]


def test_the_first_stage_alone_can_be_built(bases: Wherry, seed: Path) -> None:
    bases.ok("build", "--host-certs", "--target", "compile-image", "-t", "seed-compile", seed)
    with Store(bases.store) as store:
        image = _image("seed-compile", store)
        layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
        paths = {entry.path for entry, _ in merged(layers)}
    assert {"requirements.txt", "opt/venv/bin/pip"} <= paths
    assert "usr/src/app/main.py" not in paths


def _image(name: str, store: Store) -> Image:
    found = store.load(find_descriptor(store, name))
    assert isinstance(found, Image)
    return found

"""--load: finding an engine, and streaming an archive into it. The clients here are scripts."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import StoreError, WherryError
from wherry.events import Event
from wherry.events import Output as Line
from wherry.image import Image
from wherry.sinks import Output, export
from wherry.sinks.daemon import Engine, find_engine, loading
from wherry.store import Store

Install = Callable[[str, str], Path]

WORKS = 'case "$1" in version) echo 1.0;; load) cat > "$0.archive"; echo "Loaded image: hello:latest";; esac'
NO_DAEMON = 'echo "Cannot connect to the Docker daemon at $DOCKER_HOST. Is it running?" >&2; exit 1'
REFUSES = 'case "$1" in version) echo 1.0;; load) echo "no space left on device" >&2; exit 1;; esac'


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a script into a PATH that has nothing else but the system's own programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "echo", "head", "sh"):
        (folder / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)

    def add(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return add


def test_a_docker_that_answers_is_taken(install: Install) -> None:
    path = install("docker", WORKS)
    install("podman", WORKS)
    assert find_engine() == Engine("docker", str(path))


def test_podman_serves_where_docker_has_no_daemon(install: Install) -> None:
    install("docker", NO_DAEMON)
    path = install("podman", WORKS)
    assert find_engine() == Engine("podman", str(path))


def test_where_docker_was_chosen_podman_is_no_answer(install: Install) -> None:
    install("docker", NO_DAEMON)
    install("podman", WORKS)
    with pytest.raises(WherryError) as caught:
        find_engine({**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert "Cannot connect to the Docker daemon at tcp://127.0.0.1:1" in str(caught.value)
    assert "Check DOCKER_HOST" in str(caught.value)


def test_no_engine_at_all_says_what_was_tried(install: Install) -> None:
    with pytest.raises(WherryError) as caught:
        find_engine()
    assert "docker: not installed" in str(caught.value)
    assert "podman: not installed" in str(caught.value)
    assert "-o type=docker,dest=FILE" in str(caught.value)


def test_a_client_without_a_daemon_is_quoted(install: Install) -> None:
    install("docker", NO_DAEMON)
    with pytest.raises(WherryError, match="docker: Cannot connect to the Docker daemon"):
        find_engine()


def test_the_archive_goes_to_the_engine_and_its_words_to_the_user(install: Install, image: Image, store: Store) -> None:
    path = install("docker", WORKS)
    events: list[Event] = []
    export(image, Output("docker"), names=["hello"], store=store, listener=events.append)
    with tarfile.open(fileobj=io.BytesIO(path.with_name("docker.archive").read_bytes())) as archive:
        assert "manifest.json" in archive.getnames()
    assert [event.line for event in events if isinstance(event, Line)] == ["Loaded image: hello:latest"]


def test_an_engine_that_refuses_is_quoted(install: Install, image: Image, store: Store) -> None:
    install("docker", REFUSES)
    with pytest.raises(WherryError, match="docker load failed: no space left on device"):
        export(image, Output("docker"), store=store)


def test_an_engine_that_stops_reading_is_quoted(install: Install) -> None:
    path = install("docker", "head -c 1 >&2; echo enough >&2; exit 3")
    with pytest.raises(WherryError, match="enough"), loading(Engine("docker", str(path))) as (file, _):
        for _ in range(64):
            file.write(bytes(1 << 16))


def test_an_engine_that_says_nothing_gives_its_exit_code(install: Install) -> None:
    path = install("docker", "cat > /dev/null; exit 7")
    with pytest.raises(WherryError, match="exit code 7"), loading(Engine("docker", str(path))):
        pass


def test_an_error_of_ours_ends_the_load(install: Install, image: Image, store: Store) -> None:
    path = install("docker", WORKS)
    store.blobs.path(image.layers[0].descriptor.digest).unlink()
    with pytest.raises(StoreError, match="missing from the store"):
        export(image, Output("docker"), store=store)
    with pytest.raises(KeyboardInterrupt), loading(Engine("docker", str(path))) as (file, _):
        file.write(b"half an archive")
        raise KeyboardInterrupt

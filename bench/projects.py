"""Rows of project builds: ``wherry build`` of the project, ``docker build`` of the equivalent Dockerfile."""

from __future__ import annotations

import json
import os
import statistics
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from bench.builders import Bench, Project
from bench.measure import Run, run
from bench.rows import small_changes
from bench.table import Row

IMPORTS = "import fastapi, uvicorn, numpy, pandas, sqlalchemy, requests, psycopg, yaml; print(numpy.arange(4).sum())"
HUGE = (50, 500)


def rows(bench: Bench) -> Iterator[Row]:
    """All rows, measured as they are asked for; memory and sizes are noted in ``bench``."""
    bench.bases  # noqa: B018
    project = Project(bench, "project")
    store = bench.folder / "base-only"

    def cold(*args: str) -> Run:
        return bench.ours_cold(store, project.path, "--frontend", "project", *args)

    def docker_cold(*args: str) -> Run:
        return bench.theirs_cold(project.path, *args)

    def build(*, memory: bool = False) -> Run:
        return bench.ours(built, project.path, "--frontend", "project", memory=memory)

    def docker_build() -> Run:
        return bench.theirs(project.path)

    yield Row("the base, assembled for the first time", [_assemble(bench, store).seconds])
    ours, theirs, bare, docker_bare = bench.turns(
        cold,
        docker_cold,
        lambda: cold("--no-bytecode"),
        lambda: docker_cold("--build-arg", "PIP_OPTIONS=--no-compile"),
    )
    yield Row("project, cold", ours, theirs, 1 / 3)
    yield Row("project, cold, --no-bytecode (Docker as above)", bare, theirs, 1 / 6)
    yield Row("project, cold, --no-bytecode (pip --no-compile)", bare, docker_bare)
    with bench.fresh(store) as built:
        run_ = build(memory=True)
        _note(bench, "cold build", run_)
        docker_build()
        yield from small_changes(bench, "project", project, build, docker_build, 1 / 20)
        project.require("2.34.2")
        docker_build()
    for megabytes in HUGE:
        _note(bench, f"a wheel of {megabytes} MB", _huge_wheel(bench, store, megabytes))
    yield Row("wherry --version", [_version(bench)])
    bench.sizes |= _sizes(bench, store, project)


def _assemble(bench: Bench, store: Path) -> Run:
    """A build of an empty project, which makes the base."""
    empty = bench.folder / "empty"
    empty.mkdir()
    (empty / "requirements.txt").write_text("")
    (empty / "main.py").write_text("")
    return bench.ours(store, empty)


def _note(bench: Bench, what: str, run_: Run) -> None:
    bench.memory[f"{what}, largest process"] = run_.largest
    bench.memory[f"{what}, all processes together"] = run_.together


def _version(bench: Bench) -> float:
    """Median seconds of ``wherry --version``."""
    return statistics.median(run([str(bench.command), "--version"]).seconds for _ in range(21))


def _sizes(bench: Bench, store: Path, project: Project) -> dict[str, int]:
    """Bytes of both images as Docker counts them, and of wherry's as it is stored; both are started once."""
    archive = bench.folder / "bench.tar"
    found = {}
    with bench.fresh(store) as copy:
        words = ["--frontend", "project", "-t", "bench-wherry", "-o", f"type=docker,dest={archive}"]
        bench.ours(copy, project.path, *words)
        index = json.loads((copy / "index.json").read_text())
        blob = copy / "blobs" / "sha256" / index["manifests"][0]["digest"].partition(":")[2]
        stored = sum(layer["size"] for layer in json.loads(blob.read_text())["layers"])
    bench.docker("load", "-i", archive)
    for title, name in (("wherry", "bench-wherry"), ("docker", "bench-docker")):
        bench.docker("run", "--rm", "--network=none", "--entrypoint", "/opt/venv/bin/python", name, "-c", IMPORTS)
        size = bench.docker("image", "inspect", "--format", "{{.Size}}", name).output
        found[f"{title}, unpacked"] = int(size)
    return {**found, "wherry, stored": stored}


# -- a huge wheel ----------------------------------------------------------------------------------------


def _huge_wheel(bench: Bench, store: Path, megabytes: int) -> Run:
    """A build whose one requirement has a member of so many megabytes."""
    project = bench.folder / f"huge-{megabytes}"
    project.mkdir()
    _write_wheel(project / "wheels", megabytes)
    (project / "main.py").write_text("")
    (project / "requirements.txt").write_text("huge==1.0\n")
    (project / ".dockerignore").write_text("wheels\n")
    options = ["--find-links", str(project / "wheels"), "--no-index"]
    return bench.ours_cold(store, project, *options, memory=True)


def _write_wheel(folder: Path, megabytes: int) -> None:
    """A wheel with one member of random bytes, which do not compress."""
    folder.mkdir()
    piece = os.urandom(1_000_000)
    info = "huge-1.0.dist-info"
    small = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digest = sha256()
    with zipfile.ZipFile(folder / "huge-1.0-py3-none-any.whl", "w") as archive:
        with archive.open("huge/data.bin", "w", force_zip64=True) as member:
            for number in range(megabytes):
                data = number.to_bytes(8, "big") + piece[8:]
                digest.update(data)
                member.write(data)
        record = _recorded("huge/data.bin", digest.digest(), megabytes * 1_000_000)
        for name, data in small.items():
            archive.writestr(name, data)
            record += _recorded(name, sha256(data).digest(), len(data))
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def _recorded(name: str, digest: bytes, size: int) -> str:
    return f"{name},sha256={urlsafe_b64encode(digest).rstrip(b'=').decode()},{size}\n"

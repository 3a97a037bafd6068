"""Rows of project builds: ``wherry build`` of the project, ``docker build`` of the equivalent Dockerfile."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.builders import Bench, Project
from bench.measure import Run, run
from bench.rows import small_changes
from bench.table import Row
from bench.wheels import write_wheel

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
        bench.note("cold build", run_)
        docker_build()
        yield from small_changes(bench, "project", project, build, docker_build, 1 / 20)
        project.require("2.34.2")
        docker_build()
    for megabytes in HUGE:
        bench.note(f"a wheel of {megabytes} MB", _huge_wheel(bench, store, megabytes))
    yield Row("wherry --version", [_version(bench)])
    bench.sizes |= _sizes(bench, store, project)


def _assemble(bench: Bench, store: Path) -> Run:
    """A build of an empty project, which makes the base."""
    empty = bench.folder / "empty"
    empty.mkdir()
    (empty / "requirements.txt").write_text("")
    (empty / "main.py").write_text("")
    return bench.ours(store, empty)


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
    write_wheel(project / "wheels", "huge", megabytes)
    (project / "main.py").write_text("")
    (project / "requirements.txt").write_text("huge==1.0\n")
    (project / ".dockerignore").write_text("wheels\n")
    options = ["--find-links", str(project / "wheels"), "--no-index"]
    return bench.ours_cold(store, project, *options, memory=True)

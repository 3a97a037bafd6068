"""Rows of one Dockerfile in both builders: a virtual environment in one stage, the application in the next."""

from __future__ import annotations

from collections.abc import Iterator

from bench import files
from bench.builders import QUICK, VERSIONS, Bench, Project
from bench.measure import Run
from bench.table import Row


def rows(bench: Bench) -> Iterator[Row]:
    """All rows, measured as they are asked for."""
    project = Project(bench, "pattern")

    def build(*, memory: bool = False) -> Run:
        return bench.ours(store, project.path, memory=memory)

    def docker_build() -> Run:
        return bench.theirs(project.path)

    packed, ready = bench.packed, bench.ready
    ours, theirs, first, plain = bench.turns(
        lambda: bench.ours_cold(ready, project.path),
        lambda: bench.theirs_cold(project.path),
        lambda: bench.ours_cold(packed, project.path),
        lambda: bench.ours_cold(ready, project.path, "--compression", "uncompressed"),
    )
    yield Row("two stages, cold", ours, theirs, 1.0)
    yield Row("two stages, cold, bases never unpacked here", first, theirs)
    yield Row("two stages, cold, uncompressed", plain, theirs)
    with bench.fresh(ready) as store:
        run = build(memory=True)
        bench.memory["two stages, cold, largest process (pip's too)"] = run.largest
        bench.memory["two stages, cold, all processes together"] = run.together
        docker_build()
        files.compare(bench, store, project.path)
        ours, theirs = bench.turns(build, docker_build, runs=QUICK)
        yield Row("two stages, nothing changed", ours, theirs, 1.0)
        ours, theirs = bench.turns(build, docker_build, before=project.change, runs=QUICK)
        yield Row("two stages, one source line changed", ours, theirs, 1.0)
        rounds = min(bench.runs, len(VERSIONS))
        ours, theirs = bench.turns(build, docker_build, before=project.require, runs=rounds)
        yield Row("two stages, one requirement changed", ours, theirs, 1.0)
        files.compare(bench, store, project.path)

"""Rows of one Dockerfile in both builders: a virtual environment in one stage, the application in the next."""

from __future__ import annotations

from collections.abc import Iterator

from bench import files
from bench.builders import Bench, Project
from bench.measure import Run
from bench.rows import small_changes
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
        yield from small_changes(bench, "two stages", project, build, docker_build, 1.0)
        files.compare(bench, store, project.path)

"""Rows of build contexts: very many files, one very large file. No base: FROM scratch."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import files
from bench.builders import QUICK, Bench
from bench.measure import Run
from bench.rows import cold
from bench.table import Row

FOLDERS = 1000
FILES = 100  # in each folder
MEGABYTES = 500


def many_files(bench: Bench) -> Iterator[Row]:
    """A context of 100,000 files of 100 to 2,000 bytes."""
    context = bench.folder / "many"
    count = _write_files(context / "data")
    (context / "small").write_text("")
    copied = context / "Dockerfile"
    copied.write_text("FROM scratch\nCOPY . /app\n")
    what = f"{count:,} files"

    def build() -> Run:
        return bench.ours(store, context)

    def docker_build() -> Run:
        return bench.theirs(context)

    def changed(path: Path) -> Callable[[], object]:
        return lambda: path.write_text(f"change {bench.number()}\n")

    yield from cold(bench, what, context)
    with bench.fresh() as store:
        run = bench.ours(store, context, memory=True)
        bench.memory[f"{what}, largest process"] = run.largest
        docker_build()
        files.compare(bench, store, context)
        ours, theirs = bench.turns(build, docker_build, runs=QUICK)
        yield Row(f"{what}, nothing changed", ours, theirs, 1.0)
        ours, theirs = bench.turns(build, docker_build, before=changed(context / "data" / "7" / "7"))
        yield Row(f"{what}, one of them changed", ours, theirs, 1.0)
    (context / ".dockerignore").write_text("data\n")
    copied.write_text("FROM scratch\nCOPY small /app/\n")
    with bench.fresh() as store:
        build()
        docker_build()
        ours, theirs = bench.turns(build, docker_build, runs=QUICK)
        yield Row(f"{what} ignored, nothing changed", ours, theirs, 1.0)
        ours, theirs = bench.turns(build, docker_build, before=changed(context / "small"), runs=QUICK)
        yield Row(f"{what} ignored, the one copied changed", ours, theirs, 1.0)
    bench.remove(context)


def large_file(bench: Bench) -> Iterator[Row]:
    """COPY of one file that does not compress."""
    context = bench.folder / "large"
    context.mkdir()
    with (context / "data").open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(os.urandom(1_000_000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY data /app/\n")
    what = f"COPY of {MEGABYTES} MB"
    yield from cold(bench, what, context)
    with bench.fresh() as store:
        run = bench.ours(store, context, memory=True)
        files.compare(bench, store, context)
    bench.memory[f"{what}, largest process"] = run.largest
    bench.memory[f"{what}, all processes together"] = run.together
    bench.remove(context)


def _write_files(root: Path) -> int:
    """Files that compress about as source code does; gives their number."""
    chance = random.Random(0)
    for folder in map(str, range(FOLDERS)):
        (root / folder).mkdir(parents=True)
        for name in map(str, range(FILES)):
            (root / folder / name).write_text(chance.randbytes(chance.randrange(50, 1000)).hex())
    return FOLDERS * FILES

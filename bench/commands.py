"""Rows of what a RUN costs: next to nothing, many files, many stages at once; and of steps that run nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import files
from bench.builders import QUICK, Bench, Build
from bench.measure import Run
from bench.rows import cold
from bench.table import Row

STAGES = 10
_SOME_WORK = (
    "import pathlib, random; folder = pathlib.Path('/work'); folder.mkdir(); "
    "total = sum(n * n % 7 for n in range({number}, {number} + 3_000_000)); data = random.Random({number}).randbytes; "
    "[(folder / str(n)).write_bytes(data(20_000)) for n in range(300)]; (folder / 'result').write_text(str(total))"
)
_MANY_FILES = (
    "import pathlib, random; chance = random.Random(0); folders = [pathlib.Path('/data', str(n)) for n in range(500)]; "
    "[folder.mkdir(parents=True) for folder in folders]; "
    "[(folder / str(n)).write_text(chance.randbytes(chance.randrange(50, 1000)).hex()) "
    "for folder in folders for n in range(100)]"
)
_METADATA = """\
FROM bench-runtime
ENV A={0} B={0}
ENV C=$A-$B
LABEL one={0}
LABEL two={0} three=$C
EXPOSE 8000/tcp
STOPSIGNAL SIGINT
HEALTHCHECK --interval={0}s CMD true
USER {0}
ENTRYPOINT ["echo", "{0}"]
CMD ["{0}"]
"""


def stages(bench: Bench) -> Iterator[Row]:
    """Independent stages of about half a second of work each, and a last one that takes a file of each."""
    lines = []
    for number in range(STAGES):
        lines += [f"FROM bench-compile AS stage{number}", f'RUN python3 -c "{_SOME_WORK.format(number=number)}"']
    lines += ["FROM bench-runtime", *(f"COPY --from=stage{n} /work/result /results/{n}" for n in range(STAGES))]
    context = _context(bench, "stages", "\n".join(lines) + "\n")
    yield from _cold(bench, f"{STAGES} independent stages, COPY --from each", context)


def runs(bench: Bench) -> Iterator[Row]:
    """RUN of nothing, and of something that writes 50,000 files."""
    yield from _nothing(bench)
    context = _context(bench, "files", f'FROM bench-runtime\nRUN python3 -c "{_MANY_FILES}"\n')
    yield from _cold(bench, "a RUN that writes 50,000 files", context)


def metadata(bench: Bench) -> Iterator[Row]:
    """Ten instructions that make no layer, all of them changed."""
    context = _context(bench, "metadata", "")

    def change() -> None:
        (context / "Dockerfile").write_text(_METADATA.format(bench.number() + 2))

    with bench.fresh(bench.ready) as store:
        ours, theirs = bench.turns(
            lambda: bench.ours(store, context), lambda: bench.theirs(context), before=change, runs=QUICK
        )
    yield Row("ten metadata instructions changed", ours, theirs, 1.0)


def _nothing(bench: Bench) -> Iterator[Row]:
    """RUN true, over the same build without it: that is, the differences."""
    parent = "FROM bench-runtime\nRUN mkdir /parent\n"
    context = _context(bench, "nothing", parent)

    def more(build: Build) -> Run:
        (context / "Dockerfile").write_text(parent)
        before = build()
        (context / "Dockerfile").write_text(f"{parent}RUN true {bench.number()}\n")
        after = build()
        return replace(after, seconds=after.seconds - before.seconds)

    def build() -> Run:
        return bench.ours(store, context)

    def docker_build() -> Run:
        return bench.theirs(context)

    with bench.fresh(bench.ready) as store:
        build()
        docker_build()
        ours, theirs = bench.turns(lambda: more(build), lambda: more(docker_build), runs=QUICK)
    yield Row("RUN true, over its parent", ours, theirs, 1.0, 0.1)


def _context(bench: Bench, name: str, dockerfile: str) -> Path:
    context = bench.folder / name
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile)
    return context


def _cold(bench: Bench, what: str, context: Path) -> Iterator[Row]:
    """Both builders with empty caches and the bases there; the files of both results are compared."""
    yield from cold(bench, what, context, bench.ready)
    with bench.fresh(bench.ready) as store:
        files.compare(bench, store, context)

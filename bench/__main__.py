"""Measure, print a table, keep the numbers in bench-results/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import commands, contexts, dockerfiles, projects, registries
from bench.builders import RESULTS, ROOT, Bench
from bench.engine import engine
from bench.table import HEAD, WIDTH, Row

GROUPS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "project": projects.rows,
    "dockerfile": dockerfiles.rows,
    "context": contexts.many_files,
    "large": contexts.large_file,
    "stages": commands.stages,
    "run": commands.runs,
    "metadata": commands.metadata,
    "registry": registries.rows,
}
"""What can be measured alone."""
_NOTE = """\
The builders take turns. Before what is called cold, Docker's build cache is emptied and its last result is removed, its
base images are there, unpacked; wherry's store is a new one that holds the same images, unpacked. Pip keeps no cache in
either. Both keep their result as an image; wherry compresses new layers as it builds, Docker only when it pushes them:
the rows called uncompressed are the like of what Docker does. Rows called project compare `wherry build` without a
Dockerfile with the equivalent Dockerfile; in all others both build the same one, and where it makes files those of the
two images are compared. Rows called two stages: a virtual environment in /opt/venv, made by pip of requirements.txt in
the first, COPY --from and the application in the second. Rows called push send the project's images to an empty
registry on this machine: Docker compresses as it pushes, wherry has compressed as it built. Where a row says skopeo
copy, that is what the second column has, of wherry's image.
"""


def main() -> None:
    """Run it all, or what was chosen."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="cold builds of each kind; medians are shown")
    parser.add_argument(
        "--only", type=_groups, default=list(GROUPS), metavar="WORD[,WORD]", help=f"some of: {', '.join(GROUPS)}"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and the engine with us
    RESULTS.mkdir(exist_ok=True)
    names = [name for name in GROUPS if name in arguments.only]
    path = RESULTS / ("latest.json" if names == list(GROUPS) else f"latest-{'-'.join(names)}.json")
    found: list[tuple[str, Row]] = []
    with engine() as docker, _folder(docker.sudo) as folder:
        bench = Bench(docker, folder, arguments.runs)
        version = docker.version()
        print(f"\nwherry against Docker Engine {version} (BuildKit), medians of {bench.runs} or more runs,")
        print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Linux {platform.release()}\n")
        print(_NOTE)
        print(HEAD)
        for name in names:
            for row in GROUPS[name](bench):
                print(row.text(), flush=True)
                found.append((name, row))
                _write(path, bench, version, found)
        _write(path, bench, version, found)
    if bench.remarks:
        print("", *bench.remarks, sep="\n")
    for title, numbers in (("Peak memory", bench.memory), ("Image size", bench.sizes)):
        if numbers:
            print(f"\n{title}")
        for what, number in numbers.items():
            print(f"  {what:<{WIDTH}}{number / 1e6:8.1f} MB")
    print(f"\nAll numbers: {path.relative_to(ROOT)}")


def _groups(text: str) -> list[str]:
    """Read ``WORD[,WORD]``."""
    words = text.split(",")
    if unknown := set(words) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; choose of {', '.join(GROUPS)}")
    return words


@contextmanager
def _folder(sudo: tuple[str, ...]) -> Iterator[Path]:
    """A new folder, removed at the end with all that is in it, whoever owns that."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-bench-"))
    try:
        yield folder
    finally:
        subprocess.run([*sudo, "rm", "-rf", "--one-file-system", str(folder)], check=False)


def _write(path: Path, bench: Bench, version: str, rows: list[tuple[str, Row]]) -> None:
    """Keep what is known so far: a later row may fail."""
    result = {
        "docker": version,
        "cpus": os.cpu_count(),
        "runs": bench.runs,
        "rows": [{"group": group, **row.to_json()} for group, row in rows],
        "memory_bytes": bench.memory,
        "image_bytes": bench.sizes,
        "remarks": bench.remarks,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

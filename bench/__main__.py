"""Measure, print a table, keep the numbers in bench-results/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path

from bench import base
from bench.engine import Engine, engine
from bench.measure import Run, run

ROOT = Path(__file__).parent.parent
REFERENCE = Path(__file__).parent / "reference"
RESULTS = ROOT / "bench-results"
IMPORTS = "import fastapi, uvicorn, numpy, pandas, sqlalchemy, requests, psycopg, yaml; print(numpy.arange(4).sum())"
REQUESTS = ("2.32.3", "2.32.4", "2.32.5", "2.33.0", "2.33.1")
"""Versions that the changed requirement takes, one for each run."""


@dataclass
class Row:
    """A line of the table: what was done, the seconds of each run, and the ratio that the project aims at."""

    what: str
    wherry: list[float] = field(default_factory=list)
    docker: list[float] = field(default_factory=list)
    aim: float | None = None

    def text(self) -> str:
        """The line."""
        ours = f"{statistics.median(self.wherry):8.2f} s" if self.wherry else " " * 10
        theirs = f"{statistics.median(self.docker):8.2f} s" if self.docker else " " * 10
        ratio = aim = ""
        if self.wherry and self.docker:
            value = statistics.median(self.wherry) / statistics.median(self.docker)
            ratio = f"{value:.3f} (1/{1 / value:.1f})"
            if self.aim:
                aim = f"at most {self.aim:.3f}: {'met' if value <= self.aim else 'MISSED'}"
        return f"{self.what:<46}{ours}{theirs}  {ratio:<16}{aim}"


class Bench:
    """The two builders, and a copy of the reference project that they build."""

    def __init__(self, docker: Engine, folder: Path, runs: int) -> None:
        self.docker = docker
        self.folder = folder
        self.runs = runs
        self.project = folder / "project"
        shutil.copytree(REFERENCE, self.project)
        (self.project / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
        self.command = _install()
        self._numbers = count()

    # -- one build -------------------------------------------------------------------------------

    def ours(self, store: Path, *args: str, project: Path | None = None, memory: bool = False) -> Run:
        """``wherry build`` with the store at ``store``."""
        words = [str(self.command), "build", "--progress", "plain", "-t", "bench", *args, str(project or self.project)]
        env = {name: value for name, value in os.environ.items() if name not in {"PIP_FIND_LINKS", "WHERRY_STORE"}}
        return run(words, env={**env, "WHERRY_STORE": str(store)}, memory=memory)

    def theirs(self, *args: str) -> Run:
        """``docker build``."""
        return self.docker("build", "--network=host", "--progress=plain", "-t", "bench-docker", *args, self.project)

    def fresh(self, warm: Path) -> Path:
        """A store that has the base of ``warm``, and nothing else."""
        store = self.folder / f"store-{next(self._numbers)}"
        run(["cp", "-a", str(warm), str(store)])
        return store

    # -- the rows --------------------------------------------------------------------------------

    def rows(self, memory: dict[str, int]) -> Iterator[Row]:
        """All rows, measured as they are asked for."""
        store = self.folder / "base-only"
        empty = self.folder / "empty"
        empty.mkdir()
        (empty / "requirements.txt").write_text("")
        (empty / "main.py").write_text("")
        yield Row("the base, assembled for the first time", [self.ours(store, project=empty).seconds])

        def cold(*args: str) -> float:
            return self.ours(self.fresh(store), *args).seconds

        def docker_cold(*args: str) -> float:
            self.docker("builder", "prune", "-af")
            return self.theirs("--no-cache", *args).seconds

        plain = self.repeat(docker_cold)
        yield Row("cold", self.repeat(cold), plain, 1 / 3)
        yield Row("cold, --no-bytecode (Docker as above)", self.repeat(lambda: cold("--no-bytecode")), plain, 1 / 6)
        without = self.repeat(lambda: docker_cold("--build-arg", "PIP_OPTIONS=--no-compile"))
        yield Row("cold, --no-bytecode (pip --no-compile)", self.repeat(lambda: cold("--no-bytecode")), without)
        built = self.fresh(store)
        run_ = self.ours(built, memory=True)
        memory["cold build, largest process"] = run_.largest
        memory["cold build, all processes together"] = run_.together
        self.theirs()
        yield Row(
            "nothing changed",
            self.repeat(lambda: self.ours(built).seconds, 7),
            self.repeat(lambda: self.theirs().seconds, 7),
            1.0,
        )
        yield Row(
            "one source line changed",
            self.repeat(lambda: self.changed(lambda: self.ours(built)), 7),
            self.repeat(lambda: self.changed(self.theirs), 7),
            1.0,
        )
        versions = REQUESTS[: max(self.runs, 1)]
        yield Row(
            "one requirement changed",
            [self.required(version, lambda: self.ours(built)) for version in versions],
            [self.required(version, self.theirs) for version in versions],
            1 / 20,
        )
        self.required("2.34.2", lambda: self.ours(built))
        self.required("2.34.2", self.theirs)

    def repeat(self, measure: Callable[[], float], runs: int | None = None) -> list[float]:
        """The results of several runs."""
        return [measure() for _ in range(min(runs or self.runs, self.runs * 3))]

    def changed(self, build: Callable[[], Run]) -> float:
        """The seconds of ``build`` after one more line in main.py."""
        with (self.project / "main.py").open("a") as file:
            file.write(f"# change {next(self._numbers)}\n")
        return build().seconds

    def required(self, version: str, build: Callable[[], Run]) -> float:
        """The seconds of ``build`` with another version of one requirement."""
        path = self.project / "requirements.txt"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(f"requests=={version}" if "requests" in line else line for line in lines) + "\n")
        return build().seconds

    # -- what is not a pair of times -------------------------------------------------------------

    def huge_wheel(self, megabytes: int) -> Run:
        """A build whose one requirement has a member of so many megabytes."""
        project = self.folder / f"huge-{megabytes}"
        project.mkdir()
        _write_wheel(project / "wheels", megabytes)
        (project / "main.py").write_text("")
        (project / "requirements.txt").write_text("huge==1.0\n")
        (project / ".dockerignore").write_text("wheels\n")
        options = ["--find-links", str(project / "wheels"), "--no-index"]
        return self.ours(self.fresh(self.folder / "base-only"), *options, project=project, memory=True)

    def version(self) -> float:
        """Median seconds of ``wherry --version``."""
        return statistics.median(run([str(self.command), "--version"]).seconds for _ in range(21))

    def sizes(self) -> dict[str, int]:
        """Bytes of both images as Docker counts them, and of wherry's as it is stored; both are started once."""
        store = self.folder / "sizes"
        archive = self.folder / "bench.tar"
        run(["cp", "-a", str(self.folder / "base-only"), str(store)])
        self.ours(store, "-t", "bench-wherry", "-o", f"type=docker,dest={archive}")
        self.docker("load", "-i", archive)
        found = {}
        for title, name in (("wherry", "bench-wherry"), ("docker", "bench-docker")):
            self.docker("run", "--rm", "--network=none", "--entrypoint", "/opt/venv/bin/python", name, "-c", IMPORTS)
            size = self.docker("image", "inspect", "--format", "{{.Size}}", name).output
            found[f"{title}, unpacked"] = int(size)
        index = json.loads((store / "index.json").read_text())
        blob = store / "blobs" / "sha256" / index["manifests"][0]["digest"].partition(":")[2]
        found["wherry, stored"] = sum(layer["size"] for layer in json.loads(blob.read_text())["layers"])
        return found


def _install() -> Path:
    """Wherry as users install it (not editable) in an environment of its own; gives the command."""
    venv = RESULTS / "venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(ROOT)], check=True)
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(ROOT)], check=True)
    return venv / "bin" / "wherry"


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


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="cold builds of each kind; medians are shown")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    memory: dict[str, int] = {}
    table: list[Row] = []
    with engine() as docker, tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        base.prepare(docker, RESULTS)
        bench = Bench(docker, Path(folder), arguments.runs)
        engine_version = docker.version()
        print(f"\nwherry against Docker Engine {engine_version} (BuildKit), medians of {arguments.runs} or more runs,")
        print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, Linux {platform.release()}\n")
        print(f"{'':<46}{'wherry':>10}{'docker':>10}  wherry/docker")
        for row in bench.rows(memory):
            table.append(row)
            print(row.text(), flush=True)
        for megabytes in (50, 500):
            huge = bench.huge_wheel(megabytes)
            memory[f"a wheel of {megabytes} MB, largest process"] = huge.largest
            memory[f"a wheel of {megabytes} MB, all processes together"] = huge.together
        version = bench.version()
        sizes = bench.sizes()
    print(f"\nwherry --version: {version * 1000:.0f} ms")
    for title, numbers in (("Peak memory", memory), ("Image size", sizes)):
        print(f"\n{title}")
        for name, number in numbers.items():
            print(f"  {name:<44}{number / 1e6:8.1f} MB")
    result = {
        "docker": engine_version,
        "cpus": os.cpu_count(),
        "rows": [asdict(row) for row in table],
        "version_seconds": version,
        "memory_bytes": memory,
        "image_bytes": sizes,
    }
    (RESULTS / "latest.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nAll numbers: {(RESULTS / 'latest.json').relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""The two builders, and what all measurements of them share: folders, stores, how often and in which order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count, cycle
from pathlib import Path

from bench import base
from bench.engine import Engine
from bench.measure import Run, run

ROOT = Path(__file__).parent.parent
REFERENCE = Path(__file__).parent / "reference"
RESULTS = ROOT / "bench-results"
QUICK = 7
"""Runs of what takes a moment."""
VERSIONS = ("2.32.3", "2.32.4", "2.32.5", "2.33.0", "2.33.1")
"""What the changed requirement (requests) takes, one for each round: no round may find that of another."""

Build = Callable[[], Run]


class Bench:
    """Wherry and Docker, a folder for what they build, and what is found out beside times."""

    def __init__(self, docker: Engine, folder: Path, runs: int) -> None:
        self.docker = docker
        self.folder = folder
        self.runs = runs
        self.memory: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        self.remarks: list[str] = []
        self.command = _install()
        self._numbers = count()

    def number(self) -> int:
        """Another one each time."""
        return next(self._numbers)

    def source(self) -> str:
        """A main.py of some length, with another last line each time."""
        lines = [f"print('line {number}')" for number in range(200)]
        return "\n".join([*lines, f"# change {self.number()}", ""])

    def note(self, what: str, run_: Run) -> None:
        """Keep the memory that ``run_`` took, if it was asked for."""
        self.memory[f"{what}, largest process"] = run_.largest
        self.memory[f"{what}, all processes together"] = run_.together

    # -- one build -------------------------------------------------------------------------------

    def ours(self, store: Path, context: Path, *args: str, memory: bool = False) -> Run:
        """``wherry build`` of ``context`` with the store at ``store``."""
        return self.wherry(store, "build", "--progress", "plain", "-t", "bench", *args, str(context), memory=memory)

    def wherry(self, store: Path, *args: str, memory: bool = False) -> Run:
        """``wherry ARGS`` with the store at ``store``."""
        env = {name: value for name, value in os.environ.items() if name not in {"PIP_FIND_LINKS", "WHERRY_STORE"}}
        return run([str(self.command), *args], env={**env, "WHERRY_STORE": str(store)}, memory=memory)

    def theirs(self, context: Path, *args: str) -> Run:
        """``docker build`` of ``context``."""
        return self.docker("build", "--network=host", "--progress=plain", "-t", "bench-docker", *args, context)

    def theirs_cold(self, context: Path, *args: str) -> Run:
        """``docker build`` with an empty build cache, and without an image from before; the bases stay."""
        self.docker("image", "rm", "-f", "bench-docker")
        self.docker("builder", "prune", "-af")
        os.sync()
        return self.theirs(context, "--no-cache", *args)

    def ours_cold(self, warm: Path | None, context: Path, *args: str, memory: bool = False) -> Run:
        """``wherry build`` with a store that has what ``warm`` has, and nothing else."""
        with self.fresh(warm) as store:
            os.sync()
            return self.ours(store, context, *args, memory=memory)

    # -- stores ----------------------------------------------------------------------------------

    @contextmanager
    def fresh(self, warm: Path | None = None) -> Iterator[Path]:
        """A store of its own that begins as a copy of ``warm``, or empty."""
        store = self.folder / f"store-{self.number()}"
        if warm is not None:
            run([*self.docker.sudo, "cp", "-a", str(warm), str(store)])
        try:
            yield store
        finally:
            self.remove(store)

    def remove(self, folder: Path) -> None:
        """Remove a folder; what lies in a store may belong to other users."""
        run([*self.docker.sudo, "rm", "-rf", "--one-file-system", str(folder)])

    @cached_property
    def bases(self) -> None:
        """Docker's two base images, made when they are first asked for."""
        base.prepare(self.docker, RESULTS)

    @cached_property
    def packed(self) -> Path:
        """A store with Docker's two base images under their names: the same layers, the same config."""
        self.bases  # noqa: B018
        store = self.folder / "packed"
        context = self.folder / "import"
        context.mkdir()
        for name in base.NAMES:
            archive = self.folder / f"{name}.tar"
            base.save(self.docker, name, archive)
            (context / "Dockerfile").write_text(f"FROM docker-archive:{archive}\n")
            self.ours(store, context, "-t", name)
            archive.unlink()
        return store

    @cached_property
    def ready(self) -> Path:
        """As :attr:`packed`, the bases' files unpacked: as Docker has them after ``docker pull`` or ``docker load``."""
        store = self.folder / "ready"
        run([*self.docker.sudo, "cp", "-a", str(self.packed), str(store)])
        for name in base.NAMES:
            context = self.folder / f"unpack-{name}"
            context.mkdir()
            (context / "Dockerfile").write_text(f"FROM {name}\nRUN true\n")
            self.ours(store, context)
        return store

    # -- many builds -----------------------------------------------------------------------------

    def turns(self, *builds: Build, before: Callable[[], object] = int, runs: int | None = None) -> list[list[float]]:
        """The seconds of each of ``builds``, which take turns; ``before`` is called before each round of them.

        There are as many rounds as were asked for; or ``runs``, if that is not more than three times as many.
        """
        found: list[list[float]] = []
        for _ in range(min(runs or self.runs, self.runs * 3)):
            before()
            found.append([build().seconds for build in builds])
        return [list(seconds) for seconds in zip(*found, strict=True)]


class Project:
    """A copy of the reference project, which changes between builds."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.path = bench.folder / name
        self._bench = bench
        shutil.copytree(REFERENCE, self.path)
        (self.path / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
        self._versions = cycle(VERSIONS)

    def change(self) -> None:
        """One more line in main.py."""
        with (self.path / "main.py").open("a") as file:
            file.write(f"# change {self._bench.number()}\n")

    def require(self, version: str = "") -> None:
        """Another version of one requirement: ``version``, or the next one."""
        path = self.path / "requirements.txt"
        line = f"requests=={version or next(self._versions)}"
        path.write_text(re.sub("^requests==.*$", line, path.read_text(), flags=re.MULTILINE))


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

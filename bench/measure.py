"""Commands, measured: seconds, and memory of the whole tree of processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1800
"""Seconds after which a command is ended: it hangs."""


@dataclass(frozen=True)
class Run:
    """One run of a command. Memory in bytes.

    ``largest`` is the highest resident size of any one process in the tree, as the kernel counts it; ``together``
    the highest sum over all of them (proportional set size: shared pages count once), sampled, 0 if not asked for.
    """

    seconds: float
    largest: int
    together: int
    output: str


def run(
    words: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, memory: bool = False
) -> Run:
    """Run a command, which must succeed."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        timer = threading.Timer(LIMIT, process.terminate)
        timer.start()
        sampler = _Sampler(process.pid)
        if memory:
            sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # we are told to stop
            process.terminate()
            process.wait()
            raise
        finally:
            timer.cancel()
            sampler.done.set()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}\nexit code {process.returncode}\n{text[-4000:]}")
    return Run(seconds, usage.ru_maxrss * 1024, sampler.peak, text)


class _Sampler(threading.Thread):
    """Adds up the memory of a process and its descendants, many times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.peak = max(self.peak, sum(map(_size, _tree(self.root))))


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def _size(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)

"""Runs `wherry`, as users do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code (None if it took too long), what it said, and how long it took."""

    code: int | None
    output: str
    errors: str
    seconds: float


@dataclass(frozen=True)
class Wherry:
    """The command with one store."""

    store: Path

    def __call__(self, *words: str | Path, limit: float = 1800) -> Done:
        """Run it with ``words``, at most ``limit`` seconds."""
        environment = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
        # The public index alone: what else pip knows here is of no interest elsewhere.
        environment |= {"PIP_CONFIG_FILE": os.devnull, "WHERRY_STORE": str(self.store)}
        start = time.monotonic()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "wherry", *map(str, words)],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Done(None, "", f"ended after {limit:.0f} seconds", time.monotonic() - start)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def ok(self, *words: str | Path) -> str:
        """As a call; the program ends if it fails."""
        done = self(*words)
        if done.code != 0:
            raise SystemExit(f"wherry {' '.join(map(str, words))}\nexit code {done.code}\n{done.errors[-4000:]}")
        return done.output

"""Builds that are killed, interrupted, or not alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

FILES = {
    "requirements.txt": "numpy==2.5.5\nflask==3.1.3\nsqlalchemy==2.1.9\n",
    "main.py": "import flask, numpy, sqlalchemy; print('all here')\n",
}
MOMENTS = (1, 3, 8, 20, 50, 90, 130, 180)


def stop_at(build: subprocess.Popen[str], events: int, number: int) -> bool:
    """Send a signal when the build (``--progress json``) has told ``events`` events; whether it was still going."""
    assert build.stderr is not None
    for _ in range(events):
        if not build.stderr.readline():
            return False
    try:
        os.kill(build.pid, number)
    except ProcessLookupError:
        return False
    return True


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def settle(session: int, patience: float = 10) -> None:
    """Wait until no process of ``session`` is left."""
    end = time.monotonic() + patience
    while left := members(session):
        assert time.monotonic() < end, f"still running: {[Path(f'/proc/{pid}/cmdline').read_text() for pid in left]}"
        time.sleep(0.02)


def test_a_build_that_was_killed_at_any_moment_is_no_obstacle(
    wherry: Wherry, warm: Wherry, project: MakeProject
) -> None:
    root = project(FILES)
    killed = 0
    for moment in MOMENTS:
        build = wherry.start("build", "-t", "killed", "--progress", "json", root)
        killed += stop_at(build, moment, signal.SIGKILL)
        build.communicate(timeout=60)
        settle(build.pid)
    assert killed >= 4
    assert wherry.build(root, "-t", "whole") == warm.build(root, "-t", "whole")
    assert wherry.leftovers() == []
    assert wherry.ok("run", "whole").stdout == "all here\n"


def test_an_interrupt_stops_a_build_at_once_and_leaves_nothing_half_written(
    wherry: Wherry, project: MakeProject
) -> None:
    root = project(FILES)
    stopped = 0
    for moment in MOMENTS:
        build = wherry.start("build", "-t", "stopped", "--progress", "json", root)
        if stop_at(build, moment, signal.SIGINT):
            start = time.monotonic()
            build.wait(20)
            took = time.monotonic() - start
            _, said = build.communicate()
            if build.returncode != 0:  # it may just have ended by itself
                stopped += 1
                assert build.returncode == 130, said
                assert took < 1.0
                assert "Traceback" not in said
                settle(build.pid, patience=1.0)
                # What was downloaded so far stays, to be gone on with; nothing else does.
                assert [item for item in wherry.leftovers() if not item.startswith("partial ")] == []
                assert not list((wherry.store / "sessions").glob("*"))
        else:
            build.communicate(timeout=60)
    assert stopped >= 4
    wherry.build(root, "-t", "whole")
    assert wherry.leftovers() == []


def test_two_builds_at_once_share_one_store(wherry: Wherry, warm: Wherry, project: MakeProject) -> None:
    root = project(FILES)
    other = project({**FILES, "main.py": "print('another')"}, "other")
    builds = [
        wherry.start("build", "-t", name, "--progress", "plain", folder)
        for name, folder in [("one", root), ("two", root), ("three", other)]
    ]
    for build in builds:
        _, said = build.communicate(timeout=240)
        assert build.returncode == 0, said
    assert wherry.leftovers() == []
    assert wherry.ok("run", "one").stdout == wherry.ok("run", "two").stdout == "all here\n"
    assert wherry.ok("run", "three").stdout == "another\n"
    assert wherry.build(root, "-t", "one") == warm.build(root, "-t", "one")


def test_removing_while_building_takes_nothing_away(wherry: Wherry, project: MakeProject) -> None:
    root = project(FILES)
    build = wherry.start("build", "-t", "kept", "--progress", "json", root)
    assert build.stderr is not None
    for _ in range(20):
        build.stderr.readline()
    wherry("prune")  # either waits, or says that a build is going on
    _, said = build.communicate(timeout=240)
    assert build.returncode == 0, said
    assert wherry.ok("run", "kept").stdout == "all here\n"

"""The command as it is felt: how fast it starts, and what goes where."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

FILES = {"requirements.txt": "iniconfig==2.3.1\n", "main.py": "print('hello')\n"}


def test_the_version_is_there_in_less_than_100_ms() -> None:
    command = Path(sysconfig.get_path("scripts")) / "wherry"
    words = [str(command)] if command.exists() else [sys.executable, "-m", "wherry"]
    times = []
    for _ in range(15):
        start = time.perf_counter()
        said = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True).stdout
        times.append(time.perf_counter() - start)
        assert said.startswith("wherry ")
    assert statistics.median(times) < 0.1


def test_progress_goes_to_stderr_and_only_results_to_stdout(warm: Wherry, project: Callable[..., Path]) -> None:
    root = project(FILES)
    assert warm.ok("build", "-t", "command", root).stdout == ""
    quiet = warm.ok("build", "-q", "-t", "command", root)
    assert quiet.stdout.startswith("sha256:")
    assert quiet.stderr == ""


def test_an_archive_on_stdout_is_nothing_but_the_archive(warm: Wherry, project: Callable[..., Path]) -> None:
    root = project(FILES)
    result = subprocess.run(
        warm.command("build", "-q", "-o", "type=oci", root),
        env=warm.environment(),
        capture_output=True,
        check=True,
    )
    assert result.stdout.endswith(bytes(1024))  # the end of a tar archive
    assert result.stderr.startswith(b"sha256:")


def test_json_progress_is_nothing_but_json(warm: Wherry, project: Callable[..., Path]) -> None:
    lines = warm.ok("build", "--progress", "json", "-t", "command", project(FILES)).stderr.splitlines()
    events = [json.loads(line) for line in lines]
    started = {event["id"] for event in events if event["event"] == "started"}
    finished = {event["id"] for event in events if event["event"] == "finished"}
    assert started == finished != set()


def test_the_end_of_a_build_says_what_was_made(warm: Wherry, project: Callable[..., Path]) -> None:
    root = project(FILES)
    digest = warm.build(root, "-t", "command:1")
    said = warm.ok("build", "-t", "command:1", root).stderr
    assert "command:1" in said
    assert digest in said
    assert "100%" in said  # of it reused
    assert "CACHED" in said


def test_the_plan_is_printed_without_building(wherry: Wherry, project: Callable[..., Path]) -> None:
    root = project(FILES)
    text = wherry.ok("build", "--print", "plan", root).stdout
    assert "main.py" in text
    assert "requirements.txt" in text
    assert wherry.ok("build", "--print", "plan-json", root).stdout.startswith("[")
    assert not wherry.store.exists()


def test_the_example_says_hello(warm: Wherry) -> None:
    example = Path(__file__).parent.parent.parent / "examples" / "hello"
    warm.build(example, "-t", "hello")
    assert "Hello from a wherry" in warm.ok("run", "hello").stdout


def test_what_a_build_writes_into_the_project_is_not_in_the_next_image(
    warm: Wherry, project: Callable[..., Path]
) -> None:
    root = project(FILES)
    outputs = ("-o", f"type=oci,dest={root}/app.tar", "--iidfile", str(root / "id"))
    first = warm.build(root, "-t", "outputs", *outputs)
    assert warm.build(root, "-t", "outputs", *outputs) == first

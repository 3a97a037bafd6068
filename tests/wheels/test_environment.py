"""The empty virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.target import Interpreter
from wherry.wheels.environment import Environment, skeleton


def running() -> Interpreter:
    """The interpreter that runs this test."""
    return Interpreter(".".join(map(str, sys.version_info[:3])), str(Path(sys._base_executable).resolve()))  # type: ignore[attr-defined]


def test_it_holds_what_venv_makes() -> None:
    found = {
        entry.path: (entry, data)
        for entry, data in skeleton(Environment(Interpreter("3.13.1", "/usr/bin/python3.13")), 7)
    }
    links = {path: entry.link for path, (entry, _) in found.items() if entry.kind == "symlink"}
    assert links == {
        "opt/venv/bin/python": "/usr/bin/python3.13",
        "opt/venv/bin/python3": "python",
        "opt/venv/bin/python3.13": "python",
        "opt/venv/lib64": "lib",
    }
    assert [path for path, (entry, _) in found.items() if entry.kind == "dir"] == [
        "opt",
        "opt/venv",
        "opt/venv/bin",
        "opt/venv/include",
        "opt/venv/lib",
        "opt/venv/lib/python3.13",
        "opt/venv/lib/python3.13/site-packages",
    ]
    assert found["opt/venv/pyvenv.cfg"][1].decode().splitlines() == [
        "home = /usr/bin",
        "include-system-site-packages = false",
        "version = 3.13.1",
        "executable = /usr/bin/python3.13",
    ]


def test_entries_are_sorted_and_have_one_time() -> None:
    entries = [entry for entry, _ in skeleton(Environment(Interpreter("3.13.1", "/usr/bin/python3.13")), 315532800)]
    assert [entry.path for entry in entries] == sorted(entry.path for entry in entries)
    assert {entry.mtime for entry in entries} == {315532800}
    assert {entry.mode for entry in entries if entry.kind == "dir"} == {0o755}


@pytest.mark.parametrize("prefix", ["venv", "/", "", "/opt/../venv", "/opt/venv/", "//opt"])
def test_a_prefix_is_a_clean_absolute_path(prefix: str) -> None:
    with pytest.raises(UsageError):
        Environment(Interpreter("3.13.1", "/usr/bin/python3.13"), prefix)


@pytest.mark.skipif(os.name != "posix", reason="the environment is made for Linux")
def test_a_real_interpreter_starts_in_it(tmp_path: Path) -> None:
    environment = Environment(running(), str(tmp_path / "venv"))
    for entry, data in skeleton(environment, 0):
        path = Path("/") / entry.path
        if entry.kind == "dir":
            path.mkdir(exist_ok=True)
        elif entry.kind == "symlink":
            path.symlink_to(entry.link)
        else:
            path.write_bytes(data)
    site = Path("/") / environment.site_packages
    (site / "antigravity.py").write_text("here = True\n")  # not the standard library's joke
    script = "import sys, site; print(sys.prefix); print(sys.path[-1]); print(site.ENABLE_USER_SITE)"
    for name in ("python", "python3"):
        words = [str(tmp_path / "venv" / "bin" / name), "-W", "error", "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env={})
        assert done.stdout.splitlines() == [str(tmp_path / "venv"), str(site), "False"]
        assert done.stderr == ""

"""Subordinate IDs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wherry.sandbox.userns import read_ranges


def test_ranges_are_found_by_name_and_by_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("joe:100000:65536\n1000:300000:10\nann:5:5\n")
    assert read_ranges(file, {"joe", "1000"}) == [(100000, 65536), (300000, 10)]


def test_lines_that_make_no_sense_give_nothing(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("joe:100000\njoe:x:y\n\njoe:1:0\n")
    assert read_ranges(file, {"joe"}) == []


def test_no_file_gives_no_ranges(tmp_path: Path) -> None:
    assert read_ranges(tmp_path / "none", {"joe"}) == []


_ENTER = """
import os
from wherry.sandbox import enter_user_namespace
before = os.getpid()
namespace = enter_user_namespace()
assert namespace is not None
assert (os.getuid(), os.getgid(), os.getpid()) == (0, 0, before)
os.readlink("/proc/self/exe")
print(namespace.ids, bool(namespace.why))
"""


def test_entering_makes_an_ordinary_user_root(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _ENTER]
    import os

    if os.geteuid() == 0:
        pytest.skip("root has no need of it: see the tests of running")
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if "SandboxError" in result.stderr:
        pytest.skip(result.stderr.splitlines()[-1])
    ids, why = result.stdout.split()
    assert (int(ids) == 1) == (why == "True")

"""How a command ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WAITING = """
import sys, threading
threading.Thread(target=threading.Event().wait).start()
sys.argv = ["wherry", *{arguments}]
from wherry.cli import main
main()
"""


def _ended(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """A command that ends while another thread waits for what never comes."""
    script = WAITING.format(arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", script], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )


def test_a_command_ends_though_a_thread_still_waits() -> None:
    result = _ended("--version")
    assert (result.returncode, result.stdout.split()[0], result.stderr) == (0, "wherry", "")


def test_what_a_failing_command_says_arrives_before_it_ends() -> None:
    result = _ended("no-such-command")
    assert result.returncode == 2
    assert "no such command: 'no-such-command'" in result.stderr


def test_a_command_whose_reader_has_gone_fails_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = _ended("--version", stdout=writer)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


def test_a_command_with_its_output_closed_works(tmp_path: Path) -> None:
    script = 'exec "$0" -m wherry --version >&- 2>&-'
    assert subprocess.run(["sh", "-c", script, sys.executable], timeout=60, check=False, cwd=tmp_path).returncode == 0

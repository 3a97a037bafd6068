"""What Ctrl-C does to a process of our own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import threading
from wherry.cli.interrupt import stopping

def cleanup():
    print("cleaning", flush=True)
    {cleanup}

with stopping(cleanup):
    print("ready", flush=True)
    threading.Event().wait()
"""


def start(cleanup: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(cleanup=cleanup)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n"


def test_an_interrupt_cleans_up_and_ends_the_process() -> None:
    with start("pass") as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        wait_for(process, "cleaning")
        assert process.wait(10) == 128 + signal.SIGTERM


def test_a_second_interrupt_ends_a_cleanup_that_hangs() -> None:
    with start("threading.Lock().acquire() and threading.Event().wait()") as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGINT)
        wait_for(process, "cleaning")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT


CHILDREN = """
import subprocess, threading
from wherry.children import stop_children, tended
from wherry.cli.interrupt import stopping

command = ["sh", "-c", "sleep 60 & wait"]
with stopping(stop_children), subprocess.Popen(command, start_new_session=True) as process, tended(process):
    print("ready", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_children_and_what_they_started(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILDREN], stdout=subprocess.PIPE, text=True) as process:
        wait_for(process, "ready")
        process.send_signal(number)
        process.communicate(timeout=10)  # at its end nobody holds the pipe any more
        assert process.returncode == 128 + number

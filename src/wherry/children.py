"""Child processes that must not outlive this one: who is interrupted ends them before it goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PATIENCE = 1.0  # seconds to wait for a process that was killed

_running: set[subprocess.Popen[bytes]] = set()


@contextmanager
def tended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the body runs, :func:`stop_children` ends ``process``; so does an error in the body.

    It must lead a session (``start_new_session``), so that what it has started ends with it.
    """
    _running.add(process)
    try:
        yield
    except BaseException:
        _kill(process)
        raise
    finally:
        _running.discard(process)


def stop_children() -> None:
    """End the children that are running now, with all that they have started."""
    children = list(_running)
    for process in children:
        _kill(process)
    for process in children:
        with suppress(subprocess.TimeoutExpired):  # it may be waited for where we were interrupted
            process.wait(_PATIENCE)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return  # its number may be another's by now
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

"""Ctrl-C and SIGTERM: stop at once and leave nothing half-written.

Threads that download or compress cannot be asked to stop in time, so the process ends itself; what it had
in hand lies in its session's folder, which goes first. Finished blobs are complete and stay for the next build.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping(*cleanups: Callable[[], None]) -> Iterator[None]:
    """While the body runs, an interrupt runs ``cleanups`` and ends the process (exit code 128 + signal).

    A second interrupt ends it at once. A terminal that is closed interrupts as well, unless that is to be ignored.
    """
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        os._exit(128 + number)

    def stop(number: int, frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, end)  # a second one waits for nothing, not even for a cleanup that hangs
        if os.getpid() == owner:
            for cleanup in cleanups:
                try:
                    cleanup()
                except Exception as error:  # the process ends now, whatever a cleanup meets
                    print(f"wherry: while stopping: {error}", file=sys.stderr)
            print("wherry: interrupted", file=sys.stderr, flush=True)
        end(number, frame)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup's
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The command line: one module for each command, and the only place that parses, prints, colours or exits.

Each command is a thin caller of the public API in :mod:`wherry`.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line in ``sys.argv`` and end the process with its exit code.

    It ends without taking the interpreter down: a thread may still wait for a silent server or be loading a library,
    and native code that runs meanwhile can crash. Nothing is lost, every write is atomic.
    """
    code = 1
    with suppress(OSError):  # whoever reads what we print has gone
        code = _run()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    os._exit(code)


def _run() -> int:
    if sys.argv[1:] == ["--version"]:  # before anything heavy is imported
        from wherry.version import VERSION

        print(f"wherry {VERSION}")
        return 0
    gc.set_threshold(50_000)  # start-up makes many objects and no garbage: a twentieth of a build with nothing to do
    from wherry.cli.group import run

    return run()

"""The command line: one module for each command, and the only place that parses, prints, colours or exits.

Each command is a thin caller of the public API in :mod:`wherry`.
"""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line in ``sys.argv``; gives the exit code."""
    if sys.argv[1:] == ["--version"]:  # before anything heavy is imported
        from wherry.version import VERSION

        print(f"wherry {VERSION}")
        return 0
    gc.set_threshold(50_000)  # start-up makes many objects and no garbage: a twentieth of a build with nothing to do
    from wherry.cli.group import run

    return run()

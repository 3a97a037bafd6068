"""What a result depends on besides its inputs: how we make it, as a number in its cache key.

In a module of its own, so that a build whose results are all there need not import what makes them.
"""

from __future__ import annotations

INSTALL = 1
"""To be raised when the same wheels would give another layer."""

CONFLICTS = 1
"""To be raised when the same wheel would install other files."""

BYTECODE = 2
"""To be raised when the same source would give other bytecode."""


def bytecode_identity(version: str, maker: str = "") -> str:
    """What bytecode depends on besides its source: the full ``version`` of the interpreter, and whose it is.

    ``maker`` is empty for the base's own.
    """
    return " ".join(part for part in (str(BYTECODE), version, maker) if part)

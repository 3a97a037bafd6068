"""What other programs print, made harmless for a terminal: it may be anybody's Dockerfile that prints it."""

from __future__ import annotations

import re

# ECMA-48: control strings to their end (or that of the line), control sequences, other escapes; then what is left of
# control characters. A tab may stay.
_ESCAPES = re.compile(
    r"\x1b[PX\]^_].*?(?:\x07|\x1b\\|\x9c|$)"
    r"|[\x90\x98\x9d\x9e\x9f].*?(?:\x07|\x1b\\|\x9c|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)


def without_escapes(line: str) -> str:
    """``line`` without anything that a terminal would obey: colours, titles, other character sets, movements."""
    return _ESCAPES.sub("", line)

"""What a command prints, line by line, whatever it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

_LONGEST = 4000  # characters of a line that are shown
_PIECE = 1 << 16  # bytes: a line without an end must not fill our memory


def lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines of ``process``'s standard output, without the earlier states of lines that it wrote over."""
    assert process.stdout is not None
    begun = b""
    while piece := process.stdout.readline(_PIECE):
        if not piece.endswith(b"\n") and len(piece) == _PIECE:
            begun = begun or piece
            continue
        yield _shown(begun or piece)
        begun = b""
    if begun:
        yield _shown(begun)


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2][:_LONGEST]

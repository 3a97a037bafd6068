"""Output of other programs on a terminal: what it would obey is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.escapes import without_escapes


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\ttext é", "plain\ttext é"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("A\x1bcB\x1b(0\x0e", "AB"),
        ("\x1b[2J\x1b[?1049h\x1b[1;1Hx", "x"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;Zm9v\x1b\\after", "after"),
        ("before\x1b]0;never ended", "before"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x9b2Jx\x9d0;y\x9cz", "xz"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("cut\x1b[", "cut"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out(line: str, shown: str) -> None:
    assert without_escapes(line) == shown


@given(st.text(st.characters(max_codepoint=0x2FF)))
def test_nothing_that_controls_is_left(line: str) -> None:
    left = without_escapes(line)
    assert not [char for char in left if char != "\t" and (ord(char) < 32 or 127 <= ord(char) < 160)]

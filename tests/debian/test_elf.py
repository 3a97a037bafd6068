"""What the headers of shared libraries say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.debian.elf import AARCH64, SharedObject, shared_object

Make = Callable[..., bytes]


def look(data: bytes) -> SharedObject | None:
    return shared_object(lambda offset, size: data[offset : offset + size])


def test_a_library_tells_its_name_and_machine(library: Make) -> None:
    assert look(library("libz.so.1")) == SharedObject(62, "libz.so.1")
    assert look(library("libz.so.1", AARCH64)) == SharedObject(183, "libz.so.1")


def test_a_library_may_have_no_name(library: Make) -> None:
    assert look(library()) == SharedObject(62, "")


@pytest.mark.parametrize("kind", [1, 2, 4])
def test_objects_programs_and_cores_are_no_libraries(kind: int, library: Make) -> None:
    assert look(library("libz.so.1", kind=kind)) is None


@pytest.mark.parametrize("data", [b"", b"INPUT(-lm)\n", b"\x7fELF\1\1\1" + bytes(100), b"\x7fELF\2\2\1" + bytes(100)])
def test_texts_and_libraries_for_other_processors_are_none(data: bytes) -> None:
    assert look(data) is None


def test_a_library_that_breaks_off_is_none_or_has_no_name(library: Make) -> None:
    whole = library("libz.so.1")
    for length in range(len(whole)):
        found = look(whole[:length])
        assert found is None or found.soname == ""


@given(st.integers(0, 250), st.binary(min_size=1, max_size=16))
def test_whatever_headers_say_reading_them_ends(position: int, damage: bytes) -> None:
    head = bytes.fromhex("7f454c460201010000000000000000000300 3e00 01000000".replace(" ", ""))
    whole = (head + bytes(8) + (64).to_bytes(8, "little") + bytes(14) + b"\x38\0\2\0").ljust(260, b"\1")
    look(whole[:position] + damage + whole[position + len(damage) :])

"""What ELF files say of themselves, and files that say nonsense."""

from __future__ import annotations

import io
import random
import struct
import time
from pathlib import Path

import pytest
from tests.wheels.compiled import AMD64, headers, library, needs_gcc, program

from wherry.wheels.elf import Elf, Machine, family, libc_of, read_elf

pytestmark = needs_gcc


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """A library that needs another and symbols of certain versions."""
    other = library(tmp_path / "libother.so.1")
    source = '#include <stdio.h>\nvoid hello(void) { puts("x"); }\n'
    made = library(tmp_path / "libdata.so.2", source, needs=[other], runpath="$ORIGIN/../libs:/opt/lib")
    return made.read_bytes()


def test_a_library_names_itself_what_it_needs_and_where_to_look(data: bytes) -> None:
    found = read_elf(io.BytesIO(data))
    assert found is not None
    assert (found.machine, found.soname, found.interp) == (AMD64, "libdata.so.2", "")
    assert found.needed == ("libother.so.1", "libc.so.6")
    assert (found.rpath, found.runpath) == ((), ("$ORIGIN/../libs", "/opt/lib"))


def test_rpath_is_not_runpath(tmp_path: Path) -> None:
    found = headers(library(tmp_path / "liba.so", rpath="/opt/a:/opt/b"))
    assert (found.rpath, found.runpath) == (("/opt/a", "/opt/b"), ())


def test_symbol_versions_are_listed_by_library(data: bytes) -> None:
    found = read_elf(io.BytesIO(data))
    assert found is not None
    assert dict(found.versions)["libc.so.6"][0].startswith("GLIBC_2.")


def test_a_program_names_its_dynamic_linker(tmp_path: Path) -> None:
    found = headers(program(tmp_path / "run"))
    assert found.interp == "/lib64/ld-linux-x86-64.so.2"
    assert family(found) == "glibc"


def test_a_static_program_needs_nothing(tmp_path: Path) -> None:
    start = "void _start(void) { for (;;); }"
    found = headers(program(tmp_path / "run", start, ["-static", "-nostdlib", "-nostartfiles"]))
    assert found == Elf(AMD64)
    assert family(found) == ""


def test_sections_are_not_needed(data: bytes) -> None:
    changed = bytearray(data)
    struct.pack_into("<Q", changed, 40, 0)  # where they are
    struct.pack_into("<3H", changed, 58, 0, 0, 0)  # their size and number, and that of their names
    assert read_elf(io.BytesIO(bytes(changed))) == read_elf(io.BytesIO(data))


def test_sections_that_lie_are_not_believed(data: bytes) -> None:
    changed = bytearray(data)
    start, size, count = struct.unpack_from("<Q", data, 40)[0], 64, struct.unpack_from("<H", data, 60)[0]
    changed[start : start + size * count] = b"\xff" * size * count
    assert read_elf(io.BytesIO(bytes(changed))) == read_elf(io.BytesIO(data))


def test_a_big_endian_file_of_32_bits_is_read_too() -> None:
    names = b"\0libc.so.6\0libx.so\0"
    moved = 0x1000
    start = 52 + 2 * 32
    tags = struct.pack(">8I", 1, 1, 14, 11, 5, moved + start + 32, 0, 0)
    size = start + len(tags) + len(names)
    head = b"\x7fELF\1\2\1".ljust(16, b"\0") + struct.pack(">HHIIIIIHHHHHH", 3, 20, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    load = struct.pack(">8I", 1, 0, moved, moved, size, size, 5, 4096)
    segment = struct.pack(">8I", 2, start, moved + start, 0, len(tags), len(tags), 4, 4)
    found = read_elf(io.BytesIO(head + load + segment + tags + names))
    assert found == Elf(Machine(20, 32, False), ("libc.so.6",), "libx.so")


@pytest.mark.parametrize("text", [b"", b"\x7fEL", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF" + bytes(60), b"\x7fELF\2\1\1"])
def test_what_is_no_elf_file_is_none(text: bytes) -> None:
    assert read_elf(io.BytesIO(text)) is None


def test_an_object_file_is_no_library(tmp_path: Path) -> None:
    made = program(tmp_path / "a.o", "int a;", ["-c"])
    assert read_elf(io.BytesIO(made.read_bytes())) is None


def test_damage_anywhere_is_survived(data: bytes) -> None:
    dice = random.Random(7)
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(dice.randint(1, 8)):
            changed[dice.randrange(4, 64 + 56 * 9)] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        read_elf(io.BytesIO(bytes(changed)))
    for length in range(0, len(data), 97):
        read_elf(io.BytesIO(data[:length]))


def test_a_file_with_endless_tables_is_given_up_soon() -> None:
    moved, start = 0x1000, 64 + 2 * 56
    tags = struct.pack("<8Q", 5, moved, 0x6FFFFFFE, moved + start + 64, 0x6FFFFFFF, 1 << 60, 0, 0)
    ring = struct.pack("<HHIII", 1, 0xFFFF, 1, 0, 1) + bytes(64)  # many entries, each the same again
    head = b"\x7fELF\2\1\1".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, moved, moved, 1 << 40, 1 << 40, 4096)
    segment = struct.pack("<IIQQQQQQ", 2, 4, start, moved + start, 0, 1 << 40, 1 << 40, 8)
    before = time.monotonic()
    assert read_elf(io.BytesIO(head + load + segment + tags + ring)) is None
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    ("name", "libc"),
    [
        ("libc.so.6", "glibc"),
        ("libm.so.6", "glibc"),
        ("libpthread.so.0", "glibc"),
        ("ld-linux-x86-64.so.2", "glibc"),
        ("ld-linux-aarch64.so.1", "glibc"),
        ("libresolv.so.2", "glibc"),
        ("libc.musl-x86_64.so.1", "musl"),
        ("ld-musl-aarch64.so.1", "musl"),
        ("libc.so", "musl"),
        ("libcrypt.so.1", ""),
        ("libstdc++.so.6", ""),
        ("libmagic.so.1", ""),
    ],
)
def test_a_c_librarys_own_parts_are_known(name: str, libc: str) -> None:
    assert libc_of(name) == libc


def test_what_needs_musl_is_of_its_family() -> None:
    assert family(Elf(AMD64, ("libz.so.1", "libc.musl-x86_64.so.1"))) == "musl"
    assert family(Elf(AMD64, ("libz.so.1",))) == ""
    assert family(Elf(AMD64, interp="/lib/ld-musl-x86_64.so.1")) == "musl"

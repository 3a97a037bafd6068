"""Handlers of binfmt_misc: entries as kernels have given them, read and asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.sandbox.binfmt import Handler, handlers
from wherry.sandbox.trial import Kind, smallest

_MASK = "ffffffffffffff00fffffffffffffffffeffffff"
DEBIAN = f"""enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask {_MASK}
"""
OLD = f"""disabled
interpreter /usr/bin/qemu-arm-static
flags: OC
offset 0
magic 7f454c4601010100000000000000000002002800
mask {_MASK}
"""
PYTHON = "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"
MONO = "enabled\ninterpreter /usr/bin/cli\nflags: \noffset 2\nmagic 5045\n"
JAR = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"

ARM64, ARM, AMD64 = Kind(183, 64, "<"), Kind(40, 32, "<"), Kind(62, 64, "<")


def program(kind: Kind) -> bytes:
    return smallest(kind) or pytest.fail("there is no such program")


def read(text: str) -> Handler:
    return Handler.parse("name", text) or pytest.fail("no handler")


def test_an_emulator_takes_the_programs_of_its_processor_alone() -> None:
    assert read(DEBIAN).takes(program(ARM64))
    assert not read(DEBIAN).takes(program(AMD64))
    assert not read(DEBIAN).takes(program(ARM))


def test_an_emulator_takes_position_independent_programs_and_those_for_any_system() -> None:
    head = bytearray(program(ARM64))
    head[16] = 3  # ET_DYN
    head[7] = 3  # ELFOSABI_GNU
    assert read(DEBIAN).takes(bytes(head))


def test_an_entry_says_what_is_started_and_whether() -> None:
    debian, old = read(DEBIAN), read(OLD)
    assert (debian.enabled, debian.interpreter) == (True, "/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    assert (old.enabled, old.interpreter) == (False, "/usr/bin/qemu-arm-static")


def test_only_what_the_kernel_holds_open_is_everywhere() -> None:
    assert read(DEBIAN).is_everywhere
    assert not read(OLD).is_everywhere


def test_without_a_mask_all_bits_count() -> None:
    assert read(PYTHON).takes(b"\xa7\r\r\n....")
    assert not read(PYTHON).takes(b"\xa6\r\r\n....")


def test_magic_may_be_further_on() -> None:
    assert read(MONO).takes(b"..PE")
    assert not read(MONO).takes(b"PE..")


def test_a_file_that_is_too_short_is_nobodys() -> None:
    assert not read(DEBIAN).takes(program(ARM64)[:12])
    assert not read(DEBIAN).takes(b"")


@pytest.mark.parametrize(
    "text",
    [JAR, "", "enabled\n", DEBIAN.replace("7f45", "7g45"), DEBIAN.replace(_MASK, "ff"), PYTHON.replace("a70d0d0a", "")],
)
def test_an_entry_that_knows_no_magic_is_no_handler(text: str) -> None:
    assert Handler.parse("name", text) is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the kernel shows."""
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").write_bytes(b"")
    for name, text in (("qemu-aarch64", DEBIAN), ("qemu-arm", OLD), ("jar", JAR)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_all_handlers_are_read(folder: Path) -> None:
    assert {one.name for one in handlers(folder)} == {"qemu-aarch64", "qemu-arm"}


def test_where_all_is_switched_off_there_are_no_handlers(folder: Path) -> None:
    (folder / "status").write_text("disabled\n")
    assert handlers(folder) == []


def test_where_binfmt_misc_is_not_mounted_there_are_no_handlers(tmp_path: Path) -> None:
    assert handlers(tmp_path) == []
    assert handlers(tmp_path / "none") == []

"""The smallest programs: tried on this machine, and under every emulator that it has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.sandbox.trial import Kind, kind_of, own_kind, runs, smallest

KINDS = {
    "aarch64": Kind(183, 64, "<"),
    "arm": Kind(40, 32, "<"),
    "i386": Kind(3, 32, "<"),
    "loongarch64": Kind(258, 64, "<"),
    "mips64el": Kind(8, 64, "<"),
    "ppc64le": Kind(21, 64, "<"),
    "riscv64": Kind(243, 64, "<"),
    "s390x": Kind(22, 64, ">"),
    "x86_64": Kind(62, 64, "<"),
}


def program(kind: Kind) -> bytes:
    return smallest(kind) or pytest.fail("there is no such program")


@pytest.mark.parametrize("name", KINDS)
def test_a_program_says_what_it_is_made_for(name: str) -> None:
    assert kind_of(program(KINDS[name])) == KINDS[name]


@pytest.mark.parametrize("name", KINDS)
def test_an_emulator_runs_the_program_of_its_processor(name: str, tmp_path: Path) -> None:
    emulator = shutil.which(f"qemu-{name}-static") or shutil.which(f"qemu-{name}")
    if emulator is None:
        pytest.skip(f"no qemu-{name} here")
    path = tmp_path / "program"
    path.write_bytes(program(KINDS[name]))
    path.chmod(0o755)
    assert subprocess.run([emulator, path], check=False, timeout=30).returncode == 0


def test_what_is_made_for_this_machine_runs() -> None:
    kind = own_kind()
    assert kind is not None
    assert kind == kind_of(Path(sys.executable).read_bytes()[:20])
    assert runs(kind)


def test_a_kind_that_we_know_no_program_for_is_believed_to_run() -> None:
    assert runs(Kind(2, 32, ">"))


@pytest.mark.parametrize("head", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x03\x01" + bytes(14), bytes(20)])
def test_what_is_no_program_is_of_no_kind(head: bytes) -> None:
    assert kind_of(head) is None

"""The smallest program for a kind of processor: where it runs, others do.

Two things cannot be read anywhere: that a processor knows another one's instructions too (386 on amd64, arm on some
arm64), and that there are emulators which were registered outside of the container that we are in.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

HEAD = 20
"""So many bytes at the beginning of a program tell what it is made for."""

_MAGIC = b"\x7fELF"
_ADDRESS = 0x400000
_PATIENCE = 20  # seconds


class Kind(NamedTuple):
    """What a program is made for, as its ELF header has it (e_machine, EI_CLASS, EI_DATA)."""

    machine: int
    bits: int
    order: str


# All that they do is exit(0). The flags (e_flags) are those of the usual ABI, which kernels look at.
_PROGRAMS = {
    Kind(3, 32, "<"): (0, "31db 31c0 40 cd80"),  # 386
    Kind(8, 64, "<"): (0x80000007, "c2130224 25200000 0c000000"),  # mips64le
    Kind(21, 64, "<"): (2, "01000038 00006038 02000044"),  # ppc64le
    Kind(22, 64, ">"): (0, "a7290000 0a01"),  # s390x
    Kind(40, 32, "<"): (0x5000000, "0000a0e3 0170a0e3 000000ef"),  # arm
    Kind(62, 64, "<"): (0, "31ff b83c000000 0f05"),  # amd64
    Kind(183, 64, "<"): (0, "000080d2 a80b80d2 010000d4"),  # arm64
    Kind(243, 64, "<"): (0, "13050000 9308d005 73000000"),  # riscv64
    Kind(258, 64, "<"): (0x43, "04008003 0b748103 00002b00"),  # loong64
}

KINDS = {
    "386": Kind(3, 32, "<"),
    "mips64le": Kind(8, 64, "<"),
    "ppc64le": Kind(21, 64, "<"),
    "s390x": Kind(22, 64, ">"),
    "arm": Kind(40, 32, "<"),
    "amd64": Kind(62, 64, "<"),
    "arm64": Kind(183, 64, "<"),
    "riscv64": Kind(243, 64, "<"),
    "loong64": Kind(258, 64, "<"),
}
"""What programs for an architecture (OCI's name) are made for."""


def kind_of(head: bytes) -> Kind | None:
    """What a program that begins with ``head`` is made for; None if it is no ELF file."""
    if len(head) < HEAD or not head.startswith(_MAGIC) or head[4] not in {1, 2} or head[5] not in {1, 2}:
        return None
    order = "<" if head[5] == 1 else ">"
    return Kind(struct.unpack_from(f"{order}H", head, 18)[0], 32 * head[4], order)


def own_kind() -> Kind | None:
    """What this process's program is made for."""
    with Path("/proc/self/exe").open("rb") as file:
        return kind_of(file.read(HEAD))


def smallest(kind: Kind) -> bytes | None:
    """A program for ``kind`` that ends with the exit code 0; None if we know none."""
    if kind not in _PROGRAMS:
        return None
    flags, text = _PROGRAMS[kind]
    code = bytes.fromhex(text)
    word, header, segment = ("I", 52, 32) if kind.bits == 32 else ("Q", 64, 56)
    start = header + segment
    size = start + len(code)
    ident = _MAGIC + bytes((kind.bits // 32, 1 if kind.order == "<" else 2, 1))
    fields = (2, kind.machine, 1, _ADDRESS + start, header, 0, flags, header, segment, 1, 0, 0, 0)
    head = struct.pack(f"{kind.order}16s2HI3{word}I6H", ident, *fields)
    if kind.bits == 32:
        load = struct.pack(f"{kind.order}8I", 1, 0, _ADDRESS, _ADDRESS, size, size, 5, 0x10000)
    else:
        load = struct.pack(f"{kind.order}2I6Q", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
    return head + load + code


def runs(kind: Kind) -> bool:
    """Whether this machine runs programs for ``kind``; yes, if that cannot be found out."""
    import subprocess

    program = smallest(kind)
    if program is None:
        return True
    descriptor = os.memfd_create("trial")  # a file on the disk may lie where nothing can be executed
    try:
        os.write(descriptor, program)
        path = f"/proc/self/fd/{descriptor}"
        none = subprocess.DEVNULL
        done = subprocess.run(
            [path], pass_fds=[descriptor], stdin=none, stdout=none, stderr=none, timeout=_PATIENCE, check=False
        )
    except (PermissionError, FileNotFoundError, subprocess.TimeoutExpired):
        # Files in memory cannot be executed here (vm.memfd_noexec), or there is a handler whose emulator this
        # machine does not have, and the image may.
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return done.returncode == 0

"""What the headers of a shared library say of it (System V ABI, "Object Files" and "Dynamic Linking").

pyelftools could tell too, but takes a quarter of a second for the libraries of one base.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

X86_64, AARCH64 = 62, 183
"""Machines, as ``e_machine`` numbers them."""

_MAGIC = b"\x7fELF\2\1\1"  # 64 bits, little endian, the only version
_HEADER = struct.Struct("<16x2H12xQ14x2H6x")  # type, machine, where the program headers are, their size and number
_SEGMENT = struct.Struct("<I4x2Q8xQ16x")  # type, offset, address, size in the file
_DYNAMIC = struct.Struct("<2Q")
_SHARED = 3
_LOAD, _DYNAMIC_SEGMENT = 1, 2
_END, _STRINGS, _SONAME = 0, 5, 14
_LARGEST = 1 << 20  # bytes of headers that are read
_LONGEST = 256  # bytes of a name

Read = Callable[[int, int], bytes]
"""Bytes of a file: where they begin, and how many at most."""


@dataclass(frozen=True, slots=True)
class SharedObject:
    """A shared library: its machine, and the name that it has itself (DT_SONAME; empty if it has none)."""

    machine: int
    soname: str


def shared_object(read: Read) -> SharedObject | None:
    """The shared library that ``read`` reads; None if it is something else, is damaged, or is not of 64 bits."""
    head = read(0, _HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        return None
    kind, machine, start, size, count = _HEADER.unpack(head)
    if kind != _SHARED or size != _SEGMENT.size:
        return None
    segments = list(_records(_SEGMENT, read(start, size * count)))
    for segment, offset, _, length in segments:
        if segment == _DYNAMIC_SEGMENT and 0 < length <= _LARGEST:
            return SharedObject(machine, _soname(read, read(offset, length), segments))
    return None


def _soname(read: Read, dynamic: bytes, segments: list[tuple[int, ...]]) -> str:
    values: dict[int, int] = {}
    for tag, value in _records(_DYNAMIC, dynamic):
        if tag == _END:
            break
        values[tag] = value
    if _SONAME not in values or _STRINGS not in values:
        return ""
    wanted = values[_STRINGS] + values[_SONAME]
    for segment, offset, address, length in segments:
        if segment == _LOAD and address <= wanted < address + length:
            name, end, _ = read(offset + wanted - address, _LONGEST).partition(b"\0")
            return name.decode("ascii", "replace") if end else ""
    return ""


def _records(layout: struct.Struct, data: bytes) -> Iterator[tuple[int, ...]]:
    return layout.iter_unpack(data[: len(data) // layout.size * layout.size])

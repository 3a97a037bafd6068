"""What a program's or shared library's headers tell the dynamic linker (System V ABI, "Dynamic Linking").

Read as the linker reads them: by segments, never by sections, which may be missing or say something else. The file
is trusted in nothing: how much of it is read has bounds, whatever it says of itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from elftools.construct import Construct
    from elftools.construct.lib.container import Container

Family = Literal["glibc", "musl", ""]
"""Which C library something is linked with; empty if with none."""

MAGIC = b"\x7fELF"

_MOST_SEGMENTS, _MOST_TAGS, _MOST_VERSIONS = 512, 1024, 4096
_LONGEST = 1 << 14  # bytes of a name; those of search paths can be long
_MOST_TEXT = 1 << 20  # bytes of all names
_LOAD, _DYNAMIC, _INTERP = "PT_LOAD", "PT_DYNAMIC", "PT_INTERP"
_KINDS = {"ET_DYN", "ET_EXEC"}

_GLIBC = re.compile(
    r"ld-linux.*\.so\.\d+|ld64\.so\.\d+|ld\.so\.1"
    r"|lib(?:c|m)\.so\.6(?:\.1)?"
    r"|lib(?:pthread|dl|rt|util|anl|nsl|mvec|thread_db|BrokenLocale)\.so\.\d|libresolv\.so\.2"
    r"|libc_malloc_debug\.so\.0|libnss_(?:files|dns|compat|hesiod|db)\.so\.2"
)
_MUSL = re.compile(r"libc\.musl-[^/]+\.so\.\d+|ld-musl-[^/]+\.so\.\d+|libc\.so")


@dataclass(frozen=True, slots=True, order=True)
class Machine:
    """What has to be the same in files that are linked: ``number`` is ``e_machine``, ``bits`` 32 or 64."""

    number: int
    bits: int
    little_endian: bool


@dataclass(frozen=True, slots=True)
class Elf:
    """The headers of a program or shared library; what one does not have is empty.

    ``needed`` are the names of the libraries that it needs (DT_NEEDED), ``soname`` is its own (DT_SONAME), ``rpath``
    and ``runpath`` are the folders to look in, ``interp`` is the dynamic linker that it asks for, ``versions`` the
    symbol versions that it needs, by library.
    """

    machine: Machine
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    interp: str = ""
    versions: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read_elf(file: IO[bytes]) -> Elf | None:
    """The headers of ``file``, which can seek.

    None if it is no program or shared library (but an object file, a core dump, text) or is damaged: then no dynamic
    linker would take it either.
    """
    from elftools.common.exceptions import ELFError

    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        return None
    try:
        return _Reader(file).read()
    except (ELFError, _Damaged, ValueError, OverflowError):
        return None


def family(elf: Elf) -> Family:
    """The C library that ``elf`` is linked with: a file for one never runs with another."""
    found = {libc_of(name) for name in (*elf.needed, elf.interp.rpartition("/")[2])}
    if "glibc" in found:
        return "glibc"
    return "musl" if "musl" in found else ""


def libc_of(soname: str) -> Family:
    """The C library that ``soname`` is a part of, which comes with the system and from nowhere else; or none."""
    if _GLIBC.fullmatch(soname):
        return "glibc"
    return "musl" if _MUSL.fullmatch(soname) else ""


class _Damaged(Exception):
    """The file is not what it says."""


class _Reader:
    def __init__(self, file: IO[bytes]) -> None:
        from elftools.elf.elffile import ELFFile

        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._elf = ELFFile(file)
        self._text = _MOST_TEXT
        self._loads: list[tuple[int, int, int]] = []  # address, size, offset

    def read(self) -> Elf | None:
        structs, header = self._elf.structs, self._elf.header
        count, size = int(header.e_phnum), structs.Elf_Phdr.sizeof()
        if header.e_type not in _KINDS or count > _MOST_SEGMENTS or (count and header.e_phentsize != size):
            return None
        start = int(header.e_phoff)
        segments = [self._parse(structs.Elf_Phdr, start + number * size) for number in range(count)]
        self._loads = [(one.p_vaddr, one.p_filesz, one.p_offset) for one in segments if one.p_type == _LOAD]
        tags: list[tuple[str | int, int]] = []
        interp = ""
        for segment in segments:
            if segment.p_type == _DYNAMIC:
                tags = list(self._tags(segment.p_offset, segment.p_filesz))
            elif segment.p_type == _INTERP:
                interp = self._string(segment.p_offset, segment.p_filesz)
        machine = Machine(self._machine(), self._elf.elfclass, bool(self._elf.little_endian))
        return self._described(machine, interp, tags)

    def _described(self, machine: Machine, interp: str, tags: list[tuple[str | int, int]]) -> Elf:
        last = dict(tags)  # as linkers take it, where there should be one of a kind
        strings = last.get("DT_STRTAB")
        if strings is None:
            return Elf(machine, interp=interp)

        def name(offset: int) -> str:
            return self._string(self._offset(strings + offset))

        def folders(tag: str) -> tuple[str, ...]:
            return tuple(name(last[tag]).split(":")) if tag in last else ()

        return Elf(
            machine,
            tuple(dict.fromkeys(name(value) for tag, value in tags if tag == "DT_NEEDED")),
            name(last["DT_SONAME"]) if "DT_SONAME" in last else "",
            folders("DT_RPATH"),
            folders("DT_RUNPATH"),
            interp,
            tuple(self._versions(last, strings)),
        )

    def _machine(self) -> int:
        # pyelftools names those that it knows.
        self._file.seek(18)
        return int.from_bytes(self._file.read(2), "little" if self._elf.little_endian else "big")

    def _tags(self, offset: int, length: int) -> Iterator[tuple[str | int, int]]:
        layout = self._elf.structs.Elf_Dyn
        size = layout.sizeof()
        for number in range(length // size):
            tag = self._parse(layout, offset + number * size)
            if tag.d_tag == "DT_NULL":
                return
            if number >= _MOST_TAGS:
                raise _Damaged
            yield tag.d_tag, tag.d_val

    def _versions(self, tags: dict[str | int, int], strings: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The versions needed of each library (LSB Core, "Symbol Versioning")."""
        if "DT_VERNEED" not in tags:
            return
        structs = self._elf.structs
        left = _MOST_VERSIONS
        position = self._offset(tags["DT_VERNEED"])
        for _ in range(tags.get("DT_VERNEEDNUM", 0)):
            need = self._parse(structs.Elf_Verneed, position)
            names = []
            at = position + need.vn_aux
            for _ in range(need.vn_cnt):
                left -= 1
                if left < 0:
                    raise _Damaged
                version = self._parse(structs.Elf_Vernaux, at)
                names.append(self._string(self._offset(strings + version.vna_name)))
                at += version.vna_next
            left -= 1
            yield self._string(self._offset(strings + need.vn_file)), tuple(sorted(names))
            if not need.vn_next or left < 0:
                return
            position += need.vn_next

    def _offset(self, address: int) -> int:
        """Where in the file lies what is loaded at ``address``."""
        for start, size, offset in self._loads:
            if start <= address < start + size:
                return offset + address - start
        raise _Damaged

    def _parse(self, layout: Construct, offset: int) -> Container:
        from elftools.common.utils import struct_parse

        if offset >= self._size:
            raise _Damaged
        found: Container = struct_parse(layout, self._file, offset)
        return found

    def _string(self, offset: int, most: int = _LONGEST) -> str:
        if offset >= self._size:
            raise _Damaged
        self._file.seek(offset)
        text, end, _ = self._file.read(min(most, _LONGEST)).partition(b"\0")
        self._text -= len(text)
        if not end or self._text < 0:
            raise _Damaged
        return text.decode("utf-8", "backslashreplace")

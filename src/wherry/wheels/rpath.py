"""RPATH and RUNPATH: the folders that a file itself tells the dynamic linker to look in (ld.so(8), "DESCRIPTION")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wherry.wheels.elf import Elf, Family, Machine

_MOST = 256  # folders; whoever names more means harm
_ORIGIN = re.compile(r"\$(?:ORIGIN(?!\w)|\{ORIGIN\})")
_LIB = re.compile(r"\$(?:LIB(?!\w)|\{LIB\})")
_TRIPLETS = {
    Machine(62, 64, True): "x86_64-linux-gnu",
    Machine(62, 32, True): "x86_64-linux-gnux32",
    Machine(183, 64, True): "aarch64-linux-gnu",
    Machine(3, 32, True): "i386-linux-gnu",
    Machine(40, 32, True): "arm-linux-gnueabihf",
    Machine(243, 64, True): "riscv64-linux-gnu",
    Machine(21, 64, True): "powerpc64le-linux-gnu",
    Machine(22, 64, False): "s390x-linux-gnu",
    Machine(258, 64, True): "loongarch64-linux-gnu",
}
TRIPLETS = frozenset(_TRIPLETS.values())
"""The names of Debian's folders for the libraries of one machine each."""


@dataclass(frozen=True, slots=True)
class Search:
    """Absolute folders: ``own`` to look in for what a file needs, ``inherited`` also for what that needs, and so on."""

    own: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()


def search(elf: Elf, origin: str, above: tuple[str, ...], family: Family) -> Search:
    """Where to look for what ``elf``, in the absolute folder ``origin``, needs, before the system's own folders.

    ``above`` are the folders inherited from what loads it.
    """
    rpath, runpath = (_folders(entries, origin, elf.machine) for entries in (elf.rpath, elf.runpath))
    if family == "musl":  # makes no difference between the two
        both = _distinct(*(runpath if elf.runpath else rpath), *above)
        return Search(both, both)
    inherited = _distinct(*(() if elf.runpath else rpath), *above)
    return Search(tuple(runpath) if elf.runpath else inherited, inherited)


def triplet(machine: Machine) -> str:
    """The name of Debian's folders for libraries of ``machine``, such as ``x86_64-linux-gnu``; empty if unknown."""
    return _TRIPLETS.get(machine, "")


def expanded(path: str, origin: str, machine: Machine) -> str | None:
    """``path`` with $ORIGIN and $LIB replaced; None unless it is absolute then."""
    path = _ORIGIN.sub(lambda _: origin, path)
    path = _LIB.sub(lambda _: f"lib/{triplet(machine)}", path)
    # normpath would keep two slashes at the beginning.
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") and "$" not in path else None


def _folders(entries: Iterable[str], origin: str, machine: Machine) -> tuple[str, ...]:
    found: Iterator[str | None] = (expanded(entry, origin, machine) for entry in entries)
    return _distinct(*(folder for folder in found if folder))


def _distinct(*folders: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(folders))[:_MOST]

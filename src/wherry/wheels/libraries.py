"""What a wheel's programs and extension modules need from outside of it, as the dynamic linker would see it."""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wherry.wheels.elf import MAGIC, Elf, Family, Machine, family, libc_of, read_elf
from wherry.wheels.rpath import expanded, search
from wherry.wheels.wheelfile import Member, WheelFile

PREFIX = "/<prefix>"
"""Stands for the folder that the wheel will be installed below: nothing in a system is called like this."""

_IN_MEMORY = 16 << 20  # bytes of a file that is looked at; the rest of a larger one goes to a temporary file


@dataclass(frozen=True, slots=True)
class Needed:
    """A shared library that a wheel needs and does not supply itself.

    ``libc`` tells that it is a part of that C library, ``by`` which files of the wheel need it. ``versions`` are the
    symbol versions that they want of it, the newest last. ``folders`` are absolute ones where they want it looked for
    before others; those in ``inherited`` also for what it needs in turn. ``elsewhere`` is the file of the wheel, if
    there is one, that would do but that no RPATH leads to: some packages load it first, in their own code.
    """

    soname: str
    machine: Machine
    libc: Family = ""
    by: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()
    elsewhere: str = ""


def external(wheel: WheelFile, python: str) -> tuple[Needed, ...]:
    """What the files of ``wheel`` need from outside, by name; ``python`` is the minor version, such as ``3.13``.

    Raises :class:`~wherry.errors.WherryError` if a member is not what the wheel says.
    """
    elves = read_elves(wheel)
    loader = _Loader(elves, {path: installed(path, wheel, python) for path in elves})
    walks = {path: loader.walk(path) for path in elves}
    # A library that another file leads to is never loaded by itself: what it inherits then counts.
    inner = {path for start, walk in walks.items() for path in walk.reached if path != start}
    roots = [path for path in elves if path not in inner]
    covered = {path for root in roots for path in walks[root].reached}
    for path in elves:  # those that lead to each other, and nothing else to them
        if path not in covered:
            roots.append(path)
            covered |= walks[path].reached
    return tuple(_gathered(elves, [walks[root] for root in roots]))


def read_elves(wheel: WheelFile) -> dict[str, Elf]:
    """The headers of each program and shared library in ``wheel``, by its path there, in the order of paths."""
    found = {}
    for path, member in sorted(wheel.members.items()):
        if (elf := _read(wheel, member)) is not None:
            found[path] = elf
    return found


def installed(path: str, wheel: WheelFile, python: str) -> str:
    """Where the file at ``path`` in ``wheel`` goes, below :data:`PREFIX` (binary distribution format, "Spread")."""
    site = f"{PREFIX}/lib/python{python}/site-packages"
    top, _, rest = path.partition("/")
    if top != wheel.data_dir:
        return f"{site}/{path}"
    scheme, _, rest = rest.partition("/")
    folders = {
        "scripts": f"{PREFIX}/bin",
        "data": PREFIX,
        "headers": f"{PREFIX}/include/site/python{python}/{wheel.distribution}",
    }
    return f"{folders.get(scheme, site)}/{rest}"


@dataclass(frozen=True, slots=True)
class _Want:
    """A file's wish for a library that the wheel does not have for it."""

    soname: str
    by: str
    folders: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Walk:
    """What the loading of one file led to in the wheel, and what was not there."""

    reached: set[str]
    wants: list[_Want]


class _Loader:
    """Loads files of a wheel as the dynamic linker does. ``places`` are where they go, by their paths in the wheel."""

    def __init__(self, elves: Mapping[str, Elf], places: Mapping[str, str]) -> None:
        self._elves = elves
        self._origins = {path: place.rpartition("/")[0] for path, place in places.items()}
        self._paths = {place: path for path, place in places.items()}

    def walk(self, start: str) -> _Walk:
        """Load ``start`` and all it needs, breadth first, as glibc does: a name is looked for once."""
        kind = family(self._elves[start])
        loaded = {start.rpartition("/")[2], self._elves[start].soname}
        walk = _Walk({start}, [])
        queue: deque[tuple[str, tuple[str, ...]]] = deque([(start, ())])
        while queue:
            path, above = queue.popleft()
            elf = self._elves[path]
            folders = search(elf, self._origins[path], above, kind)
            for name in (name for name in elf.needed if name not in loaded):
                found = self._find(name, folders.own, path)
                if found is None:
                    walk.wants.append(_Want(name, path, _outside(folders.own), _outside(folders.inherited)))
                    continue
                loaded |= {name, self._elves[found].soname}
                if found not in walk.reached:
                    walk.reached.add(found)
                    queue.append((found, folders.inherited))
        return walk

    def _find(self, name: str, folders: Iterable[str], by: str) -> str | None:
        machine = self._elves[by].machine
        if "/" in name:
            candidates = [expanded(name, self._origins[by], machine) or ""]
        else:
            candidates = [f"{folder}/{name}" for folder in folders]
        for candidate in candidates:
            path = self._paths.get(candidate)
            if path is not None and self._elves[path].machine == machine:
                return path
        return None


def _gathered(elves: Mapping[str, Elf], walks: Iterable[_Walk]) -> Iterator[Needed]:
    wants: dict[tuple[str, Machine], list[_Want]] = {}
    for want in (want for walk in walks for want in walk.wants):
        wants.setdefault((want.soname, elves[want.by].machine), []).append(want)
    for path, elf in elves.items():
        if elf.interp:
            name = elf.interp.rpartition("/")[2]
            wants.setdefault((name, elf.machine), []).append(_Want(name, path))
    names: dict[tuple[str, Machine], str] = {}
    for path, elf in elves.items():
        for name in {path.rpartition("/")[2], elf.soname}:
            names.setdefault((name, elf.machine), path)
    for (soname, machine), group in sorted(wants.items()):
        by = sorted({want.by for want in group})
        versions = {name for path in by for library, some in elves[path].versions if library == soname for name in some}
        yield Needed(
            soname,
            machine,
            libc_of(soname),
            tuple(by),
            tuple(sorted(versions, key=_rank)),
            tuple(dict.fromkeys(folder for want in group for folder in want.folders)),
            tuple(dict.fromkeys(folder for want in group for folder in want.inherited)),
            names.get((soname, machine), ""),
        )


def _rank(version: str) -> tuple[tuple[bool, int, str], ...]:
    """The order of versions: numbers by their value."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    return tuple((True, int(part), "") if part[0] in "0123456789" else (False, 0, part) for part in parts)


def _outside(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(folder for folder in folders if not f"{folder}/".startswith(f"{PREFIX}/"))


def _read(wheel: WheelFile, member: Member) -> Elf | None:
    pieces = wheel.pieces(member)
    first = next(pieces, b"")
    if not first.startswith(MAGIC):
        return None
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        file.write(first)
        for piece in pieces:
            file.write(piece)
        return read_elf(file)

"""A wheel with the shared libraries that it needs inside it, as auditwheel and delocate make them.

The libraries go into ``NAME.libs`` beside the packages, under names that hold a hash of their content: whatever else
the process has loaded, each file gets the very library that it was compiled with. ELF files are edited by patchelf(1).
"""

from __future__ import annotations

import csv
import hashlib
import io
import posixpath
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.wheels.elf import libc_of, read_elf
from wherry.wheels.libraries import PREFIX, external, installed
from wherry.wheels.linker import Found
from wherry.wheels.root import Root
from wherry.wheels.wheelfile import WheelFile, record_hash

Patchelf = Callable[[Sequence[str], Path], None]
"""Runs patchelf with the given arguments in the given directory; its own errors are raised as they are."""

_PIECE = 1 << 18
_NAME = re.compile(r"/?(?:[\w.+~-]+/)*[\w.+~-]+")
_HINT = "Build it again, or in another base."
_EARLIEST, _LATEST = 315532800, 4354819198  # 1980-01-01 and 2107-12-31, between which zip files can tell a time


@dataclass(frozen=True, slots=True)
class _Vendored:
    """A library on its way into the wheel, under the name ``name``."""

    library: Found
    name: str


def vendor(
    wheel: WheelFile,
    libraries: Iterable[Found],
    root: Root,
    *,
    python: str,
    epoch: int,
    patchelf: Patchelf,
    work: Path,
    target: Path,
) -> None:
    """Write to ``target`` the wheel ``wheel`` with ``libraries``, which are in ``root``, inside it.

    Whatever in the wheel needs one of them is made to find it there; other libraries stay as they are. ``python`` is
    the minor version, such as ``3.13``; ``epoch`` the time of all files in seconds since 1970; ``work`` an empty
    directory for files on which ``patchelf`` works. The same input gives the same bytes. The wheel keeps its tags, its
    signatures go. Raises :class:`~wherry.errors.WherryError` if a library cannot be had or edited.
    """
    taken = {one.library.soname: one for one in (_take(library, root, wheel, work) for library in libraries)}
    names = {soname: one.name for soname, one in taken.items()}
    folder = f"{wheel.distribution}.libs"
    for one in taken.values():
        _edit_library(one, names, wheel, patchelf, work)
    edited: dict[str, Path] = {}
    for number, (path, wanted) in enumerate(sorted(_wanted(wheel, names, python).items())):
        file = work / f"member-{number}"
        _write(file, wheel.pieces(wheel.members[path]))
        origin = installed(path, wheel, python).rpartition("/")[0]
        libs = f"{PREFIX}/lib/python{python}/site-packages/{folder}"
        way = f"$ORIGIN/{posixpath.relpath(libs, origin)}"
        _edit(file, {soname: names[soname] for soname in wanted}, way, wheel, patchelf)
        edited[path] = file
    added = {f"{folder}/{one.name}": work / one.name for one in taken.values()}
    if clash := sorted(added.keys() & wheel.members.keys()):
        raise wheel.error(f"has a {clash[0]} already", hint="It seems to have been repaired by auditwheel: install it.")
    _pack(wheel, edited, added, target, epoch)


def vendored_name(soname: str, digest: str) -> str:
    """The name that a library gets in a wheel: ``libpq.so.5`` becomes ``libpq-0a1b2c3d.so.5``, as with auditwheel.

    ``digest`` is the sha256 of its content in hexadecimal digits.
    """
    base, dot, rest = soname.rpartition("/")[2].partition(".")
    return f"{base}-{digest[:8]}{dot}{rest}"


def _take(library: Found, root: Root, wheel: WheelFile, work: Path) -> _Vendored:
    """Copy a library out of ``root``."""
    if libc_of(library.soname):
        raise wheel.error(f"{library.soname} is a part of the C library", hint="No wheel can bring that along.")
    if not _NAME.fullmatch(library.soname):
        raise wheel.error(f"needs {library.soname!r}, which is no library's name", hint=_HINT)
    source = root.open(library.path)
    if source is None:
        raise wheel.error(f"needs /{library.path}, which is no longer there", hint=_HINT)
    digest = hashlib.sha256()
    with source, (work / "library").open("wb") as copy:
        while piece := source.read(_PIECE):
            digest.update(piece)
            copy.write(piece)
    name = vendored_name(library.soname, digest.hexdigest())
    (work / "library").rename(work / name)
    return _Vendored(library, name)


def _wanted(wheel: WheelFile, names: Mapping[str, str], python: str) -> dict[str, list[str]]:
    """Which of the libraries each file of the wheel needs, where it needs any."""
    wanted: dict[str, list[str]] = {}
    for need in external(wheel, python):
        for path in need.by if need.soname in names else ():
            wanted.setdefault(path, []).append(need.soname)
    return wanted


def _edit_library(one: _Vendored, names: Mapping[str, str], wheel: WheelFile, patchelf: Patchelf, work: Path) -> None:
    needed = {soname: names[soname] for soname in one.library.elf.needed if soname in names}
    _edit(work / one.name, needed, "$ORIGIN" if needed else "", wheel, patchelf, soname=one.name)


def _edit(
    file: Path, needed: Mapping[str, str], folder: str, wheel: WheelFile, patchelf: Patchelf, *, soname: str = ""
) -> None:
    """Let ``file`` need libraries under other names, look in ``folder`` for them, and have the name ``soname``.

    A library (one with a ``soname``) looks nowhere else: its own folders are those of another system. A file of the
    wheel goes on looking where it did.
    """
    with file.open("rb") as opened:
        before = read_elf(opened)
    if before is None:
        raise wheel.error(f"needs {soname or file.name}, which is damaged", hint=_HINT)
    kept = () if soname else tuple(entry for entry in before.runpath or before.rpath if entry)
    rpath = tuple(dict.fromkeys((*kept, *([folder] if folder else ()))))
    arguments = ["--set-soname", soname] if soname else []
    for old, new in sorted(needed.items()):
        arguments += ["--replace-needed", old, new]
    if rpath:
        # RPATH, which comes before LD_LIBRARY_PATH: as auditwheel does.
        arguments += ["--force-rpath", "--set-rpath", ":".join(rpath)]
    elif before.rpath or before.runpath:
        arguments += ["--remove-rpath"]
    patchelf([*arguments, f"./{file.name}"], file.parent)
    with file.open("rb") as opened:
        after = read_elf(opened)
    expected = tuple(needed.get(name, name) for name in before.needed), soname or before.soname, rpath
    if after is None or (after.needed, after.soname, after.rpath or after.runpath) != expected:
        raise wheel.error(f"patchelf could not {' '.join(arguments)}", hint="A newer patchelf may be able to.")


def _pack(wheel: WheelFile, edited: Mapping[str, Path], added: Mapping[str, Path], target: Path, epoch: int) -> None:
    """Write the wheel anew. Nothing is compressed: how well that goes depends on the zlib at hand."""
    moment = time.gmtime(min(max(epoch, _EARLIEST), _LATEST))[:6]
    record = f"{wheel.dist_info_dir}/RECORD"
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:

        def add(path: str, size: int, pieces: Iterable[bytes], *, executable: bool) -> str:
            info = zipfile.ZipInfo(path, moment)
            info.create_system = 3  # Unix, wherever we are: the mode tells what can be run
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            info.file_size = size
            digest = hashlib.sha256()
            with archive.open(info, "w") as member:
                for piece in pieces:
                    digest.update(piece)
                    member.write(piece)
            return record_hash(digest.digest())

        for path, member in wheel.members.items():
            file = edited.get(path)
            size, pieces = (file.stat().st_size, _read(file)) if file else (member.size, wheel.pieces(member))
            rows.append((path, add(path, size, pieces, executable=member.executable), str(size)))
        for path, file in sorted(added.items()):
            size = file.stat().st_size
            rows.append((path, add(path, size, _read(file), executable=True), str(size)))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        data = text.getvalue().encode()
        add(record, len(data), [data], executable=False)


def _read(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


def _write(file: Path, pieces: Iterable[bytes]) -> None:
    with file.open("wb") as opened:
        for piece in pieces:
            opened.write(piece)

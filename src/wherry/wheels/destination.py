"""A layer as installer's destination: what of a wheel goes where in a virtual environment.

Nothing is read here but what must be changed: a destination keeps, for every file, a way to stream it. Its size and
hash are already in the wheel's RECORD, and are checked when the file is written. So the environment's RECORD is
known before any content is, and a layer can be written sorted, whatever the order in the wheel.
"""

from __future__ import annotations

import configparser
import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import relpath
from typing import TYPE_CHECKING, BinaryIO

from installer import install
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.utils import Scheme

from wherry.wheels.environment import Environment, folders_of, links_of
from wherry.wheels.wheelfile import MemberStream, WheelFile, record_hash

if TYPE_CHECKING:
    from installer.scripts import ScriptSection

INSTALLER = b"wherry\n"
_SHEBANG = b"#!python"
_LONGEST_SHEBANG = 1 << 12


@dataclass(frozen=True, slots=True)
class File:
    """A file of a layer: ``path`` from the image's root, ``hash`` as RECORD writes it, and its content on demand."""

    path: str
    size: int
    hash: str
    executable: bool
    pieces: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Module:
    """A Python source file that bytecode may be made of; ``path`` is from the image's root."""

    path: str
    size: int
    pieces: Callable[[], Iterable[bytes]]


@dataclass
class LayerDestination(WheelDestination):
    """Collects what :func:`installer.install` installs; :meth:`finish` gives it as the files of a layer."""

    wheel: WheelFile
    environment: Environment
    _files: dict[str, File] = field(default_factory=dict)
    _record_path: str = ""

    # -- installer's protocol ----------------------------------------------------------------------

    def write_script(self, name: str, module: str, attr: str, section: ScriptSection) -> RecordEntry:
        """Add the script of an entry point."""
        if not name or "/" in name or "\0" in name or name in {".", ".."}:
            raise self.wheel.error(f"the entry point {name!r} is not a name for a file")
        script, data = Script(name, module, attr, section).generate(self.environment.python, "posix")
        return self._add_data("scripts", script, data, executable=True)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Add a file; a member of a wheel is not read yet."""
        name = os.fspath(path)
        if not isinstance(stream, MemberStream):
            return self._add_data(scheme, name, stream.read(), executable=is_executable)
        member, wheel = stream.member, self.wheel
        if scheme == "scripts":
            return self._add_script(name, stream)
        file = File(self._place(scheme, name), member.size, member.hash, is_executable, lambda: wheel.pieces(member))
        return self._add(name, file)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """Remember where RECORD goes; it is written by :meth:`finish`, from the same files as the layer."""
        self._record_path = self._place(scheme, record_file_path)

    # -- what came of it ---------------------------------------------------------------------------

    @property
    def files(self) -> Mapping[str, File]:
        """All files by path, but RECORD and bytecode."""
        return self._files

    @cached_property
    def modules(self) -> Sequence[Module]:
        """The Python source files among the modules, sorted by path."""
        folder = f"{self.environment.site_packages}/"
        found = (file for path, file in self._files.items() if path.endswith(".py") and path.startswith(folder))
        return sorted((Module(file.path, file.size, file.pieces) for file in found), key=lambda module: module.path)

    def finish(self, bytecode: Iterable[File] = ()) -> list[File]:
        """All files, with ``bytecode`` and a RECORD of everything (PyPA recording installed projects)."""
        bytecode = list(bytecode)
        rows = [self._row(file.path, file.hash, str(file.size)) for file in self._files.values()]
        # Neither bytecode's hash nor RECORD's own: as the specification allows, and pip does.
        rows += [self._row(path, "", "") for path in (*(file.path for file in bytecode), self._record_path)]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(sorted(rows))
        record = _file_of(self._record_path, text.getvalue().encode(), executable=False)
        return [*self._files.values(), *bytecode, record]

    # -- inside ------------------------------------------------------------------------------------

    def _place(self, scheme: str, path: str) -> str:
        """Where ``path`` of ``scheme`` goes, from the image's root."""
        environment = self.environment
        root = environment.root
        match scheme:
            case "purelib" | "platlib":
                return f"{environment.site_packages}/{path}"
            case "scripts":
                return f"{root}/bin/{path}"
            case "headers":
                return f"{root}/include/site/python{environment.interpreter.minor}/{self.wheel.wanted.name}/{path}"
            case _:  # data; lib64 is a link to lib, which a folder of that name would replace
                return f"{root}/lib/{path[6:]}" if path.startswith("lib64/") else f"{root}/{path}"

    @cached_property
    def _own(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """The paths of the empty environment, where no file may go, and those (with a slash) below which none may."""
        root = self.environment.root
        files = [f"{root}/{path}" for path in ("pyvenv.cfg", *links_of(self.environment))]
        folders = [f"{root}/{path}" for path in folders_of(self.environment)]
        return frozenset((*files, *folders)), tuple(f"{path}/" for path in files)

    def _add(self, path: str, file: File) -> RecordEntry:
        if file.path in self._files:
            raise self.wheel.error(f"installs {file.path} twice")
        taken, above = self._own
        if file.path in taken or file.path.startswith(above):
            own = file.path if file.path in taken else next(path for path in above if file.path.startswith(path))[:-1]
            raise self.wheel.error(
                f"overwrites the virtual environment's own {own}" + ("" if own == file.path else f" with {file.path}")
            )
        self._files[file.path] = file
        algorithm, _, value = file.hash.partition("=")
        return RecordEntry(path, Hash(algorithm, value), file.size)

    def _add_data(self, scheme: str, path: str, data: bytes, *, executable: bool) -> RecordEntry:
        return self._add(path, _file_of(self._place(scheme, path), data, executable=executable))

    def _add_script(self, path: str, stream: MemberStream) -> RecordEntry:
        """Add a script: executable, with our interpreter in its first line if that asks for one."""
        member, wheel = stream.member, self.wheel
        place = self._place("scripts", path)
        head = stream.read(_LONGEST_SHEBANG) or b""
        if not head.startswith(_SHEBANG):
            return self._add(path, File(place, member.size, member.hash, True, lambda: wheel.pieces(member)))
        shebang = f"#!{self.environment.python}\n".encode()

        def pieces() -> Iterator[bytes]:
            yield shebang
            yield from _without_first_line(wheel.pieces(member))

        # The one case in which a member is read twice, once for its new hash: scripts are small, if not always.
        digest, size = hashlib.sha256(), 0
        for piece in pieces():
            digest.update(piece)
            size += len(piece)
        return self._add(path, File(place, size, record_hash(digest.digest()), True, pieces))

    def _row(self, path: str, hash_: str, size: str) -> tuple[str, str, str]:
        folder = self.environment.site_packages
        inside = path.startswith(f"{folder}/")
        return (path[len(folder) + 1 :] if inside else relpath(path, folder)), hash_, size


def installed(wheel: WheelFile, environment: Environment) -> LayerDestination:
    """What ``wheel`` puts into ``environment``. Raises :class:`~wherry.errors.WherryError` if it may not or cannot."""
    destination = LayerDestination(wheel, environment)
    metadata = {"INSTALLER": INSTALLER}
    if wheel.wanted.direct_url:
        metadata["direct_url.json"] = wheel.wanted.direct_url.encode()
    try:
        install(wheel, destination, metadata)
    except (configparser.Error, AssertionError) as error:  # installer asserts that entry points are some
        raise wheel.error(f"entry_points.txt is malformed: {error}".rstrip(": ")) from error
    except (InstallerError, ValueError) as error:
        raise wheel.error(f"cannot be installed: {error}") from error
    return destination


def _without_first_line(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        _, newline, rest = piece.partition(b"\n")
        if newline:
            yield rest
            break
    yield from pieces


def _file_of(path: str, data: bytes, *, executable: bool) -> File:
    return File(path, len(data), record_hash(hashlib.sha256(data).digest()), executable, lambda: (data,))

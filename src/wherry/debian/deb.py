"""A .deb file (deb(5)): an ar archive of a tar archive of control files and one of the package's files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from wherry.errors import WherryError
from wherry.layers.entry import Entry
from wherry.layers.reader import entries

_MAGIC = b"!<arch>\n"
_HEADER = 60
_SMALL = 4 << 20  # bytes of a control file that we read


@dataclass(frozen=True, slots=True)
class Control:
    """A package's control file, and by name the others beside it that we read: md5sums, conffiles, scripts."""

    text: str
    others: dict[str, str] = field(default_factory=dict)


def control(path: Path, what: str) -> Control:
    """The control part of the package at ``path``. Raises :class:`WherryError` if it is damaged or has none."""
    found: dict[str, str] = {}
    with _member(path, "control.tar", what) as part:
        for entry, reader in entries(part, what):
            if reader and entry.size <= _SMALL:
                found[entry.path] = reader.read().decode("utf-8", "replace")
    if "control" not in found:
        raise WherryError(f"{what} has no control file")
    return Control(found.pop("control"), found)


def contents(path: Path, what: str) -> Iterator[tuple[Entry, IO[bytes] | None]]:
    """The package's files, as :func:`wherry.layers.reader.entries` gives them."""
    with _member(path, "data.tar", what) as part:
        yield from entries(part, what)


@contextmanager
def _member(path: Path, name: str, what: str) -> Iterator[BinaryIO]:
    """The first member of the ar archive at ``path`` whose name begins with ``name``."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise WherryError(f"{what} is no Debian package")
        while len(header := file.read(_HEADER)) == _HEADER and header.endswith(b"`\n"):
            digits = header[48:58].strip()
            if not digits.isdigit():
                break
            size = int(digits)
            if header[:16].decode("ascii", "replace").startswith(name):
                yield cast("BinaryIO", _Window(file, file.tell(), size))
                return
            file.seek(size + size % 2, io.SEEK_CUR)
    raise WherryError(f"{what} is damaged: it has no {name}")


class _Window(io.RawIOBase):
    """``size`` bytes of ``file`` from ``start``, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        self._file.seek(self._start + self._at)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        data = self._file.read(left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

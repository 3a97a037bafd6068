"""What a layer holds, remembered, so that it is not read again: each entry, and the hash of each file's content.

``records/HEX`` in the store is that of the blob HEX: entries as the archive has them, in its order, whiteouts among
them. Only who needs an entry pays for it: what is kept are tuples of plain values. A layer that was unpacked before
anybody wanted to know this is remembered without hashes; whoever wants one reads that file.
"""

from __future__ import annotations

import hashlib
import marshal
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, overload

from wherry.image.digest import Digest, encoded
from wherry.layers.entry import NO_XATTRS, Entry, Kind
from wherry.store.files import storing, write_atomic

if TYPE_CHECKING:
    from wherry.store import Store

FOLDER = "records"
_MAGIC = b"wherry records 1\n"
_PIECE = 1 << 18

Row = tuple[str, Kind, int, int, int, int, int, str, int, int, tuple[tuple[str, bytes], ...], str]
"""An entry's fields in their order, and the hash of its content, empty if it is not known."""


@dataclass(frozen=True, slots=True)
class Record:
    """An entry of a layer. ``content`` is the SHA-256 (hex) of a regular file's data if it is known, else empty."""

    entry: Entry
    content: str = ""


class Records(Sequence[Record]):
    """The records of a layer; each is built when it is asked for."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> Records: ...

    def __getitem__(self, at: int | slice) -> Record | Records:
        if isinstance(at, slice):
            return Records(self.rows[at])
        row = self.rows[at]
        return Record(entry_of(row), row[-1])

    def __iter__(self) -> Iterator[Record]:
        return (Record(entry_of(row), row[-1]) for row in self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and list(self.rows) == list(other.rows)

    __hash__ = None  # type: ignore[assignment]


def row_of(entry: Entry, content: str = "") -> Row:
    """``entry`` as a plain tuple."""
    xattrs = tuple(sorted(entry.xattrs.items())) if entry.xattrs else ()
    return (
        entry.path,
        entry.kind,
        entry.mode,
        entry.size,
        entry.uid,
        entry.gid,
        entry.mtime,
        entry.link,
        entry.major,
        entry.minor,
        xattrs,
        content,
    )


def entry_of(row: Row) -> Entry:
    """The entry that ``row`` was made from."""
    path, kind, mode, size, uid, gid, mtime, link, major, minor, xattrs, _ = row
    return Entry(path, kind, mode, size, uid, gid, mtime, link, major, minor, dict(xattrs) if xattrs else NO_XATTRS)


def load_records(store: Store, digest: Digest) -> Records:
    """What the layer whose blob is ``digest`` holds: as it is remembered, or else read and remembered.

    Raises :class:`WherryError` if the blob is missing or damaged.
    """
    if known := _recall(_path(store, digest)):
        return known
    with store.once(f"records {digest}"):
        if known := _recall(_path(store, digest)):
            return known
        records = scan(store.blobs.file(digest), f"layer {digest}")
        keep_records(store, digest, records.rows)
        return records


def has_records(store: Store, digest: Digest) -> bool:
    """Whether it is remembered what the layer whose blob is ``digest`` holds."""
    return _path(store, digest).is_file()


def keep_records(store: Store, digest: Digest, rows: Sequence[Row]) -> None:
    """Remember what the layer whose blob is ``digest`` holds."""
    data = marshal.dumps(list(rows))
    path = _path(store, digest)
    scratch = store.scratch()
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _MAGIC + zlib.crc32(data).to_bytes(4, "little") + data, scratch)


def scan(blob: Path, what: str) -> Records:
    """Read a layer from its beginning to its end."""
    from wherry.layers.reader import entries

    rows: list[Row] = []
    for entry, data in entries(blob, what):
        content = ""
        if data is not None:
            hashed = hashlib.sha256()
            while piece := data.read(_PIECE):
                hashed.update(piece)
            content = hashed.hexdigest()
        rows.append(row_of(entry, content))
    return Records(rows)


def _path(store: Store, digest: Digest) -> Path:
    return store.path / FOLDER / encoded(digest)


def _recall(path: Path) -> Records | None:
    """What is remembered; None if nothing is, or if it is damaged or of another version."""
    try:
        with path.open("rb") as file:
            data = file.read()
    except OSError:
        return None
    start = len(_MAGIC) + 4
    if not data.startswith(_MAGIC) or zlib.crc32(memoryview(data)[start:]) != int.from_bytes(
        data[start - 4 : start], "little"
    ):
        return None
    with suppress(ValueError, EOFError, TypeError):
        return Records(cast("list[Row]", marshal.loads(memoryview(data)[start:])))
    return None

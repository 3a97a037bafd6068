"""Entries in, a layer in the store out."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Self

from wherry.errors import WherryError
from wherry.image import Descriptor, Digest, Layer
from wherry.layers import tar
from wherry.layers.compression import Compression, compressor
from wherry.layers.entry import Entry
from wherry.store.blobs import Blobs

if TYPE_CHECKING:
    from wherry.layers.records import Row

_FLUSH = 1 << 20


class LayerWriter:
    """Writes one layer as a stream, in the order given; memory does not grow with the layer.

    Used as a context manager; :meth:`finish` gives the layer, and leaving without it leaves nothing behind.
    With ``records``, ``rows`` tell what was written (see :mod:`~wherry.layers.records`).
    """

    def __init__(self, blobs: Blobs, compression: Compression, *, records: bool = False) -> None:
        self._blob = blobs.writer()
        self._compression = compression
        self._compressor = compressor(compression)
        self._plain = sha256()
        self._size = 0
        self._pieces: list[bytes] = []
        self._held = 0
        self.rows: list[Row] | None = [] if records else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blob.close()

    def add(self, entry: Entry, data: bytes | Iterable[bytes] = b"", content: str = "") -> None:
        """Append ``entry``; ``data`` is a file's content and must have ``entry.size`` bytes.

        ``content`` is the SHA-256 (hex) of the data, if it is known.
        """
        from wherry.layers.records import row_of

        self.add_row(row_of(entry, content), (data,) if isinstance(data, bytes) else data)

    def add_row(self, row: Row, data: Iterable[bytes] = ()) -> None:
        """Append an entry given as plain values (see :mod:`~wherry.layers.records`), its hash among them if known."""
        path, kind, mode, size, uid, gid, mtime, link, *_, xattrs, content = row
        head = None if xattrs else tar.plain_header(path, kind, mode, size, uid, gid, mtime, link)
        if head is None:
            from wherry.layers.records import entry_of

            head = tar.header(entry_of(row))
        self._write(head)
        if kind == "file":
            hashed = sha256() if self.rows is not None and not content else None
            length = 0
            for piece in data:
                length += len(piece)
                self._write(piece)
                if hashed is not None:
                    hashed.update(piece)
            if length != size:
                raise WherryError(f"{path}: {length} bytes where {size} were announced")
            if length % tar.BLOCK:
                self._write(tar.padding(length))
            if hashed is not None:
                row = (*row[:-1], hashed.hexdigest())
        if self.rows is not None:
            self.rows.append(row)

    def finish(self) -> Layer:
        """End the stream, put the blob into the store and give the layer."""
        self._write(tar.END)
        self._flush()
        for piece in self._compressor.finish():
            self._blob.write(piece)
        digest, size = self._blob.commit()
        diff_id = Digest("sha256:" + self._plain.hexdigest())
        return Layer(Descriptor(self._compression.media_type, digest, size), diff_id, self._size)

    def _write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)
        if self._held >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        self._size += len(data)
        self._plain.update(data)
        for piece in self._compressor.write(data):
            self._blob.write(piece)

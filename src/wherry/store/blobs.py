"""Blobs by digest: the ``blobs/sha256`` folder of an OCI image layout (image-layout.md)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from wherry.errors import StoreError
from wherry.image.digest import Digest, digest_of, encoded
from wherry.store.files import storing

Supply = Callable[[Sequence[Digest]], None]
"""Fetches blobs from wherever they are known to be; what is nowhere is passed over."""


class Blobs:
    """A folder of content-addressed files. ``scratch`` gives the directory for temporary files.

    ``supply`` fetches what is not here and has been lent out to other places.
    """

    def __init__(self, root: Path, scratch: Callable[[], Path]) -> None:
        self.root = root
        self.supply: Supply | None = None
        self._scratch = scratch

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self.root / "sha256" / encoded(digest)

    def has(self, digest: Digest) -> bool:
        """Whether the blob is here."""
        return self.path(digest).is_file()

    def bring(self, digests: Iterable[Digest]) -> None:
        """See to it that these blobs are here, as far as they can be had.

        Raises :class:`~wherry.errors.WherryError` if a place that is known to have one does not give it.
        """
        missing = [digest for digest in dict.fromkeys(digests) if not self.has(digest)]
        if missing and self.supply is not None:
            self.supply(missing)

    def file(self, digest: Digest) -> Path:
        """The blob's file, fetched if need be. Raises :class:`StoreError` if it cannot be had."""
        self.bring((digest,))
        path = self.path(digest)
        if not path.is_file():
            raise missing_blob(digest)
        return path

    def read(self, digest: Digest) -> bytes:
        """A small blob's bytes. Raises :class:`StoreError` if it is missing."""
        path = self.path(digest)
        with storing(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                raise missing_blob(digest) from None

    def add(self, data: bytes) -> Digest:
        """Keep ``data``; gives its digest."""
        digest = digest_of(data)
        if not self.has(digest):
            with self.writer() as writer:
                writer.write(data)
                writer.commit()
        return digest

    def adopt(self, path: Path, digest: Digest) -> None:
        """Take over the file at ``path``, on the store's file system, whose bytes are known to have this digest."""
        target = self.path(digest)
        with storing(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)

    def writer(self) -> BlobWriter:
        """A new blob to be written in pieces."""
        return BlobWriter(self, self._scratch())


def missing_blob(digest: Digest) -> StoreError:
    """The error for a blob that should be here."""
    return StoreError(
        f"blob {digest} is missing from the store", hint="Build again, or remove the image that names it."
    )


class BlobWriter:
    """A blob being written; nothing shows in the store before :meth:`commit`."""

    def __init__(self, blobs: Blobs, scratch: Path) -> None:
        self._blobs = blobs
        self._path = scratch / f"blob-{os.urandom(8).hex()}"
        with storing(blobs.root):
            self._file = self._path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._hash.update(data)
        self._size += len(data)
        with storing(self._blobs.root):
            self._file.write(data)

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())

    def commit(self) -> tuple[Digest, int]:
        """Make the blob appear under its digest; gives the digest and the size in bytes."""
        digest = self.digest
        with storing(self._blobs.root):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        self._blobs.adopt(self._path, digest)
        return digest, self._size

    def close(self) -> None:
        """Give up what was not committed."""
        if not self._file.closed:
            with suppress(OSError):  # closing flushes, and a full disk refuses that; the file goes anyway
                self._file.close()
        self._path.unlink(missing_ok=True)

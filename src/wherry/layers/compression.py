"""Compression of layer streams, on all cores, with output that does not depend on how many there are.

gzip (RFC 1952) is cut into blocks of a fixed size, each deflated by itself with the end of the one before
as its dictionary, as pigz does. zstd (RFC 8878) splits inside its library, by input size alone.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, Protocol

from wherry.errors import UsageError
from wherry.image.mediatype import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Name = Literal["gzip", "zstd", "uncompressed"]

_BLOCK = 1 << 20
_WINDOW = 1 << 15
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVELS: dict[Name, tuple[int, int, int]] = {"gzip": (0, 2, 9), "zstd": (1, 3, 22), "uncompressed": (0, 0, 0)}
_MEDIA_TYPES = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD, "uncompressed": OCI_LAYER}


@dataclass(frozen=True, slots=True)
class Compression:
    """An algorithm and its level. gzip: 0-9, 2 by default; zstd: 1-22, 3 by default."""

    name: Name = "gzip"
    level: int = 2

    @classmethod
    def of(cls, name: str, level: int | None = None) -> Compression:
        """Check a user's choice. Raises :class:`UsageError` for unknown names and levels out of range."""
        known = next((one for one in _LEVELS if one == name), None)
        if known is None:
            raise UsageError(f"unknown compression {name!r}", hint="Choose gzip, zstd or uncompressed.")
        low, default, high = _LEVELS[known]
        level = default if level is None else level
        if not low <= level <= high:
            raise UsageError(f"{name} has no compression level {level}", hint=f"Choose one from {low} to {high}.")
        return cls(known, level)

    @property
    def media_type(self) -> str:
        """The media type of a layer compressed so."""
        return _MEDIA_TYPES[self.name]

    def __str__(self) -> str:
        return f"{self.name}-{self.level}"


class Compressor(Protocol):
    """Takes a stream in pieces and gives the compressed one in pieces."""

    def write(self, data: bytes) -> Iterator[bytes]:
        """Add ``data``; give what is ready."""

    def finish(self) -> Iterator[bytes]:
        """Give the rest."""


def compressor(compression: Compression) -> Compressor:
    """A fresh compressor."""
    match compression.name:
        case "gzip":
            return _Gzip(compression.level)
        case "zstd":
            return _Zstd(compression.level)
        case "uncompressed":
            return _Plain()


@cache
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="compress")


class _Gzip:
    def __init__(self, level: int) -> None:
        from isal import isal_zlib

        # ISA-L is several times faster and, to level 2, gives the same bytes on every x86-64 processor since SSE4.2;
        # its level 3 does not. zlib-ng gives the same everywhere.
        self._deflate = _deflate_isal if level <= 2 else _deflate_zlib_ng
        self._level = level
        self._crc32: Callable[[memoryview, int], int] = isal_zlib.crc32
        self._crc = 0
        self._length = 0
        self._pieces: list[bytes | memoryview] = []
        self._held = 0
        self._dictionary = b""
        self._started = False
        self._waiting: deque[Future[bytes]] = deque()
        self._most = 2 * (os.cpu_count() or 1)

    def write(self, data: bytes) -> Iterator[bytes]:
        self._pieces.append(data)
        self._held += len(data)
        if self._held > _BLOCK:
            held = memoryview(b"".join(self._pieces))
            start = 0
            while self._held > _BLOCK:  # never all of it: the last block is marked as the last
                self._submit(held[start : start + _BLOCK], last=False)
                yield from self._ready(self._most)
                start += _BLOCK
                self._held -= _BLOCK
            self._pieces = [held[start:]]

    def finish(self) -> Iterator[bytes]:
        self._submit(memoryview(b"".join(self._pieces)), last=True)
        yield from self._ready(0)
        yield (self._crc & 0xFFFFFFFF).to_bytes(4, "little") + (self._length & 0xFFFFFFFF).to_bytes(4, "little")

    def _submit(self, block: memoryview, *, last: bool) -> None:
        self._crc = self._crc32(block, self._crc)
        self._length += len(block)
        self._waiting.append(_pool().submit(self._deflate, block, self._dictionary, self._level, last))
        self._dictionary = bytes(block[-_WINDOW:])

    def _ready(self, leave: int) -> Iterator[bytes]:
        if not self._started:
            self._started = True
            yield _GZIP_HEADER
        while len(self._waiting) > leave or (self._waiting and self._waiting[0].done()):
            yield self._waiting.popleft().result()


def _deflate_isal(block: memoryview, dictionary: bytes, level: int, last: bool) -> bytes:
    from isal import isal_zlib as z

    stream = z.compressobj(level, z.DEFLATED, -z.MAX_WBITS, zdict=dictionary)
    return stream.compress(block) + stream.flush(z.Z_FINISH if last else z.Z_SYNC_FLUSH)


def _deflate_zlib_ng(block: memoryview, dictionary: bytes, level: int, last: bool) -> bytes:
    from zlib_ng import zlib_ng as z

    stream = z.compressobj(level, z.DEFLATED, -z.MAX_WBITS, zdict=dictionary)
    return stream.compress(block) + stream.flush(z.Z_FINISH if last else z.Z_SYNC_FLUSH)


class _Zstd:
    def __init__(self, level: int) -> None:
        import zstandard

        # Any number of workers from 1 up gives the same stream; none (0) would give another.
        self._stream = zstandard.ZstdCompressor(level=level, threads=os.cpu_count() or 1).compressobj()

    def write(self, data: bytes) -> Iterator[bytes]:
        yield self._stream.compress(data)

    def finish(self) -> Iterator[bytes]:
        yield self._stream.flush()


class _Plain:
    def write(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> Iterator[bytes]:
        return iter(())

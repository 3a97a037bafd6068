"""ADD's archives: told by what is in them, as BuildKit does, not by their names."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from wherry.layers.source import ArchiveTree
from wherry.solve.copy.selection import Chosen

_PIECE = 1 << 16


def archive_of(chosen: Chosen) -> ArchiveTree | None:
    """The archive that a chosen file is (tar; compressed with gzip, bzip2, xz or zstd, or not at all), or None."""
    if chosen.node.content.kind != "file" or not chosen.node.entry.size:
        return None
    file = (chosen.node.content, chosen.path)
    with chosen.source.open(file) as stream:
        if not _is_archive(stream):
            return None

    @contextmanager
    def opened() -> Iterator[BinaryIO]:
        with chosen.source.open(file) as again:
            yield again

    return ArchiveTree(opened, f"archive {chosen.path}")


def _is_archive(stream: BinaryIO) -> bool:
    """Whether a first header can be read, whatever comes after it."""
    start = b""
    raw = stream.read(_PIECE)
    try:
        decompress = _decompressor(raw)
        while raw and len(start) < tarfile.BLOCKSIZE:
            start += decompress(raw) if decompress else raw
            raw = stream.read(_PIECE)
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except Exception:  # each decoder has errors of its own
        return False
    return True


def _decompressor(start: bytes) -> Callable[[bytes], bytes] | None:
    """What decompresses a stream piece by piece; not all of it is needed here, nor need it be whole."""
    if start.startswith(b"\x1f\x8b"):
        import zlib

        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress
    if start.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lzma.LZMADecompressor().decompress
    if start.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor().decompress
    return None

"""Compression: any reader undoes it, and neither cores nor the sizes of writes change the result."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.image.mediatype import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from wherry.layers import compression as module
from wherry.layers.compression import Compression, compressor

ALL = [Compression("gzip", level) for level in (0, 1, 2, 3, 6, 9)] + [
    Compression("zstd", 1),
    Compression("zstd", 3),
    Compression("zstd", 9),
    Compression("uncompressed", 0),
]


def _compress(compression: Compression, pieces: Iterable[bytes]) -> bytes:
    work = compressor(compression)
    packed = b"".join(out for piece in pieces for out in work.write(piece))
    return packed + b"".join(work.finish())


def _decompress(compression: Compression, data: bytes) -> bytes:
    match compression.name:
        case "gzip":
            return gzip.decompress(data)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        case _:
            return data


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _mixed(size: int) -> bytes:
    """Bytes that compress somewhat, the same in every run."""
    half = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(size // 64))
    return b"".join(piece + b"wherry " * 4 + b"abcd" for piece in _cut(half, 32))[:size]


MIXED = _mixed((3 << 20) + 5)


@pytest.mark.parametrize("compression", ALL, ids=str)
@settings(deadline=None, max_examples=20)
@given(st.lists(st.binary(max_size=2000), max_size=8))
def test_small_streams_come_back(compression: Compression, pieces: list[bytes]) -> None:
    assert _decompress(compression, _compress(compression, pieces)) == b"".join(pieces)


@pytest.mark.parametrize("compression", ALL, ids=str)
@pytest.mark.parametrize("size", [0, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_streams_around_the_size_of_a_block_come_back(compression: Compression, size: int) -> None:
    data = MIXED[:size]
    assert _decompress(compression, _compress(compression, _cut(data, 300_000))) == data


@pytest.mark.parametrize("compression", ALL, ids=str)
def test_the_sizes_of_the_writes_do_not_matter(compression: Compression) -> None:
    results = {_compress(compression, _cut(MIXED, size)) for size in (4_000, 1 << 18, 1 << 20, 10 << 20)}
    assert len(results) == 1


@pytest.mark.parametrize("compression", ALL, ids=str)
def test_the_number_of_cores_does_not_matter(compression: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_cores(count: int) -> bytes:
        monkeypatch.setattr(os, "cpu_count", lambda: count)
        module._pool.cache_clear()
        return _compress(compression, _cut(MIXED, 1 << 18))

    try:
        assert with_cores(1) == with_cores(2) == with_cores(7)
    finally:
        monkeypatch.undo()
        module._pool.cache_clear()


def test_gzip_is_one_member_without_a_name_or_a_time() -> None:
    packed = _compress(Compression(), _cut(MIXED, 1 << 18))
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    stream = zlib.decompressobj(31)
    assert stream.decompress(packed) == MIXED
    assert stream.eof
    assert not stream.unused_data


def test_the_gzip_program_agrees() -> None:
    packed = _compress(Compression("gzip", 6), _cut(MIXED, 1 << 18))
    assert subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True).stdout == MIXED


def test_a_higher_level_gives_less() -> None:
    text = Path(tarfile.__file__).read_bytes()
    for name, levels in (("gzip", (0, 2, 6)), ("zstd", (1, 19))):
        sizes = [len(_compress(Compression.of(name, level), [text])) for level in levels]
        assert sizes == sorted(sizes, reverse=True)


def test_blocks_know_what_was_before_them() -> None:
    noise = hashlib.shake_256(b"").digest(30_000)
    block = noise + bytes((1 << 20) - 2 * len(noise)) + noise  # each begins as the one before ends
    packed = len(_compress(Compression(), [block * 8]))
    assert packed < 8 * (len(noise) + 15_000)


def test_gzip_holds_little_of_a_long_stream() -> None:
    work = compressor(Compression())
    given_ = taken = 0
    for _ in range(64):
        given_ += 1 << 20
        taken += sum(len(piece) for piece in work.write(os.urandom(1 << 20)))
        assert given_ - taken < (2 * (os.cpu_count() or 1) + 3) << 20


@pytest.mark.parametrize(
    ("name", "wanted"), [("gzip", OCI_LAYER_GZIP), ("zstd", OCI_LAYER_ZSTD), ("uncompressed", OCI_LAYER)]
)
def test_each_has_its_media_type(name: str, wanted: str) -> None:
    assert Compression.of(name).media_type == wanted


def test_levels_have_defaults() -> None:
    assert Compression.of("gzip") == Compression()
    assert Compression.of("zstd") == Compression("zstd", 3)
    assert str(Compression.of("zstd", 19)) == "zstd-19"


@pytest.mark.parametrize(("name", "level"), [("lz4", None), ("gzip", 10), ("zstd", 0), ("zstd", 23), ("gzip", -1)])
def test_what_is_not_there_is_refused(name: str, level: int | None) -> None:
    with pytest.raises(UsageError):
        Compression.of(name, level)


def test_a_process_that_compressed_ends_at_once() -> None:
    script = (
        "from wherry.layers.compression import *\n"
        "c = compressor(Compression()); list(c.write(bytes(3 << 20))); list(c.finish())"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)

"""Reading layers: every compression, everybody's tar, and what is damaged or hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.layers import tar
from wherry.layers.entry import Entry
from wherry.layers.reader import decompressed, entries

Pack = Callable[[bytes], bytes]

PACKS: dict[str, Pack] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
pack = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS.keys())


def _archive(*items: tuple[Entry, bytes]) -> bytes:
    return b"".join(tar.header(entry) + data + tar.padding(len(data)) for entry, data in items) + tar.END


def _file(path: str, data: bytes) -> tuple[Entry, bytes]:
    return Entry(path, "file", size=len(data)), data


NOISE = os.urandom(300_000)
TWO = _archive(_file("a", NOISE), _file("b", b"second"))


def _read(data: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, file.read() if file else b"") for entry, file in entries(io.BytesIO(data))]


@pack
def test_every_compression_is_told_by_its_first_bytes(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(pack(TWO))
    found = [(entry.path, file.read() if file else b"") for entry, file in entries(tmp_path / "layer")]
    assert found == [("a", NOISE), ("b", b"second")]


@pack
def test_decompressed_gives_the_stream(pack: Pack) -> None:
    with decompressed(io.BytesIO(pack(TWO))) as stream:
        assert stream.read() == TWO


def test_an_open_file_is_read_from_where_it_is_and_stays_open() -> None:
    file = io.BytesIO(b"before" + gzip.compress(TWO))
    file.seek(6)
    assert [entry.path for entry, _ in entries(file)] == ["a", "b"]
    assert not file.closed


def test_gzip_members_in_a_row_are_one_stream() -> None:
    assert len(_read(gzip.compress(TWO[:1000]) + gzip.compress(TWO[1000:]))) == 2


def test_zstd_frames_in_a_row_are_one_stream() -> None:
    packed = zstandard.ZstdCompressor().compress
    assert len(_read(packed(TWO[:1000]) + packed(TWO[1000:]))) == 2


def test_data_that_nobody_reads_is_skipped() -> None:
    assert [entry.path for entry, _ in entries(io.BytesIO(TWO))] == ["a", "b"]


def test_gnu_tars_archives_are_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / ("long" * 50)).mkdir(parents=True)
    (root / ("long" * 50) / ("name" * 40)).write_bytes(b"data")
    (root / "link").symlink_to("x" * 150)
    os.link(root / ("long" * 50) / ("name" * 40), root / "same")
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek((1 << 20) - 1)
        file.write(b"!")
    for form in ("gnu", "pax", "posix"):
        made = subprocess.run(
            ["tar", "-C", root, f"--format={form}", "--sparse", "--sort=name", "-cf", "-", "."],
            capture_output=True,
            check=True,
        )
        found = {entry.path: (entry.kind, entry.link, data) for entry, data in _read(made.stdout)}
        long = "long" * 50 + "/" + "name" * 40
        assert found[""] == ("dir", "", b"")
        assert found[long] == ("file", "", b"data")
        assert found["link"] == ("symlink", "x" * 150, b"")
        assert found["same"] == ("hardlink", long, b"")
        assert found["sparse"] == ("file", "", bytes((1 << 20) - 1) + b"!")


@pytest.mark.parametrize("form", ["old", "0.0", "0.1", "1.0"])
def test_a_sparse_file_that_claims_exabytes_is_refused(form: str) -> None:
    size = 1 << 60
    info = tarfile.TarInfo("huge")
    if form == "old":
        info.type = tarfile.GNUTYPE_SPARSE
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[483:495] = b"\x80" + size.to_bytes(11, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data = bytes(header)
    else:
        info.pax_headers = {
            "0.0": {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": "0"},
            "0.1": {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(size)},
            "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)},
        }[form]
        info.size = 512 if form == "1.0" else 0
        data = info.tobuf(tarfile.PAX_FORMAT) + (b"0\n".ljust(512, b"\0") if form == "1.0" else b"")
    with pytest.raises(WherryError, match="'huge' makes 1152921504606846976 bytes of sparse files"):
        next(entries(io.BytesIO(data + tar.END)))


@pack
def test_a_layer_that_breaks_off_is_damaged(pack: Pack) -> None:
    packed = pack(TWO)
    with pytest.raises(WherryError, match="layer is damaged"):
        _read(packed[: len(packed) // 2])


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])
def test_a_compressed_layer_with_a_wrong_byte_is_damaged(name: str) -> None:
    packed = bytearray(PACKS[name](TWO))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(WherryError, match="damaged"):
        _read(bytes(packed))


def test_damage_shows_where_the_data_is_read() -> None:
    found = entries(io.BytesIO(gzip.compress(TWO)[:-5000]))
    _, data = next(found)
    assert data is not None
    with pytest.raises(WherryError, match="damaged"):
        while data.read(1 << 16):
            pass


def test_the_error_names_the_archive() -> None:
    with pytest.raises(WherryError, match=r"hello\.deb is damaged"):
        list(entries(io.BytesIO(b"garbage" * 200), "hello.deb"))


def test_a_broken_header_in_the_middle_is_not_the_end() -> None:
    broken = bytearray(TWO)
    place = TWO.index(tar.header(_file("b", b"second")[0]))
    broken[place : place + 100] = bytes([1]) * 100
    with pytest.raises(WherryError, match="damaged"):
        _read(bytes(broken))


def test_no_archive_at_all_is_damaged() -> None:
    with pytest.raises(WherryError, match="damaged"):
        _read(b"")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2047), st.binary(min_size=1, max_size=8), st.sampled_from(["plain", "gzip", "zstd", "xz"]))
def test_any_damage_is_an_error_of_ours_or_none(place: int, other: bytes, name: str) -> None:
    data = bytearray(_archive(_file("a" * 150, b"data"), (Entry("ä", "symlink", link="b"), b"")))
    packed = bytearray(PACKS[name](bytes(data)))
    place %= len(packed)
    packed[place : place + len(other)] = other
    with suppress(WherryError):
        _read(bytes(packed))


def _info(**more: object) -> bytes:
    info = tarfile.TarInfo("name")
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.PAX_FORMAT) + tar.END


@pytest.mark.parametrize(
    "raw",
    [
        _info(name="../up"),
        _info(name="a/../../up"),
        _info(type=tarfile.LNKTYPE, linkname="../up"),
        _info(type=b"Z"),
        _info(pax_headers={"path": "a\0b"}),
        _info(type=tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"}),
        _info(pax_headers={"mtime": "inf"}),
        _info(pax_headers={"mtime": "nan"}),
        _info(pax_headers={"uid": "-5"}),
        _info(pax_headers={"gid": str(1 << 40)}),
        _info(pax_headers={"size": "-512"}),
        _info(pax_headers={"comment": "x" * (2 << 20)}),
    ],
    ids=[
        "parent",
        "parent-inside",
        "hard-link-to-parent",
        "unknown-type",
        "nul-in-path",
        "nul-in-link",
        "endless-time",
        "no-time",
        "negative-owner",
        "huge-owner",
        "negative-size",
        "huge-header",
    ],
)
def test_hostile_headers_are_refused(raw: bytes) -> None:
    with pytest.raises(WherryError):
        for _, data in entries(io.BytesIO(raw)):
            if data:
                data.read()


def test_a_name_of_a_gigabyte_does_not_fill_the_memory() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 30
    with pytest.raises(WherryError, match="damaged"):
        _read(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 4096)


def test_names_that_are_not_utf8_survive_in_the_c_locale(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9-\xc3\xa4")
    (tmp_path / "x.tar").write_bytes(_archive((Entry(name, "file", xattrs={"user.x": b"\xff\0"}), b"")))
    script = (
        "import sys; from pathlib import Path; from wherry.layers.reader import entries\n"
        "for e, _ in entries(Path(sys.argv[1])): print(ascii(e.path), e.xattrs)"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", script, str(tmp_path / "x.tar")],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [ascii(name), "{'user.x':", repr(b"\xff\0") + "}"]

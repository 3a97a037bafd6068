"""Reading .deb files."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard

from wherry.debian.deb import contents, control
from wherry.errors import WherryError


def ar(members: Mapping[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data)
        parts.append(b"\n" * (len(data) % 2))
    return b"".join(parts)


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CONTROL = gzip.compress(tar({"./control": b"Package: a\nVersion: 1\n", "./postinst": b"#!/bin/sh\n"}))
DATA = tar({"./usr/bin/a": b"hello", "./etc/a.conf": b"x" * 5000})


def write(path: Path, name: str, data: bytes) -> Path:
    deb = path / "a.deb"
    deb.write_bytes(ar({"debian-binary": b"2.0\n", "control.tar.gz": CONTROL, name: data}))
    return deb


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("data.tar", bytes),
        ("data.tar.gz", gzip.compress),
        ("data.tar.xz", lzma.compress),
        ("data.tar.zst", lambda data: zstandard.ZstdCompressor().compress(data)),
    ],
)
def test_every_compression_that_dpkg_writes_is_read(name: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    deb = write(tmp_path, name, pack(DATA))
    found = {entry.path: reader.read() for entry, reader in contents(deb, "a") if reader}
    assert found == {"usr/bin/a": b"hello", "etc/a.conf": b"x" * 5000}


def test_control_files_are_read(tmp_path: Path) -> None:
    about = control(write(tmp_path, "data.tar", DATA), "a")
    assert about.text == "Package: a\nVersion: 1\n"
    assert about.others == {"postinst": "#!/bin/sh\n"}


@pytest.mark.parametrize("size", [0, 7, 100, 300])
def test_a_file_cut_off_is_refused(size: int, tmp_path: Path) -> None:
    deb = write(tmp_path, "data.tar.xz", lzma.compress(DATA))
    deb.write_bytes(deb.read_bytes()[:size])
    with pytest.raises(WherryError, match="a 1"):
        list(contents(deb, "a 1"))


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    packed = bytearray(lzma.compress(DATA))
    packed[60:70] = b"##########"
    with pytest.raises(WherryError, match="damaged"):
        list(contents(write(tmp_path, "data.tar.xz", bytes(packed)), "a"))


def test_a_file_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WherryError, match="leads out"):
        list(contents(write(tmp_path, "data.tar", tar({"./../etc/passwd": b"root"})), "a"))

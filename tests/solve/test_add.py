"""ADD of archives: what is one, what becomes of what is there, and what hostile ones do not reach."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from tests.solve.copying import Files, Kitchen

from wherry.errors import WherryError
from wherry.layers.entry import Entry
from wherry.store import Store


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    context = tmp_path / "context"
    context.mkdir()
    return Kitchen(store, context)


def member(name: str, data: str = "", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode, info.uid, info.gid, info.mtime = 0o640, 11, 12, 77
    for key, value in more.items():
        setattr(info, key, value)
    return info, data.encode()


def folder(name: str, **more: object) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, "", **{"type": tarfile.DIRTYPE, "mode": 0o750, **more})


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str, mode: int = 0o640) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target, mode=mode)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as written:
        for info, data in members:
            written.addfile(info, io.BytesIO(data))
    return file.getvalue()


SIMPLE = archive(folder("d"), member("d/x", "X"), link("d/l", "x"), member("./y", "Y"))
UNPACKED = {"w": "dir", "w/d": "dir", "w/d/l": "-> x", "w/d/x": "X", "w/y": "Y"}


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
def test_archives_are_told_by_their_content(kitchen: Kitchen, compress: Callable[[bytes], bytes]) -> None:
    (kitchen.context / "file.txt").write_bytes(compress(SIMPLE))
    assert kitchen.files(kitchen.copy("file.txt", "/w", unpack=True)) == UNPACKED
    assert kitchen.files(kitchen.copy("file.*", "/w/", unpack=True)) == UNPACKED


@pytest.mark.parametrize(
    "data",
    [b"", b"text", bytes(1024), bytes(512), gzip.compress(b"text"), gzip.compress(b""), b"\x1f\x8b", SIMPLE[:100]],
)
def test_what_is_no_archive_is_copied(kitchen: Kitchen, data: bytes) -> None:
    (kitchen.context / "file.tar").write_bytes(data)
    assert list(kitchen.files(kitchen.copy("file.tar", "/w/", unpack=True))) == ["w", "w/file.tar"]


def test_an_archive_is_a_file_where_it_is_not_to_be_unpacked(kitchen: Kitchen) -> None:
    (kitchen.context / "file.tar").write_bytes(SIMPLE)
    assert list(kitchen.files(kitchen.copy("file.tar", "/w/"))) == ["w", "w/file.tar"]


def test_an_archive_in_a_directory_stays_what_it_is(kitchen: Kitchen) -> None:
    (kitchen.context / "d").mkdir()
    (kitchen.context / "d" / "file.tar").write_bytes(SIMPLE)
    assert list(kitchen.files(kitchen.copy("d", "/w/", unpack=True))) == ["w", "w/file.tar"]


def test_what_is_unpacked_keeps_its_attributes(kitchen: Kitchen) -> None:
    capability = b"\1\0\0\2"
    special = member("p", pax_headers={"SCHILY.xattr.security.capability": capability.decode()}, mode=0o4755)
    (kitchen.context / "a").write_bytes(
        archive(
            folder("d"),
            special,
            hard("q", "p", 0o2755),  # what is said of a link is said of the file
            member("deep/er/x", "X"),
            member("dev", type=tarfile.CHRTYPE),
        )
    )
    tree = kitchen.tree(kitchen.copy("a", "/w", unpack=True, mode="777"))
    looks = {path: (entry.kind, entry.mode, entry.uid, entry.gid) for path, entry in tree.items()}
    assert looks == {
        "w": ("dir", 0o755, 0, 0),
        "w/d": ("dir", 0o750, 11, 12),
        "w/deep": ("dir", 0o755, 0, 0),
        "w/deep/er": ("dir", 0o755, 0, 0),
        "w/deep/er/x": ("file", 0o640, 11, 12),
        "w/dev": ("char", 0o640, 11, 12),
        "w/p": ("file", 0o2755, 11, 12),
        "w/q": ("file", 0o2755, 11, 12),
    }
    assert tree["w/p"].xattrs == {"security.capability": capability}
    assert tree["w/p"].mtime == 77
    owned = kitchen.tree(kitchen.copy("a", "/w", unpack=True, owner="5:6"))
    assert {path for path, entry in owned.items() if entry.uid != 5} == {"w/deep", "w/deep/er"}


BEFORE: Files = {
    "w": None,
    "w/file": "old",
    "w/dir": Entry("", "dir", 0o700, uid=1, gid=1),
    "w/dir/kept": "K",
    "w/full": None,
    "w/full/gone": "G",
    "w/inside": "-> dir",
    "w/outside": "-> /etc",
    "w/climbing": "-> ../../../etc",
    "etc": None,
    "etc/passwd": "P",
}


@pytest.mark.parametrize(
    ("members", "expected", "unexpected"),
    [
        ([member("file", "new")], {"w/file": "new"}, []),
        ([folder("file")], {"w/file": "dir"}, []),
        ([folder("dir"), member("dir/x", "X")], {"w/dir": "dir", "w/dir/kept": "K", "w/dir/x": "X"}, []),
        ([member("full", "F")], {"w/full": "F"}, ["w/full/gone"]),
        ([member("full", "F"), folder("full")], {"w/full": "dir"}, ["w/full/gone"]),
        ([link("file", "dir")], {"w/file": "-> dir"}, []),
        ([member("inside/x", "X")], {"w/dir/x": "X", "w/inside": "-> dir"}, []),
        ([member("outside/x", "X")], {"w/etc/x": "X", "w/outside": "-> /etc"}, ["etc/x"]),
        ([member("inside", "X")], {"w/inside": "X", "w/dir/kept": "K"}, []),
        ([folder("inside")], {"w/inside": "dir", "w/dir/kept": "K"}, []),
        ([link("n", "/etc"), member("n/x", "X")], {"w/n": "-> /etc", "w/etc/x": "X"}, ["etc/x"]),
        ([folder("dir/sub"), link("n", "dir/../dir/sub"), member("n/x", "X")], {"w/dir/sub/x": "X"}, ["x"]),
        ([member("/abs", "X")], {"w/abs": "X"}, ["abs"]),
        ([member("a", "1"), member("a", "2")], {"w/a": "2"}, []),
        ([member("a", "1"), hard("b", "a"), member("a", "2")], {"w/a": "2", "w/b": "1"}, []),
        ([hard("b", "file")], {"w/file": "old", "w/b": "=w/file"}, []),
        ([hard("b", "/file")], {"w/file": "old", "w/b": "=w/file"}, []),
    ],
)
def test_what_becomes_of_what_is_there(
    kitchen: Kitchen,
    members: list[tuple[tarfile.TarInfo, bytes]],
    expected: dict[str, str],
    unexpected: list[str],
) -> None:
    (kitchen.context / "a").write_bytes(archive(*members))
    files = kitchen.files(kitchen.copy("a", "/w", BEFORE, unpack=True))
    if expected.get("w/b") == "=w/file":  # either of two names is the first
        files = {**files, "w/file": "old", "w/b": "=w/file"} if files["w/file"] == "=w/b" else files
    assert {path: files.get(path) for path in expected} == expected
    assert not set(unexpected) & set(files)
    assert files["etc/passwd"] == "P"


@pytest.mark.parametrize(
    "members",
    [
        [member("../x", "X")],
        [member("a/../../x", "X")],
        [hard("b", "../etc/passwd")],
        [hard("b", "etc/passwd")],
        [hard("b", "dir")],
        [member("file/x", "X")],
        [member("climbing/x", "X")],
        [link("n", ".."), member("n/x", "X")],
        [link("loop", "loop"), member("loop/x", "X")],
    ],
)
def test_an_archive_that_leads_out_or_nowhere_is_refused(
    kitchen: Kitchen, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    (kitchen.context / "a").write_bytes(archive(*members))
    with pytest.raises(WherryError):
        kitchen.copy("a", "/w", BEFORE, unpack=True)
    assert not (kitchen.context.parent / "x").exists()


def test_an_archive_from_a_stage_or_damaged_midway(kitchen: Kitchen) -> None:
    assert kitchen.files(kitchen.copy("/a", "/w", stage={"a": SIMPLE}, unpack=True)) == UNPACKED
    (kitchen.context / "a").write_bytes(gzip.compress(archive(member("x", os.urandom(50_000).hex())))[:40_000])
    with pytest.raises(WherryError, match="damaged"):
        kitchen.copy("a", "/w", unpack=True)


def test_the_destination_of_an_archive_is_a_directory(kitchen: Kitchen) -> None:
    (kitchen.context / "a").write_bytes(SIMPLE)
    with pytest.raises(WherryError, match="mkdir /w: not a directory"):
        kitchen.copy("a", "/w", {"w": "file"}, unpack=True)
    linked = kitchen.files(kitchen.copy("a", "/l", {"t": None, "l": "-> t"}, unpack=True))
    assert linked["t/y"] == "Y"

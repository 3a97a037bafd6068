"""Tar headers: what we write, other programs and we ourselves read as it was meant."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.layers import tar
from wherry.layers.entry import Entry, Kind, parents, relative
from wherry.layers.reader import entries

# Any bytes but NUL and "/", as a file system may hold them; mostly text, sometimes long.
_part = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.binary(min_size=1, max_size=40).map(os.fsdecode),
    st.sampled_from(["x" * 100, "x" * 101, "x" * 155, "x" * 156, "ä" * 60, "x" * 255]),
).filter(lambda part: part not in {".", ".."} and "/" not in part and "\0" not in part)
_path = st.lists(_part, min_size=1, max_size=6).map("/".join)
_number = st.one_of(st.integers(0, 0o7777777), st.integers(0, (1 << 32) - 1))
_xattrs = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz._", min_size=1, max_size=20).map(lambda name: f"user.{name}"),
    st.binary(max_size=40),
    max_size=3,
)


@st.composite
def _entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    kind: Kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]))
    data = draw(st.binary(max_size=1500)) if kind == "file" else b""
    device = kind in {"char", "block"}
    return (
        Entry(
            draw(_path),
            kind,
            mode=draw(st.integers(0, 0o7777)),
            size=len(data),
            uid=draw(_number),
            gid=draw(_number),
            mtime=draw(st.integers(-(1 << 40), 1 << 40)),
            link=draw(_path) if kind in {"symlink", "hardlink"} else "",
            major=draw(st.integers(0, 0o7777777)) if device else 0,
            minor=draw(st.integers(0, 0o7777777)) if device else 0,
            xattrs=draw(_xattrs),
        ),
        data,
    )


def _archive(items: list[tuple[Entry, bytes]]) -> bytes:
    return b"".join(tar.header(entry) + data + tar.padding(len(data)) for entry, data in items) + tar.END


@given(st.lists(_entries(), max_size=5))
def test_what_is_written_is_read_back(items: list[tuple[Entry, bytes]]) -> None:
    found = [(entry, data.read() if data else b"") for entry, data in entries(io.BytesIO(_archive(items)))]
    assert found == items


@given(st.lists(_entries(), max_size=5))
def test_python_reads_what_is_written(items: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(_archive(items)), encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
        assert [(one.name, one.linkname, one.mode, one.uid, one.gid, one.mtime, one.size) for one in members] == [
            (entry.path, entry.link, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size) for entry, _ in items
        ]


@given(st.lists(_entries(), max_size=5))
def test_every_header_is_whole_blocks(items: list[tuple[Entry, bytes]]) -> None:
    for entry, data in items:
        assert len(tar.header(entry)) % 512 == 0
        assert (len(data) + len(tar.padding(len(data)))) % 512 == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_entries(), min_size=1, max_size=5))
def test_gnu_tar_lists_what_is_written(tmp_path: Path, items: list[tuple[Entry, bytes]]) -> None:
    (tmp_path / "x.tar").write_bytes(_archive(items))
    words = ["tar", "--quoting-style=literal", "--null", "--numeric-owner", "-P", "--show-transformed-names", "-tf"]
    done = subprocess.run([*words, str(tmp_path / "x.tar")], capture_output=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    slash = {"dir": b"/"}
    wanted = b"".join(os.fsencode(entry.path) + slash.get(entry.kind, b"") + b"\n" for entry, _ in items)
    assert done.stdout == wanted


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), path=_path, mode=st.integers(0o400, 0o777), mtime=st.integers(0, 1 << 33))
def test_gnu_tar_unpacks_what_is_written(tmp_path: Path, data: bytes, path: str, mode: int, mtime: int) -> None:
    archive = _archive([(Entry(path, "file", mode, size=len(data), mtime=mtime), data)])
    words = ["tar", "--to-command=cat; echo $TAR_MODE $TAR_MTIME", "-xf", "-"]
    done = subprocess.run(words, input=archive, capture_output=True, cwd=tmp_path, check=True, env={"PATH": "/bin"})
    assert done.stdout == data + f"{mode:04o} {mtime}\n".encode()


def test_the_same_entry_gives_the_same_header() -> None:
    one = Entry("a", "file", xattrs={"user.b": b"1", "user.a": b"2"})
    other = Entry("a", "file", xattrs={"user.a": b"2", "user.b": b"1"})
    assert tar.header(one) == tar.header(other)


def test_a_plain_entry_needs_no_extended_header() -> None:
    assert len(tar.header(Entry("usr/bin/python", "file", 0o755, size=10))) == 512


def test_a_long_ascii_path_fits_the_prefix() -> None:
    assert len(tar.header(Entry("d" * 120 + "/" + "f" * 90, "file"))) == 512


def test_a_file_of_eight_gigabytes_has_its_size() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar.header(Entry("a", "file", size=1 << 33)))) as archive:
        first = archive.next()
    assert first is not None
    assert first.size == 1 << 33


def test_the_root_itself_has_a_header() -> None:
    ((entry, _),) = entries(io.BytesIO(tar.header(Entry("", "dir", 0o755)) + tar.END))
    assert entry == Entry("", "dir", 0o755)


def test_a_number_that_no_header_holds_is_refused() -> None:
    with pytest.raises(WherryError, match="device"):
        tar.header(Entry("dev", "char", major=1 << 30))


def test_an_attribute_that_no_header_holds_is_refused() -> None:
    with pytest.raises(WherryError, match="attribute"):
        tar.header(Entry("file", "file", xattrs={"user.a=b": b""}))


@pytest.mark.parametrize("entry", [Entry("a\0b", "file"), Entry("a", "symlink", link="a\0b")])
def test_a_name_with_a_nul_is_refused(entry: Entry) -> None:
    with pytest.raises(WherryError, match="NUL"):
        tar.header(entry)


@pytest.mark.parametrize(
    ("given_", "wanted"), [("/a/b", "a/b"), ("./a", "a"), ("a//b/./c/", "a/b/c"), ("./", ""), ("/", ""), ("...", "...")]
)
def test_paths_are_held_relative(given_: str, wanted: str) -> None:
    assert relative(given_) == wanted


@pytest.mark.parametrize("path", ["..", "a/../b", "/..", "a/..", "a\0b"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(WherryError, match="leads out"):
        relative(path)


def test_the_directories_above_a_path_come_outermost_first() -> None:
    assert parents("a/b/c") == ["a", "a/b"]
    assert parents("a") == []


@given(
    st.text(st.characters(max_codepoint=200), max_size=110),
    st.sampled_from(["file", "dir", "symlink", "hardlink", "fifo", "char"]),
    st.integers(0, 0o7777),
    st.integers(-1, 1 << 34),
    st.integers(-1, 1 << 22),
    st.integers(-1, 1 << 34),
    st.text(st.characters(max_codepoint=130), max_size=110),
)
def test_the_short_way_to_a_header_gives_the_same_or_nothing(
    path: str, kind: Kind, mode: int, size: int, owner: int, mtime: int, link: str
) -> None:
    short = tar.plain_header(path, kind, mode, size, owner, owner, mtime, link)
    if short is not None:
        assert short == tar.header(Entry(path, kind, mode, size, owner, owner, mtime, link))


def test_most_files_take_the_short_way() -> None:
    for kind, link in (("file", ""), ("dir", ""), ("symlink", "~" * 100), ("hardlink", "a")):
        assert tar.plain_header("~" * 99, kind, 0o7777, 8, 1, 2, 3, link) is not None  # type: ignore[arg-type]

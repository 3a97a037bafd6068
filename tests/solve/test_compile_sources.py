"""Source trees to build in: what an archive holds is unpacked into its folder, and nowhere else."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.solve.test_steps import task, work_in

from wherry.errors import WherryError
from wherry.fetch import Download
from wherry.solve.compile import sources
from wherry.solve.compile.sources import opened
from wherry.store import Store
from wherry.wheels.distribution import Project, Source

Member = tuple[str, bytes]
Opened = Callable[..., dict[str, str]]

OUTSIDE = ("../outside", "/outside", "x/../../outside", "..", "./../../outside")


def tar(*members: tarfile.TarInfo | Member, mode: str = "w:gz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:  # type: ignore[call-overload]
        for one in members:
            info, content = (tarfile.TarInfo(one[0]), one[1]) if isinstance(one, tuple) else (one, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def link(name: str, to: str) -> tarfile.TarInfo:
    return special(name, tarfile.SYMTYPE, to)


def hard(name: str, to: str) -> tarfile.TarInfo:
    return special(name, tarfile.LNKTYPE, to)


def packed(members: Sequence[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def tree(root: Path) -> dict[str, str]:
    """Files with their content, links with an arrow."""
    paths = [path for path in root.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        path.relative_to(root).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in paths
    }


@pytest.fixture
def unpack(tmp_path: Path, store: Store) -> Opened:
    """Opens an archive; gives the files of the project in it. Nothing of it may stay, nor be anywhere else."""

    def unpacked(data: bytes, name: str = "x-1.0.tar.gz", subdirectory: str = "") -> dict[str, str]:
        archive = tmp_path / "archives" / name
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(data)
        download = Download(archive.as_uri(), {"sha256": hashlib.sha256(data).hexdigest()}, len(data), name)
        source = Source("x", "1.0", download, subdirectory=subdirectory)
        try:
            with opened(source, work_in(tmp_path, store), task()) as (folder, below):
                return tree(folder / below)
        finally:
            assert sorted(path.name for path in tmp_path.iterdir()) == ["archives", "store"]
            assert [path for path in store.scratch().rglob("*") if "source-" in str(path)] == []
            assert not os.path.lexists("/outside")
            assert not [path for path in tmp_path.rglob("*") if path.name == "outside"]

    return unpacked


def refusal(unpack: Opened, data: bytes, name: str = "x-1.0.tar.gz") -> str:
    with pytest.raises(WherryError) as caught:
        unpack(data, name)
    assert "the archive of x 1.0 cannot be unpacked" in str(caught.value)
    return str(caught.value)


# -- what is fine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_sdist_is_unpacked_and_its_one_folder_is_the_project(unpack: Opened, mode: str) -> None:
    data = tar(("x-1.0/pyproject.toml", b"toml"), ("x-1.0/src/x.py", b"code"), mode=mode)
    assert unpack(data) == {"pyproject.toml": "toml", "src/x.py": "code"}


def test_a_zip_archive_is_unpacked(unpack: Opened) -> None:
    assert unpack(packed([("x-1.0/", b""), ("x-1.0/a", b"1")]), "x-1.0.zip") == {"a": "1"}


def test_an_archive_without_a_folder_is_the_project(unpack: Opened) -> None:
    assert unpack(tar(("setup.py", b"1"), ("x.py", b"2"))) == {"setup.py": "1", "x.py": "2"}


def test_the_project_may_lie_in_a_subdirectory(unpack: Opened) -> None:
    assert unpack(tar(("x-1.0/a/b", b"1")), subdirectory="a") == {"b": "1"}


def test_links_inside_stay_links(unpack: Opened) -> None:
    members = (("x/a", b"1"), link("x/b", "a"), link("x/d/c", "../a"), link("x/gone", "nothing"))
    assert unpack(tar(("x/d/e", b"2"), *members)) == {
        "a": "1", "b": "-> a", "d/c": "-> ../a", "d/e": "2", "gone": "-> nothing",
    }  # fmt: skip


def test_a_hard_link_becomes_a_copy(unpack: Opened) -> None:
    assert unpack(tar(("x/a", b"1"), hard("x/b", "x/a"))) == {"a": "1", "b": "1"}


def test_programs_stay_programs_and_other_modes_do_not_count(tmp_path: Path, store: Store) -> None:
    odd, program = tarfile.TarInfo("x/odd"), tarfile.TarInfo("x/program")
    odd.mode, program.mode = 0o6400, 0o4711
    data = tar(odd, program)
    (tmp_path / "x.tar.gz").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    source = Source("x", "1.0", Download((tmp_path / "x.tar.gz").as_uri(), {"sha256": digest}, None, "x.tar.gz"))
    with opened(source, work_in(tmp_path, store), task()) as (folder, _):
        assert (folder / "odd").stat().st_mode & 0o7777 == 0o644
        assert (folder / "program").stat().st_mode & 0o7777 == 0o755


def test_a_project_is_copied_from_beside_the_context_too(tmp_path: Path, store: Store) -> None:
    for path in ("app", "lib"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "setup.py").write_text(path)
    with opened(Project("lib", "../lib"), work_in(tmp_path / "app", store), task()) as (folder, below):
        (folder / below / "setup.py").write_text("changed")
    assert (tmp_path / "lib" / "setup.py").read_text() == "lib"


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_tar_member_that_lies_outside_is_refused(unpack: Opened, name: str) -> None:
    assert "lies outside of it" in refusal(unpack, tar(("x/a", b"1"), (name, b"2")))


@pytest.mark.parametrize("name", [*OUTSIDE, "..\\outside", "x\\..\\..\\outside"])
def test_a_zip_member_that_lies_outside_is_refused(unpack: Opened, name: str) -> None:
    assert "lies outside of it" in refusal(unpack, packed([("x/a", b"1"), (name, b"2")]), "x-1.0.zip")


@pytest.mark.parametrize("to", ["../../outside", "/outside", "/etc/passwd", "a/../../../outside"])
def test_a_link_that_leads_out_is_refused(unpack: Opened, to: str) -> None:
    assert "lies outside of it" in refusal(unpack, tar(("x/a", b"1"), link("x/b", to)))


def test_links_that_lead_out_together_are_refused(unpack: Opened) -> None:
    up = link("x/d/e/up", "../../..")
    members = (("x/d/e/f", b"1"), up, link("x/file", "d/e/up/../../../../../../../etc/passwd"))
    refusal(unpack, tar(*members))
    refusal(unpack, tar(("x/d/e/f", b"1"), link("x/file", "d/e/up/../.."), up))


def test_a_file_cannot_be_written_through_a_link(unpack: Opened) -> None:
    data = tar(("x/d/f", b"1"), link("x/a", "d"), ("x/a/new", b"2"))
    assert unpack(data) == {"a/new": "2", "d/f": "1"}
    data = tar(link("x/a", "d/f"), ("x/d/f", b"1"), ("x/a", b"2"))
    assert unpack(data) == {"a": "2", "d/f": "1"}


def test_a_link_cannot_be_made_through_links_that_lead_out(unpack: Opened, tmp_path: Path) -> None:
    depth = "../" * 3
    members = (("x/d/e/f", b"1"), link("x/d/e/up", "../../.."), link("x/out", f"d/e/up/{depth}".rstrip("/")))
    refusal(unpack, tar(*members, link("x/out/outside", "a")))


def test_a_zip_has_no_links(unpack: Opened) -> None:
    info = zipfile.ZipInfo("x/link")
    info.external_attr = 0o120777 << 16
    assert unpack(packed([("x/a", b"1"), (info, b"/etc/passwd")]), "x-1.0.zip") == {"a": "1", "link": "/etc/passwd"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(unpack: Opened, kind: bytes) -> None:
    assert "neither a file nor a folder nor a link" in refusal(unpack, tar(("x/a", b"1"), special("x/null", kind)))


@pytest.mark.parametrize("to", ["x/nothing", "/etc/passwd", "../../etc/passwd", "x/b"])
def test_a_hard_link_to_what_the_archive_does_not_have_is_refused(unpack: Opened, to: str) -> None:
    refusal(unpack, tar(("x/a", b"1"), hard("x/b", to)))


def test_a_file_in_place_of_a_folder_is_refused(unpack: Opened) -> None:
    refusal(unpack, tar(("x/a", b"1"), ("x/a/b", b"2")))
    refusal(unpack, tar(("x/a/b", b"2"), ("x/a", b"1")))
    refusal(unpack, packed([("x/a", b"1"), ("x/a/b", b"2")]), "x-1.0.zip")


@pytest.mark.parametrize("name", ["x-1.0.tar.gz", "x-1.0.zip"])
def test_what_is_larger_than_any_source_is_refused(unpack: Opened, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sources, "_LARGEST", 1000)
    parts = [(f"x/{number}", bytes(400)) for number in range(4)]
    assert "more than any source distribution" in refusal(unpack, packed(parts) if "zip" in name else tar(*parts), name)


def test_copies_of_one_file_count_each(unpack: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LARGEST", 1000)
    copies = [hard(f"x/{number}", "x/a") for number in range(4)]
    assert "more than any source distribution" in refusal(unpack, tar(("x/a", bytes(400)), *copies))


def test_more_files_than_any_source_has_are_refused(unpack: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MOST", 10)
    folders = [special(f"x/{number}", tarfile.DIRTYPE) for number in range(20)]
    assert "more than any source distribution" in refusal(unpack, tar(*folders))


@pytest.mark.parametrize("cut", [200, 2000, 4000])
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_an_archive_that_breaks_off_is_refused(unpack: Opened, cut: int, mode: str) -> None:
    refusal(unpack, tar(("x/a", os.urandom(5000)), mode=mode)[:-cut])


def test_a_damaged_archive_is_refused(unpack: Opened) -> None:
    data = bytearray(tar(("x/a", b"word " * 50000)))
    data[40:80] = bytes(40)
    refusal(unpack, bytes(data))
    data = bytearray(packed([("x/a", b"1" * 500)]))
    data[40:60] = b"9" * 20
    refusal(unpack, bytes(data), "x-1.0.zip")


def test_what_is_no_archive_is_refused(unpack: Opened) -> None:
    refusal(unpack, b"<html>not here</html>")
    refusal(unpack, b"")

"""Layers onto a directory, honest and hostile ones."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.layers import tar
from wherry.layers.entry import Entry
from wherry.layers.unpack import Unpacked, unpack

Content = Sequence[tuple[Entry, bytes]]
Apply = Callable[..., Path]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root")


def layer(path: Path, content: Content) -> Path:
    """A layer of ``content`` at ``path``."""
    with path.open("wb") as file:
        for entry, data in content:
            file.write(tar.header(entry) + data + tar.padding(len(data)))
        file.write(tar.END)
    return path


def file(path: str, data: bytes = b"", **fields: object) -> tuple[Entry, bytes]:
    return Entry(path, "file", size=len(data), **fields), data  # type: ignore[arg-type]


def directory(path: str, mode: int = 0o755) -> tuple[Entry, bytes]:
    return Entry(path, "dir", mode), b""


def symlink(path: str, target: str) -> tuple[Entry, bytes]:
    return Entry(path, "symlink", 0o777, link=target), b""


def hardlink(path: str, target: str) -> tuple[Entry, bytes]:
    return Entry(path, "hardlink", link=target), b""


@pytest.fixture
def apply(tmp_path: Path) -> Apply:
    """Unpacks layers, each given by its content; gives the root."""

    def apply(*contents: Content, owners: bool = False) -> Path:
        root = tmp_path / "outside" / "root"
        root.mkdir(parents=True)
        layers = [layer(tmp_path / f"{number}.tar", content) for number, content in enumerate(contents)]
        unpack(layers, root, owners=owners)
        return root

    return apply


def names(root: Path) -> set[str]:
    """All paths below ``root``."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


# -- honest layers -------------------------------------------------------------------------------------


def test_files_have_their_content_mode_and_time(apply: Apply) -> None:
    root = apply([directory("bin"), file("bin/sh", b"#!", mode=0o755, mtime=5)])
    assert (root / "bin/sh").read_bytes() == b"#!"
    status = (root / "bin/sh").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o755, 5)


def test_directories_keep_their_time_and_mode_though_they_are_written_to(apply: Apply) -> None:
    root = apply(
        [(Entry("closed", "dir", 0o555, mtime=7), b""), file("closed/file", b"x")], [file("closed/more", b"y")]
    )
    status = (root / "closed").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o555, 7)
    assert names(root / "closed") == {"file", "more"}
    (root / "closed").chmod(0o755)


def test_the_root_has_the_attributes_that_the_layer_gives_it(apply: Apply) -> None:
    root = apply([(Entry("", "dir", 0o711, mtime=9), b""), file("file")])
    assert (root.stat().st_mode & 0o777, root.stat().st_mtime) == (0o711, 9)


def test_missing_parents_are_made(apply: Apply) -> None:
    assert (apply([file("a/b/c", b"x")]) / "a/b").stat().st_mode & 0o777 == 0o755


def test_links_are_kept_as_they_are(apply: Apply) -> None:
    root = apply([file("file", b"x"), symlink("soft", "/no/where"), hardlink("hard", "file")])
    assert (root / "soft").readlink() == Path("/no/where")
    assert (root / "hard").samefile(root / "file")


def test_a_hard_link_to_a_symbolic_link_is_a_symbolic_link(apply: Apply) -> None:
    root = apply([symlink("soft", "file"), hardlink("hard", "soft")])
    assert (root / "hard").readlink() == Path("file")


def test_fifos_are_made(apply: Apply) -> None:
    assert stat.S_ISFIFO((apply([(Entry("pipe", "fifo"), b"")]) / "pipe").stat().st_mode)


def test_zeros_take_no_space(apply: Apply) -> None:
    data = b"x" + bytes(1 << 22)
    root = apply([file("sparse", data)])
    assert (root / "sparse").read_bytes() == data
    assert (root / "sparse").stat().st_blocks * 512 < 1 << 20


def test_extended_attributes_are_kept_but_not_the_file_systems_own(apply: Apply, tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.test", b"x")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    given = {"user.cargo": b"\0\xff", "user.overlay.opaque": b"y", "trusted.overlay.redirect": b"/etc"}
    root = apply([file("file", xattrs=given)])
    assert os.listxattr(root / "file") == ["user.cargo"]
    assert os.getxattr(root / "file", "user.cargo") == b"\0\xff"


def test_names_that_are_not_utf8_are_kept(apply: Apply) -> None:
    root = apply([file("caf\udce9", b"x")])
    assert [os.fsencode(path.name) for path in root.iterdir()] == [b"caf\xe9"]


def test_without_owners_all_is_ours_and_setuid_is_void(apply: Apply) -> None:
    root = apply([file("su", mode=0o4755, uid=5, gid=6)])
    status = (root / "su").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (os.geteuid(), os.getegid(), 0o755)


@as_root
def test_with_owners_files_are_theirs_and_setuid_stays(apply: Apply) -> None:
    root = apply([file("su", mode=0o4755, uid=5, gid=6), symlink("link", "su")], owners=True)
    status = (root / "su").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (5, 6, 0o4755)
    assert (root / "link").lstat().st_uid == 0


@as_root
def test_devices_are_made_by_root(apply: Apply) -> None:
    root = apply([(Entry("null", "char", 0o666, major=1, minor=3), b"")])
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)


def test_devices_that_may_not_be_made_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    archive = layer(tmp_path / "layer", [(Entry("null", "char", major=1, minor=3), b""), file("file")])
    (tmp_path / "root").mkdir()
    assert unpack([archive], tmp_path / "root", owners=False) == Unpacked(("null",))
    assert names(tmp_path / "root") == {"file"}


# -- one layer on another ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "upper",
    [file("x", b"new"), directory("x"), symlink("x", "y"), (Entry("x", "fifo"), b"")],
    ids=["file", "directory", "symlink", "fifo"],
)
@pytest.mark.parametrize(
    "lower",
    [[file("x", b"old")], [directory("x"), file("x/inner")], [symlink("x", "y"), directory("y"), file("y/kept")]],
    ids=["file", "directory", "symlink"],
)
def test_anything_can_replace_anything(apply: Apply, lower: Content, upper: tuple[Entry, bytes]) -> None:
    root = apply(lower, [upper])
    kinds = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK, "fifo": stat.S_ISFIFO}
    assert kinds[upper[0].kind]((root / "x").lstat().st_mode)
    if ("y/kept", "file") in [(entry.path, entry.kind) for entry, _ in lower]:
        assert (root / "y/kept").exists()


def test_a_directory_over_a_directory_keeps_what_is_in_it(apply: Apply) -> None:
    root = apply([directory("x"), file("x/old")], [directory("x", 0o700)])
    assert (root / "x/old").exists()
    assert (root / "x").stat().st_mode & 0o777 == 0o700


def test_replacing_one_name_of_a_file_leaves_the_other(apply: Apply) -> None:
    root = apply([file("a", b"old"), hardlink("b", "a")], [file("a", b"new")])
    assert (root / "b").read_bytes() == b"old"


def test_a_whiteout_removes_what_is_below(apply: Apply) -> None:
    root = apply([file("x/a"), file("x/b"), file("y/c")], [file("x/.wh.a"), file(".wh.y")])
    assert names(root) == {"x", "x/b"}


def test_a_whiteout_of_nothing_is_fine(apply: Apply) -> None:
    assert names(apply([file("x/a")], [file("no/where/.wh.a"), file("x/a/.wh.b")])) == {"x", "x/a"}


def test_a_whiteout_does_not_mean_its_own_layer(apply: Apply) -> None:
    root = apply([file("x/old"), file("z")], [file("x/new"), file(".wh.x"), file("z", b"z"), file(".wh.z")])
    assert names(root) == {"x", "x/new", "z"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_directory_hides_what_is_below_wherever_the_mark_stands(apply: Apply, first: bool) -> None:
    mark, new = file("x/.wh..wh..opq"), file("x/deep/new")
    root = apply([file("x/old"), file("x/deep/old")], [mark, new] if first else [new, mark])
    assert names(root) == {"x", "x/deep", "x/deep/new"}


def test_other_marks_of_aufs_mean_nothing(apply: Apply) -> None:
    assert names(apply([file("x")], [file(".wh..wh.aufs")])) == {"x"}


def test_parents_that_are_links_are_followed_inside(apply: Apply) -> None:
    root = apply(
        [directory("usr/bin"), symlink("bin", "usr/bin"), symlink("abs", "/usr")], [file("bin/sh"), file("abs/x")]
    )
    assert (root / "usr/bin/sh").is_file()
    assert (root / "usr/x").is_file()
    assert (root / "bin").is_symlink()


def test_a_directory_that_becomes_a_link_is_not_dressed_through_it(apply: Apply) -> None:
    lower = [directory("x"), directory("x/y", 0o711), directory("z", 0o700), directory("z/y", 0o700)]
    root = apply([*lower, symlink("x", "z")])
    assert (root / "z/y").stat().st_mode & 0o777 == 0o700


# -- hostile layers ------------------------------------------------------------------------------------


def raw(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A tar file of members that our own writer would not write."""
    with tarfile.open(path, "w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "root").mkdir()
    archive = raw(tmp_path / "layer", (tarfile.TarInfo(name), b"x"))
    with pytest.raises(WherryError):
        unpack([archive], tmp_path / "root", owners=False)
    assert not (tmp_path / "escaped").exists()


def test_absolute_names_are_inside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    unpack([raw(tmp_path / "layer", (tarfile.TarInfo("//a"), b"x"))], tmp_path / "root", owners=False)
    assert names(tmp_path / "root") == {"a"}


@pytest.mark.parametrize("target", ["..", "../..", "/", "/tmp", "../../../../../../../../tmp", "b/../../.."])
def test_nothing_is_written_through_a_planted_link(apply: Apply, tmp_path: Path, target: str) -> None:
    name = f"planted-{os.urandom(4).hex()}"
    root = apply([symlink("a", target), file(f"a/{name}", b"x")])
    assert not (tmp_path / name).exists()
    assert not Path("/", name).exists()
    assert not Path("/tmp", name).exists()
    assert [path for path in names(root) if path.endswith(name)]


def test_nothing_is_written_through_a_link_of_the_same_name(apply: Apply, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("fine")
    root = apply([symlink("x", str(victim)), file("x", b"bad")])
    assert victim.read_text() == "fine"
    assert (root / "x").read_bytes() == b"bad"


def test_nothing_outside_is_changed_through_a_link(apply: Apply, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    apply([symlink("x", str(victim)), directory("x", 0o777)])
    assert victim.stat().st_mode & 0o777 == 0o700


def test_a_hard_link_to_a_file_outside_is_refused(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("secret")
    with pytest.raises(WherryError, match="not there"):
        apply([symlink("up", "../.."), hardlink("x", "up/victim")])


def test_a_hard_link_made_by_a_link_is_not_written_through(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("fine")
    apply([symlink("soft", str(tmp_path / "victim")), hardlink("hard", "soft"), file("hard", b"bad")])
    assert (tmp_path / "victim").read_text() == "fine"


def test_a_whiteout_removes_nothing_outside(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("fine")
    apply(
        [symlink("up", "../../.."), symlink("here", str(tmp_path))], [file("up/.wh.victim"), file("here/.wh..wh..opq")]
    )
    assert (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_a_whiteout_of_a_directory_itself_is_refused(apply: Apply, name: str) -> None:
    with pytest.raises(WherryError):
        apply([file("x/a")], [file(f"x/{name}")])


def test_a_circle_of_links_ends(apply: Apply) -> None:
    with pytest.raises(WherryError, match="circle"):
        apply([symlink("a", "b"), symlink("b", "a"), file("a/x")])


def test_a_file_below_a_file_is_refused(apply: Apply) -> None:
    with pytest.raises(WherryError, match="not a directory"):
        apply([file("a"), file("a/b")])


def test_duplicate_entries_give_the_last(apply: Apply) -> None:
    assert (apply([file("a", b"1"), file("a", b"2"), file("a", b"3")]) / "a").read_bytes() == b"3"


def test_a_broken_archive_is_an_error_that_names_the_layer(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    good = layer(tmp_path / "good", [file("a", b"x" * 5000)])
    (tmp_path / "bad").write_bytes(good.read_bytes()[:2000])
    with pytest.raises(WherryError, match="layer 2 of 2"):
        unpack([good, tmp_path / "bad"], tmp_path / "root", owners=False)


_PARTS = st.sampled_from(["a", "b", "c", ".."])
_NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
_TARGETS = st.builds(
    lambda start, parts: start + "/".join(parts), st.sampled_from(["", "/"]), st.lists(_PARTS, min_size=1, max_size=4)
)
_ENTRIES = st.one_of(
    st.builds(lambda name: file(name, b"x"), _NAMES),
    st.builds(directory, _NAMES),
    st.builds(symlink, _NAMES, _TARGETS),
    st.builds(hardlink, _NAMES, _NAMES),
    st.builds(lambda name: file(f"{name}/.wh.a"), _NAMES),
    st.builds(lambda name: file(f"{name}/.wh..wh..opq"), _NAMES),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(_ENTRIES, max_size=8), min_size=1, max_size=3))
def test_whatever_the_layers_say_nothing_outside_changes(tmp_path: Path, contents: list[Content]) -> None:
    folder = tmp_path / os.urandom(8).hex()
    root = folder / "b" / "c" / "root"
    root.mkdir(parents=True)
    (folder / "a").write_text("fine")
    layers = [layer(folder / f"{number}.tar", content) for number, content in enumerate(contents)]
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if path != root} | {folder: 0}
    with suppress(WherryError):
        unpack(layers, root, owners=False)
    assert (folder / "a").read_text() == "fine"
    after = [path for path in folder.rglob("*") if not path.is_relative_to(root)]
    assert {path: path.lstat().st_mtime_ns for path in after} | {folder: 0} == before


_MEASURE = """
import resource, sys
from pathlib import Path
from wherry.layers.unpack import unpack
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unpack([Path(sys.argv[1])], Path(sys.argv[2]), owners=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    archive = layer(tmp_path / "layer", [file("big", b"x" * (100 << 20))])
    words = [sys.executable, "-c", _MEASURE, str(archive), str(tmp_path / "root")]
    grown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 20 << 10  # KiB

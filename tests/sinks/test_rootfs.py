"""The flattened root filesystem: as a tar, and in a directory."""

from __future__ import annotations

import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.image import Image, Index
from wherry.layers.entry import Entry
from wherry.sinks import Output, export
from wherry.store import Store

MakeImage = Callable[..., Image]


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _entry(path: str, kind: str, data: bytes = b"", **more: object) -> tuple[Entry, bytes]:
    return Entry(path, kind, size=len(data), **more), data  # type: ignore[arg-type]


def _names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


@pytest.fixture
def flat(store: Store, tmp_path: Path) -> Callable[[Image | Index], Path]:
    """Writes an image's root filesystem as a tar."""

    def write(image: Image | Index) -> Path:
        export(image, Output("tar", str(tmp_path / "root.tar")), store=store)
        return tmp_path / "root.tar"

    return write


Flat = Callable[[Image | Index], Path]


def test_whiteouts_hide_and_do_not_show(image: Image, flat: Flat) -> None:
    assert _names(flat(image)) == ["etc", "tmp", "usr", "etc/kept", "etc/same", "etc/link", "usr/grüße"]


def test_attributes_links_and_data_are_kept(image: Image, flat: Flat) -> None:
    with tarfile.open(flat(image)) as archive:
        assert archive.getmember("tmp").mode == 0o1777
        assert archive.getmember("usr/grüße").mode == 0o755
        assert archive.getmember("etc/kept").mtime == 315532800
        assert archive.getmember("etc/same").linkname == "etc/kept"
        assert archive.getmember("etc/link").linkname == "kept"
        file = archive.extractfile("usr/grüße")
        assert file is not None
        assert file.read() == "übrig\n".encode()


def test_gnu_tar_unpacks_it(image: Image, flat: Flat, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", flat(image), "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "etc" / "same").samefile(tmp_path / "out" / "etc" / "kept")


def test_an_opaque_directory_hides_all_that_is_below(make_image: MakeImage, flat: Flat) -> None:
    lower = [_entry("a", "dir"), _entry("a/old", "file"), _entry("a/b", "dir"), _entry("a/b/old", "file")]
    upper = [_entry("a", "dir"), _entry("a/new", "file"), _entry("a/.wh..wh..opq", "file")]
    assert _names(flat(make_image((lower, upper)))) == ["a", "a/new"]


def test_a_whiteout_does_not_hide_what_its_own_layer_brings(make_image: MakeImage, flat: Flat) -> None:
    lower = [_entry("a", "dir"), _entry("a/old", "file")]
    upper = [_entry("a", "dir"), _entry("a/new", "file"), _entry(".wh.a", "file")]
    assert _names(flat(make_image((lower, upper)))) == ["a", "a/new"]


def test_a_file_that_takes_a_directorys_place_takes_all_of_it(make_image: MakeImage, flat: Flat) -> None:
    lower = [_entry("a", "dir"), _entry("a/old", "file")]
    assert _names(flat(make_image((lower, [_entry("a", "file")])))) == ["a"]


def test_a_hard_link_survives_the_name_that_it_was_made_for(make_image: MakeImage, flat: Flat) -> None:
    lower = [_entry("a", "file", b"data"), _entry("b", "hardlink", link="a"), _entry("c", "hardlink", link="b")]
    with tarfile.open(flat(make_image((lower, [_entry("a", "file", b"other")])))) as archive:
        assert [(info.name, info.size, info.linkname) for info in archive] == [
            ("b", 4, ""),
            ("c", 0, "b"),
            ("a", 5, ""),
        ]


def test_a_path_through_a_link_is_written_where_it_leads(make_image: MakeImage, flat: Flat) -> None:
    lower = [_entry("usr", "dir"), _entry("usr/lib", "dir"), _entry("lib", "symlink", link="usr/lib")]
    assert _names(flat(make_image((lower, [_entry("lib/x", "file")])))) == ["usr", "usr/lib", "lib", "usr/lib/x"]


def test_a_link_out_of_the_root_stays_inside(make_image: MakeImage, flat: Flat) -> None:
    layer = [_entry("out", "symlink", link="../../etc"), _entry("out/passwd", "file")]
    assert _names(flat(make_image((layer,)))) == ["etc", "out", "etc/passwd"]


def test_a_circle_of_links_is_an_error(make_image: MakeImage, flat: Flat) -> None:
    layer = [_entry("a", "symlink", link="b"), _entry("b", "symlink", link="a"), _entry("a/x", "file")]
    with pytest.raises(WherryError, match="too many symbolic links"):
        flat(make_image((layer,)))


def test_a_hard_link_to_nothing_is_an_error(make_image: MakeImage, flat: Flat) -> None:
    with pytest.raises(WherryError, match="not a file there"):
        flat(make_image(([_entry("a", "hardlink", link="b")],)))


def test_each_platform_has_a_folder(index: Index, flat: Flat) -> None:
    names = _names(flat(index))
    assert names[0] == "linux_amd64"
    assert "linux_arm64/usr/grüße" in names
    with tarfile.open(flat(index)) as archive:
        assert archive.getmember("linux_arm64/etc/same").linkname == "linux_arm64/etc/kept"


def test_several_platforms_do_not_share_a_root(index: Index, store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="platform-split"):
        export(index, Output("tar", str(tmp_path / "x"), split=False), store=store)


# -- in a directory ----------------------------------------------------------------------------------


def test_a_directory_holds_the_root_filesystem(image: Image, store: Store, tmp_path: Path) -> None:
    export(image, Output("local", str(tmp_path / "a" / "out")), store=store)
    out = tmp_path / "a" / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == sorted(
        ["etc", "etc/kept", "etc/link", "etc/same", "tmp", "usr", "usr/grüße"]
    )
    assert (out / "etc" / "same").samefile(out / "etc" / "kept")
    assert stat.S_IMODE((out / "usr" / "grüße").stat().st_mode) == 0o755
    assert _listed(tmp_path / "a") == ["out"]


def test_what_is_in_the_directory_stays(image: Image, store: Store, tmp_path: Path) -> None:
    (tmp_path / "out" / "etc" / "link").mkdir(parents=True)
    (tmp_path / "out" / "etc" / "gone").write_text("mine")
    (tmp_path / "out" / "etc" / "link" / "below").write_text("mine")
    export(image, Output("local", str(tmp_path / "out")), store=store)
    assert (tmp_path / "out" / "etc" / "gone").read_text() == "mine"
    assert (tmp_path / "out" / "etc" / "kept").read_text() == "kept\n"
    assert (tmp_path / "out" / "etc" / "link").is_symlink()


def test_a_link_in_the_directory_leads_nothing_astray(image: Image, store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "etc").symlink_to(tmp_path / "elsewhere")
    export(image, Output("local", str(tmp_path / "out")), store=store)
    assert _listed(tmp_path / "elsewhere") == []
    assert (tmp_path / "out" / "etc" / "kept").is_file()


def test_a_hostile_layer_writes_nothing_outside(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    layer = [_entry("x", "symlink", link=str(tmp_path)), _entry("x/evil", "file", b"!")]
    export(make_image((layer,)), Output("local", str(tmp_path / "out")), store=store)
    assert not (tmp_path / "evil").exists()


def test_a_failure_leaves_nothing_beside_the_directory(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    with pytest.raises(WherryError):
        export(make_image(([_entry("a", "hardlink", link="b")],)), Output("local", str(tmp_path / "out")), store=store)
    assert _listed(tmp_path) == ["out", "store"]
    assert _listed(tmp_path / "out") == []


def test_unpacking_twice_gives_the_same(image: Image, store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        export(image, Output("local", str(tmp_path / "out")), store=store)
    assert (tmp_path / "out" / "etc" / "same").samefile(tmp_path / "out" / "etc" / "kept")


def test_directories_take_the_images_modes(make_image: MakeImage, store: Store, tmp_path: Path) -> None:
    layer = [_entry("closed", "dir", mode=0o500), _entry("closed/file", "file", b"x", mode=0o400)]
    for _ in range(2):
        export(make_image((layer,)), Output("local", str(tmp_path / "out")), store=store)
    assert stat.S_IMODE((tmp_path / "out" / "closed").stat().st_mode) == 0o500


def test_each_platform_is_unpacked_into_a_folder(index: Index, store: Store, tmp_path: Path) -> None:
    export(index, Output("local", str(tmp_path / "out")), store=store)
    assert _listed(tmp_path / "out") == ["linux_amd64", "linux_arm64"]
    assert (tmp_path / "out" / "linux_arm64" / "usr").is_dir()

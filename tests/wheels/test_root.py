"""Root filesystems read from outside: links stay within, and what an overlay hides is hidden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.wheels.root import Root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The two directories of an overlay, the topmost first."""
    top, low = tmp_path / "top", tmp_path / "low"
    top.mkdir()
    low.mkdir()
    return top, low


def put(root: Path, path: str, text: str = "x") -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def link(root: Path, path: str, to: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(to)


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/x/liba.so.1.2", "a")
    link(tmp_path, "lib", "usr/lib")
    link(tmp_path, "usr/lib/x/liba.so.1", "liba.so.1.2")
    link(tmp_path, "etc/alternatives/a", "/lib/x/liba.so.1")
    root = Root([tmp_path])
    assert root.resolve("/lib/x/liba.so.1") == "usr/lib/x/liba.so.1.2"
    assert root.resolve("etc/alternatives/a") == "usr/lib/x/liba.so.1.2"
    assert root.read("etc/alternatives/a", 9) == b"a"


def test_no_link_leads_to_the_host(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    put(tmp_path, "secret")
    link(tmp_path / "root", "absolute", str(tmp_path / "secret"))
    link(tmp_path / "root", "relative", "../../../../../secret")
    link(tmp_path / "root", "folder", "..")
    root = Root([tmp_path / "root"])
    for path in ("absolute", "relative", "folder/secret", "../secret", "a/../../secret"):
        assert root.open(path) is None
    assert root.names("folder") == ["absolute", "folder", "relative"]


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    link(tmp_path, "a", "b")
    link(tmp_path, "b", "a")
    assert Root([tmp_path]).resolve("a") is None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    root = Root([tmp_path])
    assert (root.open("pipe"), root.open("folder"), root.open("missing"), root.open("pipe/x")) == (None,) * 4


def test_names_that_cannot_be_are_not_there(tmp_path: Path) -> None:
    assert Root([tmp_path]).resolve("x" * 5000) is None


def test_the_topmost_file_counts_and_folders_are_merged(folders: tuple[Path, Path]) -> None:
    top, low = folders
    put(top, "etc/a", "top")
    put(low, "etc/a", "low")
    put(low, "etc/b", "low")
    root = Root(folders)
    assert (root.read("etc/a", 9), root.read("etc/b", 9)) == (b"top", b"low")
    assert root.names("etc") == ["a", "b"]


def test_a_link_of_one_layer_leads_into_another(folders: tuple[Path, Path]) -> None:
    top, low = folders
    link(top, "etc/x", "../usr/y")
    put(low, "usr/y", "low")
    assert Root(folders).read("etc/x", 9) == b"low"


def test_a_file_over_a_folder_hides_it_and_a_folder_over_a_file_too(folders: tuple[Path, Path]) -> None:
    top, low = folders
    put(top, "a", "file")
    put(low, "a/b")
    put(top, "c/d")
    put(low, "c", "file")
    root = Root(folders)
    assert (root.resolve("a/b"), root.resolve("c"), root.names("c")) == (None, "c", ["d"])


@as_root
def test_a_whiteout_hides_what_is_below(folders: tuple[Path, Path]) -> None:
    top, low = folders
    put(low, "etc/a")
    put(low, "etc/b")
    (top / "etc").mkdir()
    os.mknod(top / "etc/a", 0o020600, 0)
    root = Root(folders)
    assert (root.resolve("etc/a"), root.names("etc")) == (None, ["b"])


@as_root
def test_an_opaque_folder_hides_the_one_below(folders: tuple[Path, Path]) -> None:
    top, low = folders
    put(low, "etc/a")
    put(top, "etc/b")
    try:
        os.setxattr(top / "etc", "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system or user cannot keep an overlay's attributes")
    assert Root(folders).names("etc") == ["b"]

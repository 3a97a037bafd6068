"""Names in a root that is not ours yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.sandbox.child import open_inside


@pytest.fixture
def top(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    (tmp_path / "root").mkdir()
    descriptor = os.open(tmp_path / "root", os.O_PATH)
    yield tmp_path / "root", descriptor
    os.close(descriptor)


def found(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    finally:
        os.close(descriptor)


def test_a_plain_path_is_found(top: tuple[Path, int]) -> None:
    root, descriptor = top
    (root / "a/b").mkdir(parents=True)
    assert found(open_inside(descriptor, "/a//./b/")) == str(root / "a/b")


def test_dots_do_not_lead_out(top: tuple[Path, int]) -> None:
    root, descriptor = top
    (root / "a").mkdir()
    assert found(open_inside(descriptor, "../../a/../..")) == str(root)


@pytest.mark.parametrize("target", ["/real", "../../real", "../a/../real", "/../real/."])
def test_links_stay_inside(top: tuple[Path, int], target: str) -> None:
    root, descriptor = top
    (root / "real").mkdir()
    (root / "a").mkdir()
    (root / "a/link").symlink_to(target)
    assert found(open_inside(descriptor, "a/link")) == str(root / "real")


def test_what_is_missing_is_made_where_a_link_says(top: tuple[Path, int]) -> None:
    root, descriptor = top
    (root / "link").symlink_to("/far/away")
    assert found(open_inside(descriptor, "link/file", "file")) == str(root / "far/away/file")
    assert (root / "far/away/file").is_file()


def test_what_is_missing_is_an_error_unless_it_may_be_made(top: tuple[Path, int]) -> None:
    with pytest.raises(FileNotFoundError):
        open_inside(top[1], "nowhere")


def test_no_descriptor_is_left_open(top: tuple[Path, int]) -> None:
    root, descriptor = top
    (root / "loop").symlink_to("loop")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in ("loop", "nowhere"):
        with pytest.raises(OSError):
            open_inside(descriptor, path)
    os.close(open_inside(descriptor, "a/b/c", "dir"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

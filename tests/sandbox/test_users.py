"""Users by name and number, as the image has them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.sandbox import User, find_user


@pytest.fixture
def image(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n# comment\nsailor:x:1000:100::/home/sailor:\n")
    (root / "etc/group").write_text("crew:x:100:\nrig:x:7:sailor,root\nhold:x:9:sailor\n")
    return root


def test_nobody_named_is_root(image: Path) -> None:
    assert find_user(image, "") == User(0, 0, (7,), "/root")


def test_a_name_brings_its_group_its_groups_and_its_home(image: Path) -> None:
    assert find_user(image, "sailor") == User(1000, 100, (7, 9), "/home/sailor")


def test_a_number_that_is_known_brings_them_too(image: Path) -> None:
    assert find_user(image, "1000") == find_user(image, "sailor")


def test_a_number_need_not_be_known(image: Path) -> None:
    assert find_user(image, "65532") == User(65532, 0, (), "/")


def test_a_group_that_is_given_is_the_only_one(image: Path) -> None:
    assert find_user(image, "sailor:hold") == User(1000, 9, (), "/home/sailor")
    assert find_user(image, "5:6") == User(5, 6, (), "/")


@pytest.mark.parametrize("text", ["captain", "sailor:captains", "-1", "99999999999", "²"])
def test_who_is_unknown_is_an_error(image: Path, text: str) -> None:
    with pytest.raises(UsageError, match="the image has no"):
        find_user(image, text)


def test_an_image_without_users_has_numbers(tmp_path: Path) -> None:
    assert find_user(tmp_path, "") == User(0, 0, (), "/")


def test_the_hosts_users_are_not_the_images(image: Path) -> None:
    (image / "etc/passwd").unlink()
    (image / "etc/passwd").symlink_to("/etc/passwd")
    with pytest.raises(UsageError):
        find_user(image, "daemon")


def test_links_are_followed_inside_the_image(image: Path) -> None:
    (image / "etc").rename(image / "settings")
    (image / "etc").symlink_to("/settings")
    assert find_user(image, "sailor").uid == 1000


def test_a_directory_where_passwd_should_be_counts_as_nothing(image: Path) -> None:
    (image / "etc/passwd").unlink()
    (image / "etc/passwd").mkdir()
    assert find_user(image, "5").uid == 5


# -- several directories ---------------------------------------------------------------------------


def layer(path: Path, passwd: str = "") -> Path:
    (path / "etc").mkdir(parents=True)
    if passwd:
        (path / "etc/passwd").write_text(passwd)
    return path


def test_the_topmost_of_several_directories_counts(tmp_path: Path) -> None:
    old = layer(tmp_path / "old", "cook:x:5:5::/old:/bin/sh\n")
    empty = layer(tmp_path / "empty")
    new = layer(tmp_path / "new", "cook:x:6:6::/new:/bin/sh\n")
    assert find_user((empty, old), "cook").uid == 5
    assert find_user((new, empty, old), "cook").uid == 6


def test_links_lead_through_several_directories(tmp_path: Path) -> None:
    old = tmp_path / "old"
    (old / "usr/share").mkdir(parents=True)
    (old / "usr/share/passwd").write_text("cook:x:5:5::/:/bin/sh\n")
    new = layer(tmp_path / "new")
    (new / "etc/passwd").symlink_to("../../usr/share/passwd")
    assert find_user((new, old), "cook").uid == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root")
def test_a_whiteout_or_an_opaque_directory_hides_what_is_below(tmp_path: Path) -> None:
    old = layer(tmp_path / "old", "cook:x:5:5::/:/bin/sh\n")
    white = layer(tmp_path / "white")
    os.mknod(white / "etc/passwd", stat.S_IFCHR, 0)
    with pytest.raises(UsageError):
        find_user((white, old), "cook")
    opaque = layer(tmp_path / "opaque")
    os.setxattr(opaque / "etc", "trusted.overlay.opaque", b"y")
    with pytest.raises(UsageError):
        find_user((opaque, old), "cook")


def test_a_file_hides_the_directories_below(tmp_path: Path) -> None:
    old = layer(tmp_path / "old", "cook:x:5:5::/:/bin/sh\n")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/etc").write_text("")
    with pytest.raises(UsageError):
        find_user((tmp_path / "new", old), "cook")

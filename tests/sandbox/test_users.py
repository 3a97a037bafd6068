"""Users by name and number, as the image has them."""

from __future__ import annotations

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

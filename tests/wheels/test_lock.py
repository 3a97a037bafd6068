"""Locks as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.wheels import lock as locks

LOCK = """\
lock-version = "1.0"
created-by = "a test"
requires-python = ">=3.11"
environments = ["sys_platform == 'linux'"]
extras = ["x"]
dependency-groups = ["dev", "default"]
default-groups = ["default"]

[[packages]]
name = "attrs"
version = "25.1.0"
marker = "'x' in extras"
requires-python = ">=3.8"
dependencies = [{ name = "six" }]
wheels = [
    { name = "attrs-25.1.0-py3-none-any.whl", upload-time = 2025-01-25T11:30:10.164985+00:00, url = "https://host/a", size = 63152, hashes = { sha256 = "aa" } },
    { path = "wheels/attrs-25.1.0-1-py3-none-any.whl", hashes = { sha256 = "bb", sha512 = "cc" } },
]
sdist = { path = "../attrs-25.1.0.tar.gz", hashes = { sha256 = "dd" } }
tool = { "a tool" = { yes = true, list = [1, 2.5, "three \\"\\u0007"] } }

[[packages]]
name = "local"
directory = { path = "lib", editable = true, subdirectory = "sub" }

[[packages]]
name = "repository"
vcs = { type = "git", url = "https://host/repository.git", commit-id = "0123" }
"""  # noqa: E501


def test_what_is_written_reads_the_same() -> None:
    lock = locks.parse(LOCK)
    assert locks.parse(locks.write(lock)) == lock


def test_the_empty_lock_is_valid() -> None:
    assert locks.parse(locks.EMPTY).packages == []
    assert locks.parse(locks.write(locks.parse(locks.EMPTY))).packages == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    lock = locks.parse('lock-version = "1.0"\ncreated-by = ""\npackages = []\n[tool]\nkey = ""\n')
    written = locks.write(type(lock)(lock_version=lock.lock_version, created_by=text, packages=[], tool={text: text}))
    read = locks.parse(written)
    assert read.created_by == text
    assert read.tool == {text: text}


@pytest.mark.parametrize("text", ["[[", 'lock-version = "1.0"', LOCK.replace('"1.0"', '"9"', 1), "packages = 3"])
def test_a_broken_lock_is_a_clear_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"^sub/pylock\.toml is not (a )?valid"):
        locks.parse(text, "sub/pylock.toml")


def test_paths_of_a_lock_in_a_folder_are_moved_to_the_context() -> None:
    attrs, local, _ = locks.rebased(locks.parse(LOCK), "sub").packages
    assert attrs.wheels is not None
    assert attrs.sdist is not None
    assert local.directory is not None
    assert [wheel.path for wheel in attrs.wheels] == [None, "sub/wheels/attrs-25.1.0-1-py3-none-any.whl"]
    assert attrs.sdist.path == "attrs-25.1.0.tar.gz"
    assert local.directory.path == "sub/lib"


def test_a_lock_in_the_context_stays_as_it_is() -> None:
    lock = locks.parse(LOCK)
    assert locks.rebased(lock, "") is lock


def test_a_project_is_added_once() -> None:
    lock = locks.with_project(locks.parse(LOCK), "My_App", ".")
    assert lock.packages[-1].name == "my-app"
    assert locks.with_project(lock, "my.app", "elsewhere") is lock
    assert locks.parse(locks.write(lock)) == lock

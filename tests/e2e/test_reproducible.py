"""Same input, same digest: on any day, in any folder, for anyone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import NewWherry, User, Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

FILES = {
    "requirements.txt": "markupsafe==3.0.4\nflask==3.1.3\ntyping-extensions==4.16.0\n",
    "main.py": "import flask, markupsafe\nprint(flask.Flask(__name__), markupsafe.escape('<'))\n",
    "data/table.csv": "a,b\n1,2\n",
    "data/übung.txt": "ahoy\n",
}


def test_two_stores_two_folders_and_two_umasks_give_one_digest(
    project: MakeProject, tmp_path: Path, new_wherry: NewWherry
) -> None:
    first = new_wherry(
        tmp_path / "one",
        ("sh", "-c", 'umask 022; exec "$@"', "sh"),
        {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
    )
    second = new_wherry(
        tmp_path / "two" / "deeper",
        ("sh", "-c", 'umask 077; exec "$@"', "sh"),
        {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2"},
    )
    here = project(FILES, "here")
    before = os.umask(0o077)
    try:
        there = project(dict(reversed(FILES.items())), "some where/else")
    finally:
        os.umask(before)
    for path in there.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert first.build(here, "-t", "same") == second.build(there, "-t", "same")


def test_an_ordinary_user_builds_the_very_image_that_root_builds(
    user: User, warm: Wherry, project: MakeProject
) -> None:
    root = project(FILES, parent=user.home)
    user.own(root)
    assert user.wherry().build(root, "-t", "same") == warm.build(root, "-t", "same")


def test_a_build_without_cache_gives_the_same_digest_again(warm: Wherry, project: MakeProject) -> None:
    root = project(FILES)
    assert warm.build(root, "-t", "same") == warm.build(root, "-t", "same", "--no-cache")

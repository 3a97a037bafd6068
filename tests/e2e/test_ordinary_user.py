"""All of it without root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Docker, User

pytestmark = pytest.mark.e2e

FILES = {
    "requirements.txt": "markupsafe==3.0.4\n",
    "main.py": "import os, markupsafe._speedups; print(os.getuid(), os.getcwd(), open('note.txt').read())\n",
    "note.txt": "ahoy",
}


def test_an_ordinary_user_builds_and_runs(user: User, project: Callable[..., Path]) -> None:
    root = project(FILES, "own", user.home)
    user.own(root)
    wherry = user.wherry("store-of-its-own")
    wherry.build(root, "-t", "own")
    assert wherry.ok("run", "own").stdout == "65532 /usr/src/app ahoy\n"
    assert wherry.leftovers() == []


def test_what_an_ordinary_user_built_runs_under_docker(
    user: User, docker: Docker, project: Callable[..., Path]
) -> None:
    root = project(FILES, "loaded", user.home)
    user.own(root)
    archive = user.home / "tmp" / "loaded.tar"
    user.wherry().build(root, "-t", "loaded", "-o", f"type=docker,dest={archive}")
    assert docker.run(docker.load(archive)).stdout == "65532 /usr/src/app ahoy\n"

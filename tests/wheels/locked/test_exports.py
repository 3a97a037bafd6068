"""requirements.txt as each tool exports it from its lock: what uv leaves to us is read from all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from packaging.pylock import Package, PackageVcs
from packaging.utils import canonicalize_name

from wherry.errors import WherryError
from wherry.wheels import lock as locks
from wherry.wheels.requirements import FileOptions, held_to, read_options

TOOLS = ("poetry", "pdm", "pipenv", "uv", "pip-compile")
EVERYWHERE = {"certifi", "charset-normalizer", "click", "idna", "pysocks", "requests", "urllib3"}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_requirement_has_its_hashes(text: Callable[[str], str], tool: str) -> None:
    options = read_options([text(f"exports/{tool}.txt")])
    assert options.hashed
    assert set(options.hashes) >= EVERYWHERE
    assert len(options.hashes["click"]) == 2


def test_pipenv_names_its_index(text: Callable[[str], str]) -> None:
    assert read_options([text("exports/pipenv.txt")]).own_index


@pytest.mark.parametrize(("asked", "fine"), [("abc", True), ("main", False), (None, False)])
def test_a_commit_stands_for_a_hash_and_a_branch_does_not(asked: str | None, fine: bool) -> None:
    vcs = PackageVcs(type="git", url="https://git.example/a.git", requested_revision=asked, commit_id="abc")
    package = Package(name=canonicalize_name("a"), vcs=vcs)
    lock = locks.with_packages(locks.parse(locks.EMPTY), [package])
    options = FileOptions({}, hashed=True)
    if fine:
        assert held_to(lock, options, "requirements.txt") == lock
    else:
        with pytest.raises(WherryError, match="has hashes, but none for: a"):
            held_to(lock, options, "requirements.txt")

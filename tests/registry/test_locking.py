"""A base at a registry, locked: its tag may move, the build stays with what it meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine, dockerfile
from tests.registry.servers import PROGRAM, Registry

from wherry import lockfile

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]


def test_a_tag_that_moved_means_what_it_meant_when_it_was_locked(
    warm: Wherry, machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/bases/python:1"
    first = dockerfile(warm, tmp_path / "base", "FROM debian://trixie\nENV A=1", name, "--push")
    root = tmp_path / "project"
    root.mkdir()
    (root / "main.py").write_text("print('ahoy')\n")
    here = machine("here")
    here.ok("lock", root, "--base", name)
    pins = lockfile.read(root)
    assert pins is not None
    assert [(wish.source, digest) for wish, digest in pins.images.items()] == [(name, first)]
    locked = here.build(root, "--base", name)
    assert dockerfile(warm, tmp_path / "base", "FROM debian://trixie\nENV A=2", name, "--push") != first
    elsewhere = machine("elsewhere")
    assert elsewhere.build(root, "--base", name) == locked
    assert elsewhere.build(root, "--base", name, "--pull") == locked
    assert elsewhere.build(root, "--base", name, "--no-lock") != locked
    assert elsewhere.build(root, "--base", name) == locked
    assert "Nothing changed" in elsewhere.ok("lock", root, "--base", name).stderr
    elsewhere.ok("lock", root, "--base", name, "--upgrade")
    assert elsewhere.build(root, "--base", name) != locked

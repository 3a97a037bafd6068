"""What the end-to-end tests share: folders with projects in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeProject = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """Makes a folder with the given files (path to text) and gives it."""

    def make(files: Mapping[str, str], name: str = "project", parent: Path = tmp_path) -> Path:
        root = parent / name
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        root.mkdir(exist_ok=True)
        return root

    return make

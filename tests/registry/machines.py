"""Machines that have nothing in common but a registry: each with a store and a home of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Wherry

Machine = Callable[[str], "Wherry"]


def built(wherry: Wherry, tmp_path: Path, name: str, *files: str, more: Sequence[str] = ()) -> str:
    """A small image in the store of ``wherry``: one layer for each of ``files``; gives its digest."""
    folder = tmp_path / "context"
    folder.mkdir(exist_ok=True)
    for file in files:
        (folder / file).write_text(file * 1000)
    return dockerfile(wherry, folder, "\n".join(["FROM scratch", *(f"COPY {file} /" for file in files)]), name, *more)


def dockerfile(wherry: Wherry, folder: Path, text: str, name: str, *more: str) -> str:
    """What ``text`` makes of the files in ``folder``; gives its digest."""
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"{text}\n")
    return wherry.build(folder, "-t", name, *more)


def configure(home: Path, text: str) -> None:
    """Write a machine's settings."""
    file = home / ".config" / "wherry" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def skopeo(*words: str) -> str:
    """What skopeo prints."""
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

"""Local projects that lie outside of the context: which a resolution may find there, and how they are copied along."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.plan import DEFAULT_EPOCH, Requirements
from wherry.store import Store
from wherry.wheels import lock as locks
from wherry.wheels import tree

if TYPE_CHECKING:
    from packaging.pylock import Pylock

_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")
_COPY = "resolve-copy-"


def check_outside(lock: Pylock, requirements: Requirements, context: Path) -> None:
    """Raise :class:`UsageError` for a local project or file in ``lock`` that the plan knows nothing of.

    The plan knows those that may be read outside of ``context``; a project may require one that nobody declared, or
    lead there by a symbolic link.
    """
    known = {*requirements.inputs, *requirements.projects}
    here = os.path.realpath(context)
    for package in lock.packages:
        for part in (package.directory, package.archive):
            if part is None or not part.path:
                continue
            path = posixpath.normpath(part.path.replace("\\", "/"))
            if path in known or any(f"{path}/{name}" in known for name in _METADATA):
                continue
            real = os.path.realpath(context / path)
            if not Path(real).is_relative_to(here):
                to = os.path.relpath(real, here).replace(os.sep, "/")
                raise UsageError(
                    f"{package.name} is outside the project folder, at {to}, and something that "
                    f"{requirements.path or 'the project'} names requires it",
                    hint=f'Declare it in [tool.wherry]: outside = ["{to}"]. A member of a workspace needs the lock of '
                    "that, or must be named itself.",
                )


def relative(text: str, place: Path, context: Path) -> str:
    """A lock that uv wrote in ``place``, the context or a copy of it, with the paths of local projects relative to it.

    Of a ``file:`` URL uv makes an absolute path, which would lead into the copy, or into another checkout.
    """
    if '{ path = "/' not in text and ', path = "/' not in text:
        return text
    lock = locks.parse(text)

    def moved(path: str | None) -> str | None:
        if not path or not Path(path).is_absolute():
            return path
        inside = Path(path).is_relative_to(context.resolve()) or not _is_copy(path, place, context)
        return os.path.relpath(path, context.resolve() if inside else place.resolve()).replace(os.sep, "/")

    packages = [
        replace(
            package,
            directory=package.directory and replace(package.directory, path=moved(package.directory.path) or "."),
            archive=package.archive and replace(package.archive, path=moved(package.archive.path)),
        )
        for package in lock.packages
    ]
    return locks.write(locks.with_packages(lock, packages))


def _is_copy(path: str, place: Path, context: Path) -> bool:
    """Whether ``path`` is in the folder that holds the copy ``place``, and what was copied along."""
    if place == context:
        return False
    top = next((one for one in place.resolve().parents if one.name.startswith(_COPY)), place.resolve())
    return Path(path).is_relative_to(top)


@contextmanager
def copied(requirements: Requirements, context: Path, store: Store) -> Iterator[Path]:
    """A copy of ``context`` for the block, with what ``requirements`` names outside of it at the same places beside it.

    Where a project takes its version from a git repository, all of that is copied, once.
    """
    root = store.scratch() / f"{_COPY}{os.urandom(8).hex()}"
    here = context.resolve()
    projects, files = _outside(requirements)
    folders = {Path(os.path.normpath(here / path)) for path in projects}
    tops = {here, *folders}
    tops |= {top for folder in (here, *folders) if (top := _repository(folder))}
    single = [Path(os.path.normpath(here / file)) for file in files]
    base = root / "context"
    common = os.path.commonpath([*map(str, tops), *(str(file.parent) for file in single)])
    try:
        done: list[Path] = []
        for folder in sorted((here, *folders), key=lambda path: len((_repository(path) or path).parts)):
            top = _repository(folder) or folder
            if not any(top.is_relative_to(one) for one in done):
                place = base / top.relative_to(common)
                place.mkdir(parents=True, exist_ok=True)
                tree.copy(folder, place, epoch=DEFAULT_EPOCH, without=store.path.resolve())
                done.append(top)
        for file in single:
            target = base / file.relative_to(common)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        yield base / here.relative_to(common)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _repository(folder: Path) -> Path | None:
    """The repository around ``folder`` that all of is copied; none for a folder that is reached by a link."""
    found = tree.versioning_repository(folder)
    return found if found is not None and folder.is_relative_to(found) else None


def _outside(requirements: Requirements) -> tuple[list[str], list[str]]:
    """The projects and the single files outside of the context that ``requirements`` names, relative to that."""
    projects = {posixpath.normpath(path) for path in requirements.projects if _leads_out(path)}
    files: list[str] = []
    for path in (posixpath.normpath(path) for path in (requirements.path, *requirements.inputs) if _leads_out(path)):
        folder, _, name = path.rpartition("/")
        if name in _METADATA and folder.rpartition("/")[2] != "..":
            projects.add(folder)
        else:
            files.append(path)
    return sorted(projects), files


def _leads_out(path: str) -> bool:
    return posixpath.normpath(path).split("/")[0] == ".."

"""The formats by the kind of their requirements: one way in for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wherry.plan import Requirements

if TYPE_CHECKING:
    from wherry.wheels.locked.pins import Environment, Locked

PROJECT: Mapping[str, str] = {
    "poetry.lock": "pyproject.toml",
    "pdm.lock": "pyproject.toml",
    "Pipfile.lock": "Pipfile",
    "conda-lock": "",
}
"""The file that a lock of each kind locks, beside it; none where it does not matter."""


def is_locked(kind: str) -> bool:
    """Whether requirements of this kind are the lock of another tool."""
    return kind in PROJECT


def sources(requirements: Requirements, files: Mapping[str, str]) -> tuple[str, ...]:
    """The URLs, with credentials, of the indexes that the project of a lock names.

    ``files`` are the texts of its inputs. Raises :class:`UsageError` for a variable in them that is not set.
    """
    from wherry.wheels.locked import pdm, pipfile, poetry

    ways: Mapping[str, Callable[[str], dict[str, str]]] = {
        "poetry.lock": poetry.sources,
        "pdm.lock": pdm.sources,
        "Pipfile.lock": pipfile.sources,
    }
    project = files.get(PROJECT[requirements.kind], "")
    return tuple(ways[requirements.kind](project).values()) if project else ()


def check_current(requirements: Requirements, files: Mapping[str, str]) -> None:
    """Raise :class:`UsageError` unless the lock that ``requirements`` name is that of its project.

    ``files`` are the texts of its inputs. conda-lock.yml, and a Pipfile.lock without a Pipfile, tell nothing of it.
    """
    from wherry.wheels.locked import pdm, pipfile, poetry

    lock, project = files[requirements.path], files.get(PROJECT[requirements.kind], "")
    if requirements.kind == "poetry.lock":
        poetry.check_current(lock, project)
    elif requirements.kind == "pdm.lock":
        pdm.check_current(lock, project)
    elif requirements.kind == "Pipfile.lock" and project:
        pipfile.check_current(lock, project)


def read(requirements: Requirements, files: Mapping[str, str], environment: Environment | None) -> Locked:
    """What the lock that ``requirements`` name comes to in ``environment``; ``files`` are the texts of its inputs.

    Raises :class:`UsageError` for a lock that is broken, or lacks what is asked of it.
    """
    from wherry.wheels.locked import conda, pdm, pipfile, poetry

    path, extras, groups = requirements.path, requirements.extras, requirements.groups
    lock, project = files[path], files.get(PROJECT[requirements.kind], "")
    if requirements.kind == "poetry.lock":
        return poetry.pinned(lock, project, environment, extras=extras, groups=groups)
    if requirements.kind == "pdm.lock":
        return pdm.pinned(lock, project, environment, extras=extras, groups=groups)
    if requirements.kind == "Pipfile.lock":
        return pipfile.pinned(lock, environment, groups=groups)
    return conda.pinned(lock, environment, groups=(*extras, *groups), file=path)

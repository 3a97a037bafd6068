"""A local project to a wheel, by its own backend (PEP 517), in a copy of it and under fixed circumstances."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.image.json import JsonObject
from wherry.plan import DEFAULT_EPOCH, Indexes
from wherry.store import Store
from wherry.store.files import storing
from wherry.target import Target
from wherry.wheels import tree
from wherry.wheels.built import Built, keep, metadata, needs, recall
from wherry.wheels.distribution import Project
from wherry.wheels.indexes import Settings, read_settings
from wherry.wheels.select import describe, fits
from wherry.wheels.uv import UvFailed, last_lines, python_options, run_uv, uv_identity

_FORMAT = "1"
_VERSION = re.compile(r"PRETEND_VERSION|SCM_VERSION|^PBR_VERSION$|DYNAMIC_VERSIONING_BYPASS")  # of backends' variables


def build_wheel(
    project: Project,
    context: Path,
    *,
    store: Store,
    offline: bool = False,
    epoch: int = DEFAULT_EPOCH,
    indexes: Indexes | None = None,
    task: Task | None = None,
    anew: bool = False,
) -> Built:
    """The wheel of ``project``; built only if the project's files have changed, or ``anew``.

    ``epoch`` is the time of the wheel's files (SOURCE_DATE_EPOCH). The backend runs on this machine, so a wheel that
    is not pure (:func:`is_pure`) is for this machine's Python, and of no use. Raises :class:`UsageError` for a project
    that cannot be built at all, :class:`WherryError` with the end of the backend's output for one that fails.
    """
    root = (context / project.path).resolve()
    if not any((root / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise UsageError(
            f"{project.path} is not a Python project: it has neither pyproject.toml nor setup.py",
            hint="Correct the path in the requirements.",
        )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    parts = (
        _FORMAT,
        uv_identity(),
        python,
        str(epoch),
        tree.fingerprint(root, store.path.resolve()),
        *told_versions(),
    )
    key = "project:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
    with store.once(key):
        built = None if anew else recall(store.cache.get(key), store)
        if built is None:
            settings = read_settings(indexes or Indexes(), root)
            value = _build(project, root, store=store, offline=offline, epoch=epoch, settings=settings, task=task)
            store.cache.put(key, value, needs(value))
            built = recall(value, store)
            assert built is not None
        elif task is not None:
            task.cached()
    return built


def told_versions() -> list[str]:
    """The variables that tell a backend the version to build, in place of a repository."""
    return sorted(f"{name}={value}" for name, value in os.environ.items() if _VERSION.search(name))


def _build(
    project: Project,
    root: Path,
    *,
    store: Store,
    offline: bool,
    epoch: int,
    settings: Settings,
    task: Task | None,
) -> JsonObject:
    """Build, and keep the wheel among the store's files."""
    place = store.scratch() / f"project-{os.urandom(8).hex()}"
    with storing(store.path):
        try:
            # Always the same name: some backends let a folder's name into the wheel.
            (place / "source").mkdir(parents=True)
            copy = tree.copy(root, place / "source", epoch=epoch, without=store.path.resolve())
            arguments = [
                "build",
                "--wheel",
                "--no-create-gitignore",
                "--out-dir",
                str(place / "wheel"),
                *python_options(),
                ".",
            ]
            run_uv(
                [*arguments, *settings.options],
                store=store,
                settings=settings,
                cwd=copy,
                offline=offline,
                environment={"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"},
                task=task,
            )
            wheels = list((place / "wheel").glob("*.whl"))
            if len(wheels) != 1:
                raise WherryError(f"the backend of {project.path} made {len(wheels)} wheels, not one")
            return keep(wheels[0], store, what=project)
        except UvFailed as failed:
            raise WherryError(
                f"no wheel can be built from {project}:\n{last_lines(failed.output)}",
                hint="`uv build --wheel` in its folder shows the whole output.",
            ) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)


def is_pure(wheel: str) -> bool:
    """Whether the wheel of this name is for any platform."""
    from packaging.utils import parse_wheel_filename

    return all(tag.platform == "any" for tag in parse_wheel_filename(wheel)[3])


def check(project: object, built: Built, target: Target) -> None:
    """Raise :class:`WherryError` unless the wheel can be used on ``target``."""
    wheel = built.distribution.wheel.name
    if not fits(wheel, target):
        raise WherryError(
            f"{project} makes {wheel}, which does not fit {describe(target)}",
            hint="Run wherry with the Python version of the base, or let the project make a py3-none-any wheel.",
        )
    python = "".join(metadata(built.path).get("requires-python", ())[:1])
    if python:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            allowed = SpecifierSet(python).contains(target.interpreter.version, prereleases=True)
        except InvalidSpecifier:
            allowed = True
        if not allowed:
            raise UsageError(
                f"{project} requires Python {python}, the base has {target.interpreter.version}",
                hint="Choose another base with --base, or another version with --python.",
            )

"""A local project to a wheel, by its own backend (PEP 517), in a copy of it and under fixed circumstances."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Download
from wherry.image import Digest
from wherry.image.json import JsonObject, as_int, as_str
from wherry.plan import DEFAULT_EPOCH, Indexes
from wherry.store import Store
from wherry.store.files import storing
from wherry.target import Target
from wherry.wheels import tree
from wherry.wheels.distribution import Distribution, Project
from wherry.wheels.indexes import Settings, read_settings
from wherry.wheels.select import describe, fits
from wherry.wheels.uv import UvFailed, last_lines, python_options, run_uv, uv_identity

_FORMAT = "1"
_VERSION = re.compile(r"PRETEND_VERSION|SCM_VERSION|^PBR_VERSION$|DYNAMIC_VERSIONING_BYPASS")  # of backends' variables


def build_wheel(
    project: Project,
    context: Path,
    *,
    target: Target,
    store: Store,
    offline: bool = False,
    epoch: int = DEFAULT_EPOCH,
    indexes: Indexes | None = None,
    task: Task | None = None,
    anew: bool = False,
) -> tuple[Distribution, Path]:
    """The wheel of ``project`` and its file in the store; built only if the project's files have changed, or ``anew``.

    ``epoch`` is the time of the wheel's files (SOURCE_DATE_EPOCH). Only wheels for any platform fit, as the
    backend runs on this machine. Raises :class:`UsageError` for a project that cannot be built at all,
    :class:`WherryError` with the end of the backend's output for one that fails.
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
        *_told_versions(),
    )
    key = "project:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
    with store.once(key):
        built = None if anew else _remembered(store.cache.get(key), store)
        if built is None:
            settings = read_settings(indexes or Indexes(), root)
            value = _build(project, root, store=store, offline=offline, epoch=epoch, settings=settings, task=task)
            store.cache.put(key, value, [Digest(f"sha256:{value['sha256']}")])
            built = _remembered(value, store)
            assert built is not None
        elif task is not None:
            task.cached()
    distribution, path = built
    _check(project, distribution.wheel.name, path, target)
    return distribution, path


def _told_versions() -> list[str]:
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
            return _keep(wheels[0], project, store)
        except UvFailed as failed:
            raise WherryError(
                f"no wheel can be built from {_name(project)}:\n{last_lines(failed.output)}",
                hint="`uv build --wheel` in its folder shows the whole output.",
            ) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _keep(wheel: Path, project: Project, store: Store) -> JsonObject:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise WherryError(f"the backend of {_name(project)} made a wheel with a bad name: {error}") from None
    with wheel.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    size = wheel.stat().st_size
    with wheel.open("rb") as file, store.blobs.writer() as blob:  # where other machines can get it from
        shutil.copyfileobj(file, blob)
        blob.commit()
    path = _path(digest, store)
    path.parent.mkdir(parents=True, exist_ok=True)
    wheel.replace(path)
    return {"name": str(name), "version": str(version), "file": wheel.name, "sha256": digest, "size": size}


def _remembered(value: JsonObject | None, store: Store) -> tuple[Distribution, Path] | None:
    """What ``value`` says was built, with its file, if that can still be had."""
    if value is None:
        return None
    digest = as_str(value.get("sha256"), "sha256")
    path = _path(digest, store)
    if not path.is_file():
        blob = Digest(f"sha256:{digest}")
        store.blobs.bring((blob,))
        if not store.blobs.has(blob):
            return None
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            copy = store.scratch() / f"wheel-{os.urandom(8).hex()}"
            shutil.copyfile(store.blobs.path(blob), copy)
            copy.replace(path)
    name = as_str(value.get("file"), "file")
    download = Download(path.as_uri(), {"sha256": digest}, as_int(value.get("size"), "size"), name)
    # No direct_url.json: a path of the building machine means nothing in the image, and would differ between two.
    return Distribution(as_str(value.get("name"), "name"), as_str(value.get("version"), "version"), download), path


def _path(digest: str, store: Store) -> Path:
    return store.files / "sha256" / digest


def _check(project: Project, wheel: str, path: Path, target: Target) -> None:
    """Raise :class:`WherryError` unless the wheel can be used on ``target``."""
    from packaging.utils import parse_wheel_filename

    found = parse_wheel_filename(wheel)[3]
    if any(tag.platform != "any" for tag in found):
        raise WherryError(
            f"{_name(project)} has compiled parts: its backend made {wheel} for this machine, "
            f"not for {describe(target)}",
            hint="Compiling for an image is not possible yet. Depend on a wheel that was built for it.",
        )
    if not fits(wheel, target):
        raise WherryError(
            f"{_name(project)} makes {wheel}, which does not fit {describe(target)}",
            hint="Run wherry with the Python version of the base, or let the project make a py3-none-any wheel.",
        )
    python = _requires_python(path)
    if python:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            allowed = SpecifierSet(python).contains(target.interpreter.version, prereleases=True)
        except InvalidSpecifier:
            allowed = True
        if not allowed:
            raise UsageError(
                f"{_name(project)} requires Python {python}, the base has {target.interpreter.version}",
                hint="Choose another base with --base, or another version with --python.",
            )


def _requires_python(path: Path) -> str:
    from email.parser import HeaderParser

    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return HeaderParser().parsestr(archive.read(name).decode(errors="replace")).get("Requires-Python", "")
    except (zipfile.BadZipFile, StopIteration):
        return ""


def _name(project: Project) -> str:
    return project.name if project.path in {"", "."} else f"{project.name} ({project.path})"

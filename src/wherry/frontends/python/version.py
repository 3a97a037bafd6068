"""Which Python the project wants."""

from __future__ import annotations

import re

from wherry.errors import Place, UsageError
from wherry.frontends.python import config
from wherry.frontends.python.config import Config
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import ProjectOptions
from wherry.plan import Fact

_FILE = ".python-version"
_CONDA = "conda-lock.yml"
_PINNED = r"(?:(?:cpython|python)[-@]?)?(3\.\d+)(?:\.\d+)?(?:(?:a|b|rc)\d+|-dev|t)?(?:[-+].*)?"


def find(folder: Folder, pyproject: Document, settings: Config, options: ProjectOptions) -> Fact:
    """The version or specifier set, empty for whatever the base has, and where it was found.

    Of .python-version only the minor version counts: the patch release that a developer has installed says
    nothing about the base's. Raises :class:`UsageError` for what is no version.
    """
    if options.python:
        return Fact("python", config.version(options.python, Place("--python")), "--python")
    if settings.python:
        return Fact("python", settings.python, settings.source)
    if folder.has(_FILE):
        for number, line in enumerate(folder.text(_FILE).split("\n"), 1):
            text = line.partition("#")[0].strip()
            if text and text != "system":
                return Fact("python", _minor(text, Place(_FILE, number)), _FILE)
    required = pyproject.table("project").get("requires-python")
    if required is not None:
        place = pyproject.place("project", "requires-python")
        if not isinstance(required, str):
            raise UsageError("requires-python must be a string", place=place)
        return Fact("python", config.version(required, place), f"requires-python in {pyproject.file}")
    return _of_tools(folder, pyproject) or Fact("python", "", "nothing asks for a version")


def _of_tools(folder: Folder, pyproject: Document) -> Fact | None:
    """What poetry's own table, a Pipfile or conda-lock.yml says."""
    path = ("tool", "poetry", "dependencies")
    wanted = pyproject.table(*path).get("python")
    if isinstance(wanted, str):
        from wherry.wheels.locked.poetry import specifier

        text = specifier(wanted)
        return Fact("python", text, f"[{'.'.join(path)}] in {pyproject.file}") if text else None
    requires = Document.read(folder, "Pipfile").table("requires")
    for key in ("python_full_version", "python_version"):
        wanted = requires.get(key)
        if isinstance(wanted, str) and wanted != "*":
            return Fact("python", _minor(wanted, Place("Pipfile")), f"{key} in Pipfile")
    if folder.has(_CONDA):
        # All of its platforms have the same: the first will do.
        found = re.search(r"^- name: python\n  version: ['\"]?(3\.\d+)\b", folder.text(_CONDA), re.MULTILINE)
        return Fact("python", found[1], f"python in {_CONDA}") if found else None
    return None


def _minor(text: str, place: Place) -> str:
    match = re.fullmatch(_PINNED, text)
    if match:
        return match[1]
    if re.match(r"[<>=!~]", text):
        return config.version(text, place)
    raise UsageError(
        f"{text!r} is not a version of CPython",
        place=place,
        hint="Images are built with CPython: write a version such as 3.13, or choose one with --python.",
    )

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
    return Fact("python", "", "nothing asks for a version")


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

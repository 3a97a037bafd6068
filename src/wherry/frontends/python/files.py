"""Which files of the project go into the image."""

from __future__ import annotations

from wherry.frontends.python.config import Config
from wherry.frontends.python.folder import Folder
from wherry.sources import ignore

IGNORE_FILE = ".dockerignore"

NONE = ("**",)
"""Patterns that leave everything out."""

_COMPILED = "**/__pycache__"  # comes last, too: an included folder has it or not by who ran what

NEVER = (
    _COMPILED,
    "**/*.pyc",
    "**/*.pyo",
    "**/.git",
    "**/.hg",
    "**/.svn",
    "**/.venv",
    "**/*.egg-info",
    "**/.eggs",
    "**/node_modules",
    "**/.cache",
    "**/.uv-cache",
    "**/.mypy_cache",
    "**/.pytest_cache",
    "**/.ruff_cache",
    "**/.hypothesis",
    "**/.ipynb_checkpoints",
    "**/.tox",
    "**/.nox",
    "**/.coverage",
    "**/.env",
    "**/.env.*",
    "**/.DS_Store",
    "**/.idea",
    "**/.vscode",
    ".github",
    ".gitignore",
    ".gitattributes",
    ".gitlab-ci.yml",
    ".dockerignore",
    "Dockerfile",
    "wherry.lock",
    "wherry.toml",
)
"""What is left out unless ``include`` in the settings names it."""


def patterns(folder: Folder, settings: Config) -> tuple[tuple[str, ...], str]:
    """The patterns for the build context, and a word on where they are from.

    .dockerignore comes first, then what is never wanted: a broad ``!src/**`` in it must not bring
    compiled files, secrets or a virtual environment along. The settings' exclude and include come last.
    """
    found = ignore.parse(folder.text(IGNORE_FILE), IGNORE_FILE) if folder.has(IGNORE_FILE) else ()
    environments = sorted(
        ignore.escape(name) for name in folder.directories if name != ".venv" and folder.has(f"{name}/pyvenv.cfg")
    )
    left_out: tuple[str, ...] = (*NEVER, *environments, *settings.exclude)
    if any(pattern.startswith("!") for pattern in found):
        left_out = _whole(left_out)
    chosen = settings.include or settings.exclude
    origins = [
        *([IGNORE_FILE] if found else []),
        "the usual exceptions such as .git, .venv and .env",
        *([settings.source] if chosen else []),
    ]
    return (*found, *left_out, *_included(settings)), "all but " + ", ".join(origins)


def only(settings: Config) -> tuple[tuple[str, ...], str]:
    """Patterns that choose what the settings include and nothing else, and a word on that."""
    if not settings.include:
        return NONE, "the project is installed as a wheel; include adds files"
    why = f"the project is installed as a wheel; these are include's in {settings.source}"
    return (*NONE, *_included(settings)), why


def paths(names: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns that leave out just these paths and what is below them."""
    return _whole(tuple(ignore.escape(name) for name in names))


def _included(settings: Config) -> tuple[str, ...]:
    if not settings.include:
        return ()
    return (*(f"!{pattern}" for pattern in _whole(settings.include)), *_whole((_COMPILED,)))


def _whole(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """``patterns`` with all that is below what they match, whatever was said of it before.

    Docker asks a directory's pattern about the directory only, and not at all where it would change nothing.
    """
    return tuple(each for pattern in patterns for each in (pattern, f"{pattern}/**"))

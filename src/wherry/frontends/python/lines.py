"""The lines of a requirements file (pip's file format), and what may stand in one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
"""How the names of distributions end."""

_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def normal(name: str) -> str:
    """A distribution's name, normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file with their numbers: joined at ``\\``, without comments, variables filled in."""
    start, joined = 0, ""
    for number, line in enumerate([*text.split("\n"), ""], 1):
        start = start or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            joined += line[:-1]
            continue
        joined += "" if comment else line
        joined = _COMMENT.sub("", joined).strip()
        if joined:
            yield start, _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[0], joined)
        start, joined = 0, ""


def split_option(line: str) -> tuple[str, str]:
    """``-r FILE``, ``-rFILE``, ``--requirement=FILE`` as option and value; ``("", line)`` for a requirement."""
    if not line.startswith("-"):
        return "", line
    if line.startswith("--"):
        option, _, value = re.sub(r"[\s=]\s*", "\0", line, count=1).partition("\0")
    else:
        option, value = line[:2], line[2:].lstrip(" \t=")
    value = value.strip()
    if value[:1] in {"'", '"'}:
        import shlex

        try:
            value = shlex.split(value)[0]
        except ValueError:
            value = value.strip("'\"")
    return option, value


def is_url(text: str) -> bool:
    """Whether ``text`` begins as a URL does."""
    return _URL.match(text) is not None


def is_remote(text: str) -> bool:
    """Whether ``text`` is a URL of something that is not on this machine."""
    return is_url(text) and not text.lower().startswith("file:")


def is_path(text: str) -> bool:
    """Whether a requirement ``text`` is a path."""
    return text.startswith((".", "/", "~")) or "/" in text.partition("[")[0] or text.endswith(ARCHIVES)


def file_of(text: str) -> str:
    """A path from ``file:`` URLs, as pip takes them: ``file:///abs``, ``file:./relative``; other text as it is."""
    if not text.lower().startswith("file:"):
        return text
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(text).path) if text[5:7] == "//" else unquote(text[5:].partition("#")[0])

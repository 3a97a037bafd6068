"""What a written Dockerfile's build context holds: its .dockerignore, and what only its COPY leaves out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wherry.errors import UsageError
from wherry.plan import BuildContext, Copy, Requirements
from wherry.sources.ignore import Patterns
from wherry.wheels.tree import IGNORED

_HEAD = "# Written by wherry beside the Dockerfile: what stays out of the image, as wherry leaves it out."
_WHOLE_HEAD = "# Written by wherry beside the Dockerfile: what nothing reads. COPY leaves out more."

# .git may be asked for the version.
_UNREAD = tuple(f"**/{name}" for name in IGNORED if name != ".git")


@dataclass(frozen=True, slots=True)
class ContextFiles:
    """``ignore_file`` is a .dockerignore's text; ``copied`` says whether the application has files at all, ``exclude``
    are patterns that only the copy of these leaves out.
    """

    ignore_file: str
    copied: bool
    exclude: tuple[str, ...] = ()


def divided(application: Copy, requirements: Requirements | None) -> ContextFiles:
    """What is left out of the context, and what of the application's copy alone since the compile stage reads it.

    Raises :class:`UsageError` for a pattern that a Dockerfile cannot hold.
    """
    assert isinstance(application.origin, BuildContext)
    patterns = application.origin.ignore
    copied = patterns != ("**",)
    if not _hides(patterns, requirements):
        return ContextFiles(_text(_HEAD, patterns), copied)
    if not copied:
        return ContextFiles(_text(_WHOLE_HEAD, _UNREAD), copied)
    takes_back = any(pattern.startswith("!") for pattern in patterns)
    unread = () if takes_back else tuple(pattern for pattern in patterns if pattern in _UNREAD)
    return ContextFiles(_text(_WHOLE_HEAD, unread), copied, patterns)


def needs_everything(requirements: Requirements) -> bool:
    """Whether the compile stage must see the whole project: for local ones, and for paths that no mount can name."""
    paths = (*requirements.inputs, *(link for link in requirements.indexes.find_links if "://" not in link))
    return bool(requirements.projects) or not all(re.fullmatch(r"[\w./@+-]+", path, re.ASCII) for path in paths)


def exclude_flag(pattern: str) -> str:
    """``--exclude`` of ``pattern``, so that the parser of flags gives it back."""
    return "--exclude=" + re.sub(r"""[\\'"\s]""", r"\\\g<0>", pattern)


def _hides(patterns: tuple[str, ...], requirements: Requirements | None) -> bool:
    """Whether ``patterns`` may leave out what the compile stage reads."""
    if requirements is None:
        return False
    known = Patterns(patterns)
    links = any("://" not in link for link in requirements.indexes.find_links)
    return bool(requirements.projects) or links or any(known.matches(path) for path in requirements.inputs)


def _text(head: str, patterns: tuple[str, ...]) -> str:
    for pattern in patterns:
        if "\n" in pattern or "\r" in pattern:
            raise UsageError(f"the pattern {pattern!r} cannot be written into a .dockerignore: it has two lines")
    return "\n".join((head, *(f"\\{one}" if one.startswith("#") else one for one in patterns))) + "\n"

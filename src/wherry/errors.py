"""What went wrong, where, and what to do about it.

Every failure that a user can cause or meet is a :class:`WherryError`. The command line prints it
without a traceback; any other exception is a bug in Wherry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file: ``line`` and ``column`` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


class WherryError(Exception):
    """Something that the user can understand and act on.

    ``message`` says what is wrong in one or a few lines, ``place`` where, ``hint`` what to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n{self.hint}" if self.hint else head


class UsageError(WherryError):
    """The request itself makes no sense: a wrong option, key, value or project."""

    exit_code = 2


class NetworkError(WherryError):
    """A server could not be reached or did not give what it promised."""


class StoreError(WherryError):
    """The local store cannot be read or written."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be, or ``None``."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of ``known``, or lists them all."""
    known = sorted(known)
    return suggestion(nearest(name, known), known)


def suggestion(near: str | None, known: Iterable[str]) -> str:
    """A hint that names ``near``, or where nothing is near lists all of ``known``."""
    return f"Did you mean {near!r}?" if near else f"Known names: {', '.join(sorted(known))}."

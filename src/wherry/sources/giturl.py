"""Git repositories as build contexts: as everywhere, and ``github.com/…`` and ``file://`` too."""

from __future__ import annotations

from wherry import giturl
from wherry.errors import UsageError
from wherry.plan import Git
from wherry.urls import redacted


def parse_git(text: str) -> Git | None:
    """The repository that ``text`` names as a build context; None if it names none (a path, another URL).

    Raises :class:`UsageError` for a query that makes no sense.
    """
    short = text.startswith("github.com/")
    try:
        return giturl.parse_git(f"https://{text}" if short else text, local=True, any_path=short)
    except ValueError as error:
        hint = f"What may follow the '?': {', '.join(sorted(giturl.QUERIES))}."
        raise UsageError(f"{redacted(text)}: {error}", hint=hint) from None

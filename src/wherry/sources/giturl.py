"""How git repositories are named: ``https://host/path.git#ref:directory``, ``git@host:path``, ``…?tag=v1&subdir=app``.

The forms are BuildKit's (its documentation: "Git repositories", "URL queries").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, unquote_plus

from wherry.errors import UsageError
from wherry.plan import Git
from wherry.urls import redacted

_URL = re.compile(r"(?s)((?:https?|ssh|git|file)://[^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.IGNORECASE)
_SCP = re.compile(r"(?s)([a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^?#]*)(?:\?([^#]*))?(?:#(.*))?")
_QUERIES = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"})
_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}


def parse_git(text: str) -> Git | None:
    """The repository that ``text`` names as a build context; None if it names none (a path, another URL).

    An http(s) or file URL names one only if its path ends in ``.git``; ``github.com/…`` is https. Raises
    :class:`UsageError` for a query that makes no sense.
    """
    if text.startswith("github.com/"):
        text = "https://" + text
        named = True
    else:
        named = False
    found = _URL.fullmatch(text) or _SCP.fullmatch(text)
    if not found:
        return None
    remote, query, fragment = found[1], found[2] or "", unquote(found[3] or "")
    if remote.lower().startswith(("http", "file")) and not remote.endswith(".git") and not named:
        return None
    try:
        values = _query(query)
        ref, _, directory = fragment.partition(":")
        ref = _agreed("ref", ref, values.get("ref", ""))
        directory = _agreed("subdir", directory, values.get("subdir", ""))
        tag, branch = values.get("tag", ""), values.get("branch", "")
        if tag and branch:
            raise ValueError("branch conflicts with tag")
        for name, prefix in ((tag, "refs/tags/"), (branch, "refs/heads/")):
            if name:
                ref = _agreed("ref", ref, prefix + name.removeprefix(prefix))
        checksum = values.get("checksum", values.get("commit", ""))
        _switch(values, "submodules")
        return Git(remote, ref or checksum, directory, _switch(values, "keep-git-dir"), checksum)
    except ValueError as error:
        raise UsageError(
            f"{redacted(text)}: {error}", hint=f"What may follow the '?': {', '.join(sorted(_QUERIES))}."
        ) from None


def _query(text: str) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = (unquote_plus(piece) for piece in part.partition("="))
        if name not in _QUERIES:
            raise ValueError(f"unexpected query {name!r}")
        if name in values:
            raise ValueError(f"query {name!r} has multiple values")
        if not value and name not in {"keep-git-dir", "submodules"}:
            raise ValueError(f"query {name!r} has no value")
        values[name] = value
    return values


def _switch(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "false").lower() or "true"
    if value not in _TRUE | _FALSE:
        raise ValueError(f"invalid {name} value: {value!r}")
    return value in _TRUE


def _agreed(what: str, first: str, second: str) -> str:
    if first and second and first != second:
        raise ValueError(f"{what} conflicts: {first!r} vs {second!r}")
    return first or second

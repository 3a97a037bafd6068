"""Git repositories as ADD names them: ``https://host/path.git#ref:directory``, ``git@host:path``, ``?tag=…``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.frontends.dockerfile.gotext import parse_bool, quote
from wherry.plan import Git

_SCP = r"(?s)([a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:[^?#]*)(?:\?([^#]*))?(?:#(.*))?"
_URL = r"(?s)((?:https?|ssh|git)://[^?#]*)(?:\?([^#]*))?(?:#(.*))?"
_QUERIES = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"})


def parse(text: str) -> Git | None:
    """The repository that ``text`` names, or None if it names none: a path, or a URL that does not end in ``.git``.

    Raises :class:`ValueError` if its query makes no sense.
    """
    if ":" not in text:
        return None
    found = re.fullmatch(_URL, text) or re.fullmatch(_SCP, text)
    if not found:
        return None
    remote, query, fragment = found[1], found[2] or "", found[3] or ""
    if remote.startswith(("http://", "https://")) and not remote.endswith(".git"):
        return None
    ref, _, directory = _unquoted(fragment).partition(":")
    values = _query(query)
    ref = _agreed("ref", ref, values.get("ref", ""))
    directory = _agreed("subdir", directory, values.get("subdir", ""))
    tag, branch = values.get("tag", ""), values.get("branch", "")
    if tag and branch:
        raise ValueError("branch conflicts with tag")
    for name, prefix in ((tag, "refs/tags/"), (branch, "refs/heads/")):
        if name:
            ref = _agreed("ref", ref, name if name.startswith(prefix) else prefix + name)
    checksum = values.get("checksum") or values.get("commit", "")
    return Git(remote, ref or checksum, directory, _switch(values, "keep-git-dir"), checksum)


def _query(text: str) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        name, value = _unquoted(name), _unquoted(value)
        if name not in _QUERIES:
            raise ValueError(f"unexpected query {quote(name)}")
        if name in values:
            raise ValueError(f"query {quote(name)} has multiple values")
        if not value and name not in {"keep-git-dir", "submodules"}:
            raise ValueError(f"query {quote(name)} has no value")
        values[name] = value
    _switch(values, "submodules")
    return values


def _switch(values: Mapping[str, str], name: str) -> bool:
    if name not in values:
        return False
    try:
        return parse_bool(values[name]) if values[name] else True
    except ValueError:
        raise ValueError(f"invalid {name} value: {quote(values[name])}") from None


def _agreed(what: str, first: str, second: str) -> str:
    if first and second and first != second:
        raise ValueError(f"{what} conflicts: {quote(first)} vs {quote(second)}")
    return first or second


def _unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)

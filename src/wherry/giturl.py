"""How git repositories are named: ``https://host/path.git#ref:directory``, ``git@host:path``, ``…?tag=v1&subdir=app``.

The forms are BuildKit's (its documentation: "Git repositories", "URL queries").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wherry.plan import Git

_URL = r"(?si)((?:https?|ssh|git|file)://[^?#]*)(?:\?([^#]*))?(?:#(.*))?"
_SCP = r"(?s)([a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^?#]*)(?:\?([^#]*))?(?:#(.*))?"
_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}
QUERIES = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"})
"""What may follow the ``?``."""


def parse_git(text: str, *, local: bool = False, any_path: bool = False) -> Git | None:
    """The repository that ``text`` names, or None if it names none: a path, or another URL.

    The path of an http(s) or file URL must end in ``.git``, unless ``any_path``; ``local`` lets file URLs be. Raises
    :class:`ValueError`, whose text is meant to be shown, for a query that makes no sense.
    """
    if ":" not in text:
        return None
    found = re.fullmatch(_URL, text) or re.fullmatch(_SCP, text)
    if not found:
        return None
    remote, query, fragment = found[1], found[2] or "", found[3] or ""
    scheme = remote.partition("://")[0].lower()
    if scheme in {"http", "https", "file"} and not (any_path or remote.endswith(".git")):
        return None
    if scheme == "file" and not local:
        return None
    from urllib.parse import unquote

    values = _query(query)
    ref, _, directory = unquote(fragment).partition(":")
    ref = _agreed("ref", ref, values.get("ref", ""))
    directory = _agreed("subdir", directory, values.get("subdir", ""))
    tag, branch = values.get("tag", ""), values.get("branch", "")
    if tag and branch:
        raise ValueError("branch conflicts with tag")
    for name, prefix in ((tag, "refs/tags/"), (branch, "refs/heads/")):
        if name:
            ref = _agreed("ref", ref, prefix + name.removeprefix(prefix))
    checksum = values.get("checksum") or values.get("commit", "")
    _switch(values, "submodules")
    return Git(remote, ref or checksum, directory, _switch(values, "keep-git-dir"), checksum)


def _query(text: str) -> Mapping[str, str]:
    from urllib.parse import unquote_plus

    values: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = (unquote_plus(piece) for piece in part.partition("="))
        if name not in QUERIES:
            raise ValueError(f'unexpected query "{name}"')
        if name in values:
            raise ValueError(f'query "{name}" has multiple values')
        if not value and name not in {"keep-git-dir", "submodules"}:
            raise ValueError(f'query "{name}" has no value')
        values[name] = value
    return values


def _switch(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "false").lower() or "true"
    if value not in _TRUE | _FALSE:
        raise ValueError(f'invalid {name} value: "{value}"')
    return value in _TRUE


def _agreed(what: str, first: str, second: str) -> str:
    if first and second and first != second:
        raise ValueError(f'{what} conflicts: "{first}" vs "{second}"')
    return first or second

"""What a lock names, found without reading all of it: a lock may have ten thousand lines, and every build asks."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

from wherry.wheels.locked.pins import canonical

_NAME = re.compile(r"""^name\s*=\s*["']([^"']+)["']""", re.MULTILINE)
_GROUPS = re.compile(r"^groups\s*=\s*\[([^\]]*)\]", re.MULTILINE)
_MARKERS = re.compile(r"^markers\s*=\s*(.+)$", re.MULTILINE)
_OPTIONAL = re.compile(r"^optional\s*=\s*true\s*$", re.MULTILINE)
_EXTRA = re.compile(r"""\bextra\s*==\s*\\?["']([^"'\\]+)""")
_QUOTED = re.compile(r"""["']([^"']+)["']""")
_YAML_NAME = re.compile(r"^\s*-?\s*name:\s*([^\s]+)\s*$", re.MULTILINE)
_LOCAL = re.compile(r"""^type\s*=\s*["'](?:directory|file)["']|^path\s*=|^\s*"(?:path|file)":""", re.MULTILINE)


def names(text: str, kind: str, extras: Collection[str], groups: Collection[str]) -> frozenset[str]:
    """The normalised names in a lock, as far as can be told without those for other extras and groups only."""
    if kind == "conda-lock":
        return frozenset(map(canonical, _YAML_NAME.findall(text)))
    if kind == "Pipfile.lock":
        return frozenset(_of_pipfile(text, groups))
    return frozenset(_of_packages(text, frozenset(extras), frozenset({"main", "default", *extras, *groups})))


def has_local(text: str) -> bool:
    """Whether a lock names files or projects beside it."""
    return _LOCAL.search(text) is not None


def _of_packages(text: str, extras: frozenset[str], wanted: frozenset[str]) -> Iterator[str]:
    for chunk in text.split("\n[[package]]\n")[1:]:
        name, groups = _NAME.search(chunk), _GROUPS.search(chunk)
        if name is None or (groups and wanted.isdisjoint(map(canonical, _QUOTED.findall(groups[1])))):
            continue
        if _OPTIONAL.search(chunk) and not _asked(chunk, extras):
            continue
        yield canonical(name[1])


def _asked(chunk: str, extras: frozenset[str]) -> bool:
    """Whether an optional package may come with the extras; older locks do not tell with which."""
    markers = _MARKERS.search(chunk)
    if markers is None or "extra" not in markers[1]:
        return bool(extras)
    return any(canonical(name) in extras for name in _EXTRA.findall(markers[1]))


def _of_pipfile(text: str, groups: Collection[str]) -> Iterator[str]:
    try:
        values: object = json.loads(text)
    except ValueError:  # told when it is read in earnest
        return
    wanted = {"default", *groups, *(["develop"] if {"dev", "dev-packages"} & set(groups) else [])}
    for category, entries in values.items() if isinstance(values, dict) else ():
        if canonical(category) in wanted and isinstance(entries, dict):
            yield from map(canonical, entries)

"""Pipfile.lock, of pipenv."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256

from wherry.errors import Place, UsageError
from wherry.wheels.locked.pins import (
    Environment,
    Locked,
    Pinned,
    applies,
    canonical,
    filled,
    hashes,
    listing,
    read_toml,
    table,
    tables,
    text,
)

FILE = "Pipfile.lock"
_PROJECT = "Pipfile"
_HINT = "Run `pipenv lock`."
_SECTIONS = {"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}
_CATEGORIES = {"dev": "develop", "dev-packages": "develop", "packages": "default"}  # what people call them
_MARKERS = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release"),
    *("platform_system", "platform_version", "python_version", "python_full_version"),
    *("implementation_name", "implementation_version"),
)
_UNREQUIRED = ("*", "")


def check_current(lock: str, pipfile: str) -> None:
    """Raise :class:`UsageError` unless the lock is that of the Pipfile, by pipenv's own hash."""
    meta = table(_read(lock), "_meta")
    # A Pipfile that names no source has pipenv's own, which the lock tells.
    values = {"source": meta.get("sources", []), **read_toml(pipfile, _PROJECT)}
    if text(table(meta, "hash"), "sha256") not in content_hashes(values):
        raise UsageError(f"{FILE} does not match {_PROJECT}", hint=_HINT)


def content_hashes(pipfile: Mapping[str, object]) -> frozenset[str]:
    """The hashes that versions of pipenv give a Pipfile: newer ones normalise the names."""
    return frozenset(_hash(pipfile, normalise=normalise) for normalise in (True, False))


def _hash(pipfile: Mapping[str, object], *, normalise: bool) -> str:
    def section(name: str) -> object:
        value = pipfile.get(name, {})
        return {canonical(key): item for key, item in value.items()} if normalise and isinstance(value, dict) else value

    content = {
        "_meta": {"sources": pipfile.get("source", {}), "requires": pipfile.get("requires", {})},
        "default": section("packages"),
        "develop": section("dev-packages"),
        **{name: section(name) for name in pipfile if name not in _SECTIONS},
    }
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def categories(lock: str) -> frozenset[str]:
    """The groups that a lock has, under all names that they go by."""
    found = {name for name in _read(lock) if name not in {"_meta", "default"}}
    return frozenset(found | ({"dev", "dev-packages"} if "develop" in found else set()))


def sources(pipfile: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The indexes that a Pipfile names."""
    listed = tables(read_toml(pipfile, _PROJECT).get("source"))
    return {text(one, "name"): filled(text(one, "url"), environ, _PROJECT) for one in listed}


def pinned(
    lock: str,
    environment: Environment | None,
    *,
    groups: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Locked:
    """What `pipenv sync` would install, with the ``groups`` (``dev``, or a category's name), in ``environment``.

    Raises :class:`UsageError` for a lock that is broken, or has no such group.
    """
    values = _read(lock)
    listed = tables(table(values, "_meta").get("sources"))
    urls = {text(one, "name"): text(one, "url") for one in listed}
    found: dict[str, Pinned] = {}
    by_name = {canonical(name): name for name in values if name != "_meta"}
    for group in ("default", *groups):
        category = by_name.get(_CATEGORIES.get(group, canonical(group)))
        if category is None:
            have = ", ".join(sorted(categories(lock))) or "none"
            raise UsageError(f"{FILE} has no group {group!r}", hint=f"It has: {have}.")
        for name, entry in table(values, category).items():
            if isinstance(entry, Mapping) and all(applies(marker, environment) for marker in _markers(entry)):
                index = urls.get(text(entry, "index"), next(iter(urls.values()), ""))
                pin = _pin(canonical(name), entry)
                if pin.is_from_index:
                    pin = _from(pin, filled(index, environ, FILE))
                found.setdefault(pin.name, pin)
    return Locked(tuple(found.values()))


def _from(pin: Pinned, index: str) -> Pinned:
    from dataclasses import replace

    if not pin.version:
        raise UsageError(f"{FILE} has no version for {pin.name}", hint=_HINT)
    return replace(pin, indexes=(index,) if index else ())


def _markers(entry: Mapping[str, object]) -> Iterator[str]:
    """The markers of an entry: as one, or by the variable (``sys_platform = "== 'win32'"``)."""
    yield text(entry, "markers")
    yield from (f"{name} {text(entry, name)}" for name in _MARKERS if text(entry, name))


def _pin(name: str, entry: Mapping[str, object]) -> Pinned:
    version = text(entry, "version").removeprefix("==").strip()
    version = "" if version in _UNREQUIRED else version
    allowed = hashes(listing(entry.get("hashes")))
    below = text(entry, "subdirectory")
    if git := text(entry, "git"):
        return Pinned(name, version, git=git.removeprefix("git+"), commit=text(entry, "ref"), subdirectory=below)
    place = text(entry, "path", "file")
    if "://" in place and not place.startswith("file:"):
        return Pinned(name, version, allowed, url=place, subdirectory=below)
    if place:
        return Pinned(name, version, allowed, path=place.removeprefix("file:"), subdirectory=below)
    return Pinned(name, version, allowed)


def _read(lock: str) -> Mapping[str, object]:
    try:
        values: object = json.loads(lock)
    except ValueError as error:
        raise UsageError(f"not valid JSON: {error}", place=Place(FILE), hint=_HINT) from None
    return values if isinstance(values, dict) else {}

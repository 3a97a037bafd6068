"""What Wherry's own ``config.toml`` says of registries: a table ``[registry."HOST"]`` for each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.registry.configfile import Table, read_table, user_folder
from wherry.registry.location import Location, parse_host

_KEYS = ("mirrors", "insecure", "blocked", "ca", "cert", "key")
_QUOTES = 'The host is written in quotes: [registry."docker.io"].'


@dataclass(frozen=True, slots=True)
class Settings:
    """What is said of one registry, None where nothing is said; ``file`` says it."""

    file: str
    mirrors: tuple[Location, ...] | None = None
    insecure: bool | None = None
    blocked: bool | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def read_settings() -> Mapping[str, Settings]:
    """The settings by the registry's name, from the file in WHERRY_CONFIG, else ``wherry/config.toml`` of this user.

    Raises :class:`UsageError` for a file that is not as it should be.
    """
    if named := os.environ.get("WHERRY_CONFIG"):
        document = read_table(Path(named), named_by="WHERRY_CONFIG")
    else:
        folder = user_folder()
        document = read_table(folder / "wherry" / "config.toml") if folder else None
    if document is None:
        return {}
    document.expect(("registry",))
    registries = document.table("registry")
    found: dict[str, Settings] = {}
    for name in registries.values:
        table = registries.table(name)
        host = parse_host(name, place=table.place)
        if host in found:
            raise UsageError(f"{table.name} is another name of a registry that has settings", place=table.place)
        found[host] = _settings(table)
    return found


def _settings(table: Table) -> Settings:
    unquoted = any(isinstance(value, Mapping) for value in table.values.values())
    table.expect(_KEYS, _QUOTES if unquoted else None)
    mirrors = table.strings("mirrors")
    settings = Settings(
        table.file,
        None if mirrors is None else tuple(Location.parse(text, place=table.place) for text in mirrors),
        table.boolean("insecure"),
        table.boolean("blocked"),
        _file(table, "ca"),
        _file(table, "cert"),
        _file(table, "key"),
    )
    if settings.key and not settings.cert:
        raise UsageError(f"{table.path('key')} is of no use without cert", place=table.place)
    return settings


def _file(table: Table, key: str) -> Path | None:
    """A path, which starts at the folder that holds the configuration; ``~`` is the home folder."""
    text = table.string(key)
    if not text:
        return None
    try:
        return Path(table.file).absolute().parent / Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{table.path(key)}: there is no home folder for ~", place=table.place) from None

"""What Podman's registries.conf says of registries (containers-registries.conf(5), version 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from wherry.errors import UsageError
from wherry.image.reference import Reference
from wherry.registry.configfile import Table, read_table, user_folder
from wherry.registry.location import HUB, Location, canonical, parse_host

MACHINE = (Path("/etc/containers"), Path("/usr/share/containers"))
"""The folders of the machine's own configuration, the strongest first."""

_NAMED = "CONTAINERS_REGISTRIES_CONF"
_LAST = "CONTAINERS_REGISTRIES_CONF_OVERRIDE"
_PULLS = {"all": (True, True), "digest-only": (False, True), "tag-only": (True, False)}


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another place for the images of a rule: for those named by tag, by digest, or both."""

    location: Location
    insecure: bool = False
    by_tag: bool = True
    by_digest: bool = True

    def serves(self, reference: Reference) -> bool:
        """Whether ``reference`` may be looked for here."""
        return self.by_digest if reference.digest else self.by_tag


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the names that begin with ``prefix``; ``file`` says it.

    ``location`` takes the place of the prefix; without it, names are what they are.
    """

    prefix: str
    file: str
    location: Location | None = None
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()

    def rest(self, reference: Reference) -> str | None:
        """The path of ``reference`` after the prefix; None if the rule does not hold for it."""
        host = canonical(reference.host)
        if self.prefix.startswith("*."):
            return reference.path if host.partition(":")[0].endswith(self.prefix[1:]) else None
        name = f"{host}/{reference.path}"
        if name.startswith(f"{self.prefix}/"):
            return name[len(self.prefix) + 1 :]
        tag = f":{reference.tag}" if reference.tag else ""
        digest = f"@{reference.digest}" if reference.digest else ""
        return "" if self.prefix in {name, name + tag, name + digest, name + tag + digest} else None


@dataclass(frozen=True, slots=True)
class RegistriesConf:
    """Rules by their prefixes, the registries to search for names without one, and what short names stand for."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    search: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def rule(self, reference: Reference) -> Rule | None:
        """The rule for ``reference``: the one with the longest prefix."""
        fitting = [rule for rule in self.rules.values() if rule.rest(reference) is not None]
        return max(fitting, key=lambda rule: len(rule.prefix), default=None)

    def overlaid(self, later: RegistriesConf) -> RegistriesConf:
        """This with what ``later`` says on top; an alias that it makes empty is none."""
        aliases = {name: value for name, value in {**self.aliases, **later.aliases}.items() if value}
        search = self.search if later.search is None else later.search
        return RegistriesConf({**self.rules, **later.rules}, search, aliases)


def read_registries_conf() -> RegistriesConf:
    """All files that count, in their order. Raises :class:`UsageError` for one that is not as it should be."""
    conf = RegistriesConf()
    for table in _tables():
        conf = conf.overlaid(_conf(table))
    return conf


def _tables() -> Iterator[Table]:
    """What the files hold, the weakest first."""
    own = user_folder()
    folders = [*([own / "containers"] if own else []), *MACHINE]
    if named := os.environ.get(_NAMED):
        yield from _read([Path(named)], _NAMED)
    else:
        yield from islice(_read(folder / "registries.conf" for folder in folders), 1)  # the first that is there
        pieces: dict[str, Path] = {}
        for folder in reversed(folders):  # of two files with one name the stronger folder's counts
            pieces.update((path.name, path) for path in _pieces(folder / "registries.conf.d"))
        yield from _read(pieces[name] for name in sorted(pieces))
    if named := os.environ.get(_LAST):
        yield from _read([Path(named)], _LAST)


def _read(paths: Iterable[Path], named_by: str = "") -> Iterator[Table]:
    return (table for path in paths if (table := read_table(path, named_by=named_by)))


def _pieces(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in folder.iterdir() if path.suffix == ".conf" and not path.is_dir()]
    return []


# -- one file ----------------------------------------------------------------------------------------


def _conf(table: Table) -> RegistriesConf:
    if "registries" in table.values:
        raise UsageError(
            "this is version 1 of registries.conf, and Wherry knows version 2",
            place=table.place,
            hint=f"Write [[registry]] tables (containers-registries.conf(5)), or name another file in {_NAMED}.",
        )
    rules: dict[str, Rule] = {}
    for registry in table.tables("registry"):
        rule = _rule(registry)
        rules.setdefault(rule.prefix, rule)  # within a file the first counts
    search = table.strings("unqualified-search-registries")
    hosts = None if search is None else tuple(parse_host(host, place=table.place) for host in search)
    aliases = table.table("aliases")
    return RegistriesConf(rules, hosts, {name: _alias(aliases, name) for name in aliases.values})


def _rule(table: Table) -> Rule:
    location = (table.string("location") or "").rstrip("/")
    prefix = (table.string("prefix") or location).rstrip("/")
    if not prefix:
        raise UsageError("a [[registry]] has neither prefix nor location", place=table.place)
    suffix = _suffix(prefix)
    if prefix.startswith("*."):
        if set(prefix) & set("/:@"):
            raise UsageError(f"the prefix {prefix!r} should be *.HOST and nothing more", place=table.place)
        prefix = prefix.lower()
    else:
        part = Location.parse(prefix.removesuffix(suffix), place=table.place)
        prefix = (f"{part.host}/{part.path}" if part.path else part.host) + suffix
    only_digests = bool(table.boolean("mirror-by-digest-only"))
    return Rule(
        prefix,
        table.file,
        Location.parse(location.removesuffix(suffix), place=table.place) if location else None,
        bool(table.boolean("insecure")),
        bool(table.boolean("blocked")),
        tuple(_mirror(mirror, only_digests, suffix) for mirror in table.tables("mirror")),
    )


def _mirror(table: Table, only_digests: bool, suffix: str) -> Mirror:
    pulls = table.string("pull-from-mirror") or "all"
    if pulls not in _PULLS:
        raise UsageError(f"{table.path('pull-from-mirror')} must be one of {', '.join(_PULLS)}", place=table.place)
    by_tag, by_digest = _PULLS[pulls]
    location = Location.parse((table.string("location") or "").removesuffix(suffix), place=table.place)
    return Mirror(location, bool(table.boolean("insecure")), by_tag and not only_digests, by_digest)


def _suffix(prefix: str) -> str:
    """The tag and digest at the end of a prefix, which its locations then have, too."""
    name = prefix.partition("@")[0]
    slash, colon = name.rfind("/"), name.rfind(":")
    return prefix[colon if 0 < slash < colon else len(name) :]


def _alias(table: Table, name: str) -> str:
    """What the short name stands for: a name with its registry, and with neither tag nor digest; or nothing."""
    value = table.string(name) or ""
    if value:
        location = Location.parse(value, place=table.place)
        parsed = Reference.parse(value)
        if not location.path or (parsed.host == HUB and location.host != HUB):
            raise UsageError(f"{table.path(name)} should be a name with its registry", place=table.place)
    return value

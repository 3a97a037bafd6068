"""What a lock comes to on a target, as values; and what reading locks of any format needs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wherry.errors import Place, UsageError
from wherry.wheels.requirements import expanded

if TYPE_CHECKING:
    from packaging.pylock import Package

Environment = Mapping[str, str]
"""A marker environment (PEP 508). Where None is taken, too, it stands for any: every marker applies."""

Tables = list[Mapping[str, object]]

_EXTRA = re.compile(
    r"""extra\s*(?P<operator>==|!=)\s*["'](?P<name>[^"']+)["']|["'](?P<first>[^"']+)["']\s*(?P<after>==|!=)\s*extra\b"""
)
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'


@dataclass(frozen=True, slots=True)
class Pinned:
    """One distribution of a lock.

    Its files are on the first of ``indexes`` that has its ``version`` (none, or an empty one: what this machine's
    settings say), at a ``url``, at a ``path`` relative to the lock, or come from the ``commit`` of the repository
    ``git``, for which ``revision`` was asked. ``subdirectory`` is where in these the project lies; ``hashes``
    (``sha256:…``) are those of all its files.
    """

    name: str
    version: str = ""
    hashes: frozenset[str] = frozenset()
    indexes: tuple[str, ...] = field(default=(), repr=False)  # they may hold a password
    url: str = ""
    path: str = ""
    git: str = ""
    commit: str = ""
    revision: str = ""
    subdirectory: str = ""

    @property
    def is_from_index(self) -> bool:
        """Whether only an index can say where its files are."""
        return not (self.url or self.path or self.git)

    @property
    def is_project(self) -> bool:
        """Whether it is a local project, and not a file."""
        return bool(self.path) and not self.path.endswith(ARCHIVES)


@dataclass(frozen=True, slots=True)
class Locked:
    """The pins for a target, and the Pythons (a specifier set, or empty) that the lock was made for."""

    pins: tuple[Pinned, ...]
    python: str = ""

    def by_indexes(self) -> Iterator[tuple[tuple[str, ...], tuple[Pinned, ...]]]:
        """The pins that indexes have, with these indexes."""
        listed = [pin for pin in self.pins if pin.is_from_index]
        for indexes in dict.fromkeys(pin.indexes for pin in listed):
            yield indexes, tuple(pin for pin in listed if pin.indexes == indexes)


ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
"""What the names of files end with that a distribution can be installed from."""


def package(pin: Pinned, what: str) -> Package:
    """A pin that is not on an index, as an entry of a lock (PEP 751).

    Raises :class:`UsageError` that names ``what`` for a file without a hash, and for a repository without a commit.
    """
    from packaging.pylock import Package, PackageArchive, PackageDirectory, PackageVcs
    from packaging.utils import canonicalize_name

    name = canonicalize_name(pin.name)
    below = pin.subdirectory or None
    if pin.git:
        if not pin.commit:
            raise UsageError(f"{what} has no commit for {pin.name}", hint="Write the lock anew.")
        asked = pin.revision if pin.revision != pin.commit else ""
        vcs = PackageVcs(
            type="git", url=_as_url(pin.git), commit_id=pin.commit, requested_revision=asked or None, subdirectory=below
        )
        return Package(name=name, vcs=vcs)
    path = posixpath.normpath(pin.path) if pin.path else None
    if pin.is_project:
        return Package(name=name, directory=PackageDirectory(path=path or ".", subdirectory=below))
    hashes = dict(one.split(":", 1) for one in sorted(pin.hashes))
    if not hashes:
        raise UsageError(f"{what} has no hash for {pin.name}, at {pin.url or pin.path}", hint="Write the lock anew.")
    archive = PackageArchive(url=pin.url or None, path=path, hashes=hashes, subdirectory=below)
    return Package(name=name, archive=archive)


def _as_url(place: str) -> str:
    """A repository's place as a URL; ``git@host:path`` is ssh's short form of one."""
    short = re.fullmatch(r"([^/:@]+@[^/:]+):(?!/)(.+)", place)
    return f"ssh://{short[1]}/{short[2]}" if short else place


def applies(marker: str, environment: Environment | None, extras: Collection[str] = ()) -> bool:
    """Whether ``marker`` (empty: always) holds, with any number of ``extras``, normalised, asked for."""
    from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

    if not marker.strip():
        return True
    told = _EXTRA.sub(lambda found: _ALWAYS if _asked(found, extras) else _NEVER, marker)
    if environment is None:
        return told == marker or _possible(told)
    try:
        return Marker(told).evaluate(dict(environment))
    except (InvalidMarker, UndefinedEnvironmentName) as error:
        raise UsageError(f"{marker!r} is not a marker: {error}", hint="Write the lock anew.") from None


def _asked(found: re.Match[str], extras: Collection[str]) -> bool:
    name, operator = found["name"] or found["first"], found["operator"] or found["after"]
    return (canonical(name) in extras) == (operator == "==")


def _possible(told: str) -> bool:
    """Whether some environment may satisfy a marker whose extras are decided: those decided against must not bind."""
    return _NEVER not in told or " or " in told or _ALWAYS in told


def canonical(name: str) -> str:
    """A normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def hashes(values: Iterable[object]) -> frozenset[str]:
    """``algorithm:digits`` of texts that have an algorithm, or are a SHA-256 alone."""
    texts = [str(value).lower() for value in values]
    return frozenset(text if ":" in text else f"sha256:{text}" for text in texts if text)


def with_login(url: str, user: str, password: str) -> str:
    """``url`` with credentials, unless it has some or there are none."""
    from urllib.parse import quote, urlsplit, urlunsplit

    parts = urlsplit(url)
    if not (user or password) or "@" in parts.netloc:
        return url
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def filled(url: str, environ: Mapping[str, str], what: str) -> str:
    """``url`` with ``${NAME}`` filled in. Raises :class:`UsageError` that names ``what`` for one without a value."""
    found = expanded(url, environ)
    if missing := re.search(r"\$\{([^}]+)\}", found):
        hint = f"Set it: {missing[1]}=… wherry build …"
        raise UsageError(f"{what} takes the variable {missing[1]}, which is not set", hint=hint)
    return found


def read_toml(text: str, path: str) -> Mapping[str, object]:
    """A TOML file's content. Raises :class:`UsageError` at ``path`` if it is none."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {error}", place=Place(path)) from None


def table(value: object, *path: str) -> Mapping[str, object]:
    """The table at ``path`` below ``value``; an empty one if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def listing(value: object) -> list[object]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def tables(value: object) -> Tables:
    """The tables in a list."""
    return [item for item in listing(value) if isinstance(item, Mapping)]


def text(value: Mapping[str, object], *names: str) -> str:
    """The first text among the ``names`` of a table, or an empty one."""
    return next((found for name in names if isinstance(found := value.get(name), str)), "")

"""A registry, or a part of one, as configuration names it: ``host[:port][/path]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wherry.errors import Place, UsageError

HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HUB_NAMES = frozenset({HUB, "index.docker.io", _HUB_HOST})
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"(?:{_COMPONENT}(?:/{_COMPONENT})*)?")


@dataclass(frozen=True, slots=True)
class Location:
    """A registry's name and a path in it, which may be empty. Docker Hub's name is docker.io."""

    host: str
    path: str = ""

    @classmethod
    def parse(cls, text: str, *, place: Place | None = None) -> Location:
        """Read ``host[:port][/path]``. Raises :class:`UsageError`, at ``place``, for anything else."""
        host, _, path = text.rstrip("/").partition("/")
        host = canonical(host)
        if not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
            hint = "Write it without https://." if "://" in text else None
            raise UsageError(f"{text!r} is no host[:port][/path] of a registry", place=place, hint=hint)
        return cls(host, path)

    def below(self, rest: str) -> Location:
        """The location of ``rest`` in this one. Docker Hub's own images are in ``library``."""
        path = "/".join(part for part in (self.path, rest) if part)
        if self.host == HUB and path and "/" not in path:
            path = f"library/{path}"
        return Location(self.host, path)


def parse_host(text: str, *, place: Place | None = None) -> str:
    """The name of a whole registry, ``host[:port]``. Raises :class:`UsageError`, at ``place``, for anything else."""
    location = Location.parse(text, place=place)
    if location.path:
        raise UsageError(f"{text!r} is a part of a registry, where a whole one is wanted", place=place)
    return location.host


def canonical(host: str) -> str:
    """The one name of a registry that has several."""
    host = host.lower()
    return HUB if host in _HUB_NAMES else host


def connected(host: str) -> str:
    """The host that serves the registry ``host``."""
    return _HUB_HOST if canonical(host) == HUB else host


def is_loopback(host: str) -> bool:
    """Whether ``host[:port]`` is this machine: localhost, 127.0.0.0/8 or ::1."""
    from ipaddress import ip_address

    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return name.lower() == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False

"""Image references as Docker writes them: ``[host[:port]/]path[:tag][@digest]`` (distribution's reference grammar)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from wherry.errors import UsageError, WherryError, nearest
from wherry.image.digest import Digest, parse_digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DEFAULT_HOST = "docker.io"
_HINT = "A reference is [host[:port]/]name[:tag][@sha256:…]; a name is lower case."


@dataclass(frozen=True, slots=True)
class Reference:
    """A name for an image. ``tag`` is empty only if a digest is given."""

    host: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read and normalise a reference: ``python`` is ``docker.io/library/python:latest``.

        Raises :class:`UsageError` if it is malformed.
        """
        rest, at, digest_text = text.partition("@")
        digest = _digest(digest_text, text) if at else None
        slash, colon = rest.rfind("/"), rest.rfind(":")
        tag = ""
        if colon > slash:
            rest, tag = rest[:colon], rest[colon + 1 :]
            if not _TAG.fullmatch(tag):
                raise UsageError(f"invalid tag in image reference {text!r}", hint=_HINT)
        first, separator, path = rest.partition("/")
        if separator and _is_host(first):
            host = first
        else:
            host, path = _DEFAULT_HOST, rest
        if host in {_DEFAULT_HOST, "index.docker.io"}:
            host = _DEFAULT_HOST
            path = path if "/" in path else f"library/{path}"
        if not _PATH.fullmatch(path) or len(path) > 255 or not _HOST.fullmatch(host):
            raise UsageError(f"invalid image reference {text!r}", hint=_HINT)
        return cls(host, path, tag or ("" if digest else "latest"), digest)

    def __str__(self) -> str:
        """The full form; parsing it gives an equal reference."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.path}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The short form that people write: without Docker Hub's host and ``library/``. Parsing it gives the same."""
        name = f"{self.host}/{self.path}"
        if self.host == _DEFAULT_HOST:
            first, separator, rest = self.path.partition("/")
            if first == "library" and "/" not in rest:
                name = rest
            elif separator and not _is_host(first):
                name = self.path
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"


def _is_host(first: str) -> bool:
    """Whether the part before the first ``/`` is a host and not the beginning of a path on Docker Hub."""
    return first == "localhost" or any(mark in first for mark in ".:[") or first != first.lower()


def _digest(text: str, whole: str) -> Digest:
    try:
        return parse_digest(text)
    except WherryError:
        raise UsageError(f"invalid digest in image reference {whole!r}", hint=_HINT) from None


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` image names that ``name`` was probably meant to be. ``:latest`` does not count: it is there
    unless somebody writes another tag, and makes short names alike.
    """
    with suppress(UsageError):
        name = Reference.parse(name).familiar
    shown = {one.removesuffix(":latest"): one for one in known}
    found = nearest(name.removesuffix(":latest"), shown)
    return shown[found] if found else None

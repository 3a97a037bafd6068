"""A file that ADD fetches, or a context behind a URL: kept by its hash, asked for again only as HTTP caches do.

What a server said of a URL (ETag, Last-Modified) is kept in the cache index; a next build sends it along, and a server
that has nothing newer says so in a few bytes (RFC 9110, section 13; RFC 9111, section 4.3).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wherry.errors import NetworkError, UsageError
from wherry.events import Task
from wherry.fetch import Download, Fetcher, HashMismatch
from wherry.image.json import JsonObject
from wherry.store import Store
from wherry.urls import redacted

UNNAMED = "__unnamed__"
"""The name of a file whose URL has none, as BuildKit has it."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A fetched file: where it is, and what it is as a file of a layer.

    ``digest`` (``sha256:…``) is its content's, ``name`` the last part of the URL's path, ``mtime`` what the server says
    of its last change (seconds since 1970), or 0.
    """

    path: Path
    name: str
    digest: str
    size: int
    mtime: int = 0
    mode: int = 0o600


def fetch_remote(url: str, checksum: str = "", *, store: Store, fetcher: Fetcher, task: Task) -> RemoteFile:
    """The file at ``url`` (http or https) as it is now.

    With a ``checksum`` (``sha256:…``, ``sha384:…`` or ``sha512:…``) a file that is here already is not asked for again,
    and another is refused. Raises :class:`HashMismatch`; :class:`NetworkError` if it cannot be fetched, or may not be.
    """
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise UsageError(f"{redacted(url)} is not an http or https URL")
    key = f"url {sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()}"  # which may hold a password
    with store.once(key):
        known = store.cache.get(key) or {}
        path = _kept(_text(known, "digest"), fetcher)
        wanted = _download(url, checksum) if checksum else None
        if wanted is not None:
            found = fetcher.cached(wanted)
            if found is None and path is not None and _has(path, wanted):
                found = path
            if found is not None:
                task.cached()
                fits = path is not None and found.samefile(path)
                return _file(found, url, known if fits else {})
        elif path is not None and fetcher.offline:
            task.cached()
            return _file(path, url, known)
        taken, answer = fetcher.latest(url, headers=_conditions(known) if path else {}, advance=task.advance)
        if taken is None:
            if path is None:
                raise NetworkError(f"{redacted(url)}: the server says that nothing was modified, unasked")
            task.cached()
            return _file(_checked(path, url, wanted), url, known)
        _checked(taken, url, wanted)
        value: JsonObject = {
            "digest": f"sha256:{taken.name}",
            "etag": answer.get("etag", ""),
            "modified": answer.get("last-modified", ""),
        }
        store.cache.put(key, value)
        return _file(taken, url, value)


def name_of_url(url: str) -> str:
    """The name that a file at ``url`` gets: the last part of its path."""
    name = posixpath.basename(posixpath.normpath(unquote(urlsplit(url).path, errors="surrogateescape")))
    return name if name not in {"", ".", ".."} and "\0" not in name else UNNAMED


def _download(url: str, checksum: str) -> Download:
    algorithm, _, digits = checksum.partition(":")
    if algorithm not in {"sha256", "sha384", "sha512"}:
        raise UsageError(f"unsupported digest algorithm in checksum {checksum!r}", hint="Write it as sha256:….")
    return Download(url, {algorithm: digits})


def _kept(digest: str, fetcher: Fetcher) -> Path | None:
    return fetcher.cached(Download("", {"sha256": digest.removeprefix("sha256:")})) if digest else None


def _has(path: Path, wanted: Download) -> bool:
    import hashlib

    algorithm, digits = wanted.key
    if algorithm == "sha256":
        return path.name == digits
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digits


def _checked(path: Path, url: str, wanted: Download | None) -> Path:
    if wanted is not None and not _has(path, wanted):
        algorithm, digits = wanted.key
        found = f"sha256:{path.name}" if algorithm == "sha256" else f"another file (sha256:{path.name})"
        raise HashMismatch(
            f"digest mismatch for {redacted(url)}: {found} (expected: {algorithm}:{digits})",
            hint="Either the file was replaced where it is served, or the checksum is wrong.",
        )
    return path


def _conditions(known: Mapping[str, object]) -> dict[str, str]:
    """Ask only for what is newer. An ETag is better than a time."""
    if etag := _text(known, "etag"):
        return {"If-None-Match": etag}
    if modified := _text(known, "modified"):
        return {"If-Modified-Since": modified}
    return {}


def _file(path: Path, url: str, known: Mapping[str, object]) -> RemoteFile:
    digest = f"sha256:{path.name}"
    if path.parent.name != "sha256":
        import hashlib

        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return RemoteFile(path, name_of_url(url), digest, path.stat().st_size, _time(_text(known, "modified")))


def _text(known: Mapping[str, object], name: str) -> str:
    value = known.get(name)
    return value if isinstance(value, str) else ""


def _time(text: str) -> int:
    from email.utils import parsedate_to_datetime

    try:
        return max(int(parsedate_to_datetime(text).timestamp()), 0) if text else 0
    except (ValueError, OverflowError):
        return 0

"""Blobs to a registry: not sent if they are there, mounted if they are next door, resumed where sending broke off.

OCI distribution-spec, "Pushing blobs", "Mounting a blob from another repository". A blob is sent in one piece, which
all registries take; only what is left after a break goes on in a piece of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from wherry.errors import NetworkError, StoreError
from wherry.fetch.attempts import Again, Stopped, attempts
from wherry.fetch.transfer import Advance
from wherry.image import Descriptor, Digest
from wherry.registry.client import joined
from wherry.registry.errors import Refused
from wherry.registry.repository import Repository

if TYPE_CHECKING:
    import httpx

_PIECE = 1 << 18
_LOST = frozenset({404, 409, 416})  # statuses of a session that has gone, or is elsewhere than we believe
_DAMAGED = frozenset({"DIGEST_INVALID", "BLOB_UPLOAD_INVALID", "SIZE_INVALID"})  # what arrived is not what was sent


def upload(repository: Repository, descriptor: Descriptor, path: Path, advance: Advance, *, neighbour: str = "") -> int:
    """See to it that the blob at ``path`` is in ``repository``; gives the number of bytes that were sent.

    ``neighbour`` is the path of a repository of the same registry that has it. ``advance`` is told of the blob's bytes,
    sent or not. Raises :class:`~wherry.errors.NetworkError`, :class:`StoreError` if the file is not there.
    """
    sending = _Sending(repository, descriptor, path, advance)
    for attempt in attempts(f"{repository.name}@{descriptor.digest}", repository.client.stop):
        with attempt:
            if repository.has(descriptor.digest):
                sending.tell(descriptor.size)
                return sending.sent
            location = sending.begin(neighbour)
            try:
                sending.send(location)
            except Refused as error:
                if error.status in _LOST or _DAMAGED & {*error.codes}:
                    sending.tell(0)
                    raise Again(error.message) from error
                raise
            return sending.sent
    raise AssertionError


def mount(repository: Repository, digest: Digest, neighbour: str) -> bool:
    """Whether the registry takes a blob over from its own repository ``neighbour``, of which nothing comes here."""
    place = f"blobs/uploads/?mount={quote(digest, safe=':')}&from={quote(neighbour, safe='')}"
    scopes = (f"repository:{neighbour}:pull",)
    for attempt in attempts(repository.name, repository.client.stop):
        with attempt:
            try:
                with repository.send("POST", place, headers={"Content-Length": "0"}, scopes=scopes) as response:
                    return response.status_code == 201
            except Refused:  # not ours to read, or never heard of
                return False
    raise AssertionError


class _Sending:
    """One blob on its way."""

    def __init__(self, repository: Repository, descriptor: Descriptor, path: Path, advance: Advance) -> None:
        self.sent = 0
        self._repository = repository
        self._descriptor = descriptor
        self._path = path
        self._advance = advance
        self._told = 0

    def tell(self, size: int) -> None:
        """Let the bytes reported be ``size`` in all."""
        if size != self._told:
            self._advance(size - self._told)
            self._told = size

    def send(self, location: str) -> None:
        """One upload session at ``location``, all of it; none if there is none, as the blob was mounted."""
        if not location:
            self.tell(self._descriptor.size)
            return
        offset, broken = 0, False
        for attempt in attempts(f"{self._repository.name}@{self._descriptor.digest}", self._repository.client.stop):
            with attempt:
                if broken:  # what arrived of it, only the registry knows
                    location, offset = self._state(location)
                    self.tell(offset)
                broken = True
                if offset < self._descriptor.size:
                    location = self._patch(location, offset)
                    offset = self._descriptor.size
                self._finish(location)
                return

    def begin(self, neighbour: str) -> str:
        """Begin a session; gives where, or nothing if the registry has mounted the blob instead."""
        place = "blobs/uploads/"
        if neighbour:
            mounted = f"{place}?mount={quote(self._descriptor.digest, safe=':')}&from={quote(neighbour, safe='')}"
            try:
                return self._post(mounted, (f"repository:{neighbour}:pull",))
            except Refused:
                pass  # not ours to read, or never heard of
        return self._post(place)

    def _post(self, place: str, scopes: tuple[str, ...] = ()) -> str:
        for attempt in attempts(self._repository.name, self._repository.client.stop):
            with (
                attempt,
                self._repository.send("POST", place, headers={"Content-Length": "0"}, scopes=scopes) as response,
            ):
                return "" if response.status_code == 201 else _location(response)
        raise AssertionError

    def _patch(self, location: str, offset: int) -> str:
        size = self._descriptor.size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)}
        if offset:
            headers["Content-Range"] = f"{offset}-{size - 1}"
        body = _Part(self._path, offset, size, self._reached)
        with self._repository.send("PATCH", location, headers=headers, body=body) as response:
            return _location(response)

    def _finish(self, location: str) -> None:
        mark = "&" if urlsplit(location).query else "?"
        place = f"{location}{mark}digest={quote(self._descriptor.digest, safe=':')}"
        with self._repository.send("PUT", place, headers={"Content-Length": "0"}) as response:
            said = response.headers.get("Docker-Content-Digest", self._descriptor.digest)
            if said != self._descriptor.digest:
                raise NetworkError(f"{self._repository.name} has kept {said} for {self._descriptor.digest}")

    def _state(self, location: str) -> tuple[str, int]:
        """Where the session goes on, and how many bytes have arrived."""
        with self._repository.send("GET", location) as response:
            found = re.fullmatch(r"(?:bytes=)?0-(\d{1,18})", response.headers.get("Range", ""))
            last = int(found[1]) if found else 0
            # An empty session says 0-0, as one of a single byte does: the byte is sent again, from a new session.
            return _location(response, location), min(last + 1, self._descriptor.size) if last else 0

    def _reached(self, position: int, sent: int) -> None:
        """Note that the blob has gone up to ``position``, for which ``sent`` bytes more were sent."""
        if self._repository.client.stop.is_set():
            raise Stopped
        self.sent += sent
        self.tell(position)


class _Part:
    """The bytes of a file from ``start`` to ``end``, as often as they are wanted."""

    def __init__(self, path: Path, start: int, end: int, reached: Callable[[int, int], None]) -> None:
        self._path = path
        self._start = start
        self._end = end
        self._reached = reached

    def __iter__(self) -> Iterator[bytes]:
        position = self._start
        self._reached(position, 0)
        try:
            with self._path.open("rb") as file:
                file.seek(position)
                while position < self._end:
                    piece = file.read(min(_PIECE, self._end - position))
                    if not piece:
                        raise StoreError(f"blob {self._digest} is damaged: it has {position} bytes, not {self._end}")
                    yield piece
                    position += len(piece)
                    self._reached(position, len(piece))
        except OSError as error:
            raise StoreError(f"cannot read blob {self._digest}: {error.strerror}") from error

    @property
    def _digest(self) -> Digest:
        return Digest(f"sha256:{self._path.name}")


def _location(response: httpx.Response, default: str = "") -> str:
    """The URL at which an upload goes on."""
    said = response.headers.get("Location", "")
    if not said and not default:
        raise NetworkError(f"{response.url.host} does not say where an upload goes on")
    return joined(str(response.url), said) if said else default

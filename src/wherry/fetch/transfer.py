"""One file on its way from a server: resumed where it broke off, checked before it is anything."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from wherry.errors import NetworkError, WherryError
from wherry.fetch.attempts import Again, Stopped, attempts
from wherry.store.lock import give_up, try_lock
from wherry.urls import redacted

if TYPE_CHECKING:
    import httpx

_PIECE = 1 << 18
_STRONG = {"sha256": 64, "sha512": 128, "sha384": 96, "blake2b": 128}  # the best first, with their hex digits
_HEX = frozenset("0123456789abcdefABCDEF")

Advance = Callable[[int], None]
"""Is told how many bytes more have come; less than none, if some were of no use."""

Open = Callable[[Mapping[str, str]], AbstractContextManager["httpx.Response"]]
"""Asks a server for a file, with the given headers. Raises :class:`Again` for what may pass, also within the block."""


class HashMismatch(WherryError):
    """A file is not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch: where it is, and the hashes (algorithm to hex digits) that it must have.

    ``size`` in bytes is checked if it is given; ``name`` is for people.
    """

    url: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    name: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The strongest hash: (algorithm, hex digits). Raises :class:`WherryError` if there is none that we trust.

        It names the file in the store, and a lock may say anything: what is no hash is refused.
        """
        for algorithm, digits in _STRONG.items():
            if value := self.hashes.get(algorithm):
                if len(value) != digits or not set(value) <= _HEX:
                    raise WherryError(
                        f"{self.name or redacted(self.url)}: {value[:80]!r} is no {algorithm} hash",
                        hint="Write the lock anew with the tool that made it.",
                    )
                return algorithm, value.lower()
        raise WherryError(
            f"{self.name or redacted(self.url)} has no hash that can be trusted",
            hint=f"Give one of {', '.join(_STRONG)}.",
        )


class NotFound(NetworkError):
    """The server has no such file."""


@contextmanager
def taking(files: Path, download: Download) -> Iterator[Path]:
    """Have the partial file of ``download`` to oneself: others that want the same, in any process, wait.

    ``files`` is the store's folder of downloads.
    """
    algorithm, value = download.key
    partial = files / "partial" / f"{algorithm}-{value}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    lock = partial.with_suffix(".lock")
    handle = try_lock(lock, wait=True)
    assert handle is not None
    try:
        yield partial
    finally:
        give_up(handle, lock)  # whoever waits for it makes it anew


class Transfer:
    """One file on its way: what is there of it, and what has been reported."""

    def __init__(self, download: Download, partial: Path, advance: Advance, stop: threading.Event) -> None:
        self.download = download
        self.partial = partial
        self.stop = stop
        self._advance = advance
        self._told = 0
        self._pieced = False

    def start(self) -> int:
        """The bytes that are there already, which count as done."""
        size = self._size()
        self._tell(size)
        return size

    def complete(self) -> bool:
        """Whether all bytes are there, as far as is known."""
        return self.download.size is not None and self._size() >= self.download.size

    def restart(self) -> None:
        """Begin anew."""
        self.partial.unlink(missing_ok=True)
        self._tell(0)

    def headers(self) -> dict[str, str]:
        """A request for what is missing, as it is: a hash is of the file, not of its encoding."""
        size = self._size()
        return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})

    def fetch(self, open_: Open) -> None:
        """Fill the partial file with what ``open_`` gives, and check it.

        A broken transfer goes on where it stopped. What is made of pieces may not fit together, and gets one more
        chance as a whole. Raises :class:`HashMismatch` or :class:`NetworkError`, :class:`Stopped` if it is given up;
        then nothing counts as done any more.
        """
        with self._kept_if_it_broke_off():
            self._pieced = self.start() > 0
            self._receive_all(open_)
            if self._pieced and not self.good():
                self.restart()
                self._receive_all(open_)
            self.check()

    def copy(self, local: Path) -> None:
        """Take the file from this machine, and check it."""
        with self._kept_if_it_broke_off():
            self._copy(local)
            self.check()

    def give_up(self) -> None:
        """Remove what there is of it."""
        self.partial.unlink(missing_ok=True)

    @contextmanager
    def _kept_if_it_broke_off(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._tell(0)
            full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
            if full or isinstance(error, Stopped):
                self.give_up()  # half a file would only keep the disk full
            raise

    def _receive_all(self, open_: Open) -> None:
        for attempt in attempts(self.download.url, self.stop):
            with attempt:
                if self.complete():
                    return
                with open_(self.headers()) as response:
                    self.receive(response)
                return

    def _copy(self, local: Path) -> None:
        try:
            source = local.open("rb")
        except OSError as error:
            raise NotFound(f"cannot read {local}: {error.strerror}") from None
        with source, self.partial.open("wb") as file:
            while piece := source.read(_PIECE):
                self._write(file, piece)
            sync(file)

    def receive(self, response: httpx.Response) -> None:
        """Take what the server sends, which may be the rest or the whole (RFC 9110, section 14)."""
        start = self._size()
        sent, length = _content_range(response.headers.get("Content-Range", ""))
        if response.status_code == 416:
            if start and length == start:
                return  # all of it is there
            self.restart()
            raise Again("the rest of the file is not there")
        expect_success(self.download.url, response)
        if response.status_code == 206 and sent != start:
            self.restart()
            raise Again("the server sent another part of the file than was asked for")
        with self.partial.open("ab", buffering=_PIECE) as file:
            if response.status_code == 206:
                self._pieced = self._pieced or start > 0
            elif start:
                file.truncate(0)
                self._tell(0)
            for piece in response.iter_raw():
                self._write(file, piece)
                if self.download.size is not None and file.tell() > self.download.size:
                    break  # not what was asked for: the hash will say so
            sync(file)
        if self.download.size is not None and not self.complete():
            raise Again(f"the server closed the connection after {self._size()} of {self.download.size} bytes")

    def good(self) -> bool:
        """Whether the file has the hash that it must have."""
        algorithm, wanted = self.download.key
        return self._hash(algorithm) == wanted

    def check(self) -> None:
        """Raise :class:`HashMismatch`, and remove the file, unless it has the hash that it must have."""
        algorithm, wanted = self.download.key
        found = self._hash(algorithm)
        if found != wanted:
            self.partial.unlink(missing_ok=True)
            raise HashMismatch(
                f"{self.download.name or redacted(self.download.url)} is not the file that was asked for:\n"
                f"  expected {algorithm} {wanted}\n  received {algorithm} {found}",
                hint="Nothing of it was kept. Either the file was replaced where it is served, or the hash is wrong.",
            )

    def _hash(self, algorithm: str) -> str:
        with self.partial.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()

    def _size(self) -> int:
        try:
            return self.partial.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, file: BinaryIO, piece: bytes) -> None:
        if self.stop.is_set():
            raise Stopped
        file.write(piece)
        self._told += len(piece)
        self._advance(len(piece))

    def _tell(self, size: int) -> None:
        """Let the bytes reported be ``size`` in all."""
        if size != self._told:
            self._advance(size - self._told)
            self._told = size


def sync(file: BinaryIO) -> None:
    """See to it that what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def whole(response: httpx.Response, most: int, what: str) -> bytes:
    """The body of ``response``, called ``what``. Raises :class:`NetworkError` if it has more than ``most`` bytes."""
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > most:
            raise NetworkError(f"{what} is larger than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _content_range(header: str) -> tuple[int | None, int | None]:
    """(first byte, whole length) of a Content-Range header, None for what it does not say."""
    found = re.fullmatch(r"bytes (?:(\d{1,18})-\d+|\*)/(\d{1,18}|\*)", header.strip())
    if not found:
        return None, None
    return int(found[1]) if found[1] else None, int(found[2]) if found[2] != "*" else None


def expect_success(url: str, response: httpx.Response) -> None:
    """Raise :class:`NetworkError` for an HTTP error."""
    status = response.status_code
    if status < 400:
        return
    kind = NotFound if status in {404, 410} else NetworkError
    hint = "Put credentials into the URL or into netrc." if status in {401, 403, 407} else None
    raise kind(f"{redacted(url)}: HTTP {status} {response.reason_phrase}", hint=hint)

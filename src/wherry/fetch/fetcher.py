"""Downloads: each file once, checked against its hash before it has its name."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from wherry.errors import NetworkError, WherryError
from wherry.fetch.attempts import RETRIED, Again, Stopped, attempts
from wherry.fetch.client import Credentials, open_client
from wherry.store.files import storing
from wherry.store.lock import locked
from wherry.urls import redacted

if TYPE_CHECKING:
    import httpx

_PIECE = 1 << 18
_TOUCH_AFTER = 3600  # seconds; a file's last use is kept to the hour, so that a use rarely writes
_STRONG = {"sha256": 64, "sha512": 128, "sha384": 96, "blake2b": 128}  # the best first, with their hex digits
_HEX = frozenset("0123456789abcdefABCDEF")
Advance = Callable[[int], None]


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


class Fetcher:
    """Fetches files into ``root``, one file for each hash. Safe to use from several threads and processes.

    ``offline`` answers from what is there alone.
    """

    def __init__(self, root: Path, *, offline: bool = False, connections: int = 16) -> None:
        self.root = root
        self.offline = offline
        self._connections = connections
        self._client: httpx.Client | None = None
        self._credentials = Credentials()
        self._bundle = ""
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        """Close; transfers that are still under way in other threads are given up."""
        self._closed.set()
        if self._client is not None:
            self._client.close()

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Use these credentials for ``origin`` (``scheme://host[:port]``) and for no other server."""
        self._credentials.tell(origin, user, password)

    def trust(self, bundle: str) -> None:
        """Trust the certificates in ``bundle``, a file or a folder; to be called before anything is fetched."""
        self._bundle = bundle

    def prepare(self) -> None:
        """Get ready to fetch, in the background, while something else is being waited for."""

        def work() -> None:
            with suppress(WherryError):  # it will be raised where somebody can be told
                self._opened()

        if not self.offline and self._client is None:
            # No daemon: it ends soon, and a library that loads while the interpreter is taken down crashes it.
            threading.Thread(target=work, name="prepare").start()

    def cached(self, download: Download) -> Path | None:
        """The file if it is here already; its time is that of its last use, by which it is pruned."""
        algorithm, value = download.key
        path = self.root / algorithm / value
        try:
            status = path.stat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        if time.time() - status.st_mtime > _TOUCH_AFTER:
            with suppress(OSError):  # it is good all the same
                os.utime(path)
        return path

    def get(self, download: Download, advance: Advance | None = None, *, stop: threading.Event | None = None) -> Path:
        """The file, fetched if need be; ``advance`` is told of every piece's bytes.

        A broken transfer goes on where it stopped, now or in the next run. ``stop`` gives it up soon after it is
        set, with :class:`Stopped`. Raises :class:`HashMismatch` or :class:`NetworkError`. Only what broke off is
        kept for a next run, nothing of what is wrong or no longer wanted.
        """
        if path := self.cached(download):
            return path
        algorithm, value = download.key
        path = self.root / algorithm / value
        partial = self.root / "partial" / f"{algorithm}-{value}"
        transfer = _Transfer(download, partial, advance or (lambda _: None), stop or threading.Event())
        lock = partial.with_suffix(".lock")
        with storing(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                with locked(lock):
                    if not path.is_file():
                        self._fetch(transfer)
                        partial.replace(path)
            finally:
                with suppress(OSError):
                    lock.unlink()  # whoever waits for it makes it anew
        return path

    def read(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = 64 << 20) -> bytes:
        """A small document of unknown content, at most ``limit`` bytes, not kept.

        Raises :class:`NetworkError`, :class:`NotFound` if there is no such document.
        """
        if local := _local_path(url):
            try:
                return local.read_bytes()
            except OSError as error:
                raise NotFound(f"cannot read {local}: {error.strerror}") from None
        for attempt in attempts(url, threading.Event()):
            with attempt, self._open(url, headers or {}) as response:
                _expect_success(url, response)
                pieces = []
                size = 0
                for piece in response.iter_bytes():
                    size += len(piece)
                    if size > limit:
                        raise NetworkError(f"{redacted(url)} is larger than {limit} bytes")
                    pieces.append(piece)
                return b"".join(pieces)
        raise AssertionError

    def latest(
        self, url: str, *, headers: Mapping[str, str] | None = None, advance: Advance | None = None
    ) -> tuple[Path | None, Mapping[str, str]]:
        """A file whose hash nobody knows: where it is kept by its hash, and the headers of the server's answer.

        No file if the server says that it was not modified, which ``headers`` have asked (RFC 9110, section 13). Names
        of headers are lower case. Raises :class:`NetworkError`, :class:`NotFound` if there is no such file.
        """
        asked = {"Accept-Encoding": "identity", **(headers or {})}
        for attempt in attempts(url, self._closed):
            with attempt, self._open(url, asked) as response:
                answer = {name.lower(): value for name, value in response.headers.items()}
                if response.status_code == 304:
                    return None, answer
                _expect_success(url, response)
                return self._keep(response, advance or (lambda _: None)), answer
        raise AssertionError

    def _keep(self, response: httpx.Response, advance: Advance) -> Path:
        """Take what the server sends, and give it the name that its hash is."""
        temporary = self.root / "partial" / f"latest-{os.urandom(8).hex()}"
        hashed = hashlib.sha256()
        taken = 0
        with storing(self.root):
            temporary.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb", buffering=_PIECE) as file:
                    for piece in response.iter_bytes():
                        if self._closed.is_set():
                            raise Stopped
                        hashed.update(piece)
                        file.write(piece)
                        taken += len(piece)
                        advance(len(piece))
                    _sync(file)
                path = self.root / "sha256" / hashed.hexdigest()
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
            except BaseException:
                advance(-taken)
                raise
            finally:
                temporary.unlink(missing_ok=True)
        return path

    def _fetch(self, transfer: _Transfer) -> None:
        """Fill the partial file and check it; what an earlier run left may be of no use, and gets one more chance."""
        try:
            local = _local_path(transfer.download.url)
            if local:
                transfer.copy(local)
                return transfer.check()
            resumed = transfer.start() > 0
            self._run(transfer)
            if resumed and not transfer.good():
                transfer.restart()
                self._run(transfer)
            return transfer.check()
        except Stopped:
            transfer.partial.unlink(missing_ok=True)
            raise
        except Exception as error:
            if self._closed.is_set():
                transfer.partial.unlink(missing_ok=True)
                raise Stopped from error
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                transfer.partial.unlink(missing_ok=True)  # half a file would only keep the disk full
            raise

    def _run(self, transfer: _Transfer) -> None:
        url = transfer.download.url
        for attempt in attempts(url, transfer.stop):
            with attempt:
                if transfer.complete():
                    return
                with self._open(url, transfer.headers()) as response:
                    transfer.receive(response)
                return

    def _opened(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._connections, bundle=self._bundle)
            return self._client

    @contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A response of any status that is worth no further attempt."""
        import httpx

        if self.offline:
            raise NetworkError(
                f"{redacted(url)} is not in the store, and --offline allows no network",
                hint="Build once without --offline.",
            )
        client = self._opened()
        # Given with each request, as a client's own would win over a URL's. httpx drops them on the way to
        # another server.
        try:
            auth = self._credentials.find(url)
            with client.stream(
                "GET", redacted(url), headers=dict(headers), auth=httpx.BasicAuth(*auth) if auth else httpx.Auth()
            ) as response:
                if response.status_code in RETRIED:
                    raise Again(
                        f"HTTP {response.status_code} {response.reason_phrase}", response.headers.get("Retry-After")
                    )
                yield response
        except (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NetworkError(f"{redacted(url)} is not an address to fetch from: {error}") from error
        except (httpx.TooManyRedirects, httpx.DecodingError) as error:
            raise NetworkError(f"{redacted(url)}: {error}") from error
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise NetworkError(
                    f"{redacted(url)}: the server's certificate is not trusted",
                    hint="Behind an intercepting proxy, name its certificates in SSL_CERT_FILE.",
                ) from error
            raise Again(str(error) or type(error).__name__) from error


class NotFound(NetworkError):
    """The server has no such file."""


class _Transfer:
    """One file on its way: what is there of it, and what has been reported."""

    def __init__(self, download: Download, partial: Path, advance: Advance, stop: threading.Event) -> None:
        self.download = download
        self.partial = partial
        self.stop = stop
        self._advance = advance
        self._told = 0

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

    def copy(self, local: Path) -> None:
        """Take the file from this machine."""
        try:
            source = local.open("rb")
        except OSError as error:
            raise NotFound(f"cannot read {local}: {error.strerror}") from None
        with source, self.partial.open("wb") as file:
            while piece := source.read(_PIECE):
                self._write(file, piece)
            _sync(file)

    def receive(self, response: httpx.Response) -> None:
        """Take what the server sends, which may be the rest or the whole (RFC 9110, section 14)."""
        start = self._size()
        sent, length = _content_range(response.headers.get("Content-Range", ""))
        if response.status_code == 416:
            if start and length == start:
                return  # all of it is there
            self.restart()
            raise Again("the rest of the file is not there")
        _expect_success(self.download.url, response)
        if response.status_code == 206 and sent != start:
            self.restart()
            raise Again("the server sent another part of the file than was asked for")
        with self.partial.open("ab", buffering=_PIECE) as file:
            if response.status_code != 206 and start:
                file.truncate(0)
                self._tell(0)
            for piece in response.iter_raw():
                self._write(file, piece)
                if self.download.size is not None and file.tell() > self.download.size:
                    break  # not what was asked for: the hash will say so
            _sync(file)
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


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _content_range(header: str) -> tuple[int | None, int | None]:
    """(first byte, whole length) of a Content-Range header, None for what it does not say."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", header.strip())
    if not found:
        return None, None
    return int(found[1]) if found[1] else None, int(found[2]) if found[2] != "*" else None


def _expect_success(url: str, response: httpx.Response) -> None:
    """Raise :class:`NetworkError` for an HTTP error."""
    status = response.status_code
    if status < 400:
        return
    kind = NotFound if status in {404, 410} else NetworkError
    hint = "Put credentials into the URL or into netrc." if status in {401, 403, 407} else None
    raise kind(f"{redacted(url)}: HTTP {status} {response.reason_phrase}", hint=hint)


def _local_path(url: str) -> Path | None:
    """The path of a ``file:`` URL."""
    if not url.startswith("file:"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))

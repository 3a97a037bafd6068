"""Downloads: each file once, checked against its hash before it has its name."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wherry.errors import NetworkError, WherryError
from wherry.fetch.attempts import Stopped, answering, attempts
from wherry.fetch.client import Credentials, open_client
from wherry.fetch.transfer import Advance, Download, NotFound, Transfer, expect_success, sync, taking, whole
from wherry.store.files import storing
from wherry.urls import redacted

if TYPE_CHECKING:
    import httpx

_PIECE = 1 << 18
_TOUCH_AFTER = 3600  # seconds; a file's last use is kept to the hour, so that a use rarely writes


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
        self._under_way: set[Path] = set()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        """Close; transfers that are still under way in other threads are given up, whether these notice or not."""
        self._closed.set()
        if self._client is not None:
            self._client.close()
        with self._lock:
            for partial in self._under_way:
                for path in (partial, partial.with_suffix(".lock")):
                    with suppress(OSError):
                        path.unlink()

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Use these credentials for ``origin`` (``scheme://host[:port]``) and for no other server."""
        self._credentials.tell(origin, user, password)

    def authorize_user(self, origin: str, user: str, ask: Callable[[], str]) -> None:
        """As :meth:`authorize`, with a password that is asked for when it is needed."""
        self._credentials.tell_user(origin, user, ask)

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
        with storing(self.root), taking(self.root, download) as partial:
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._noted(partial):
                    self._fetch(Transfer(download, partial, advance or (lambda _: None), stop or threading.Event()))
                    partial.replace(path)
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
                expect_success(url, response)
                return whole(response, limit, redacted(url))
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
                expect_success(url, response)
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
                    sync(file)
                path = self.root / "sha256" / hashed.hexdigest()
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
            except BaseException:
                advance(-taken)
                raise
            finally:
                temporary.unlink(missing_ok=True)
        return path

    @contextmanager
    def _noted(self, partial: Path) -> Iterator[None]:
        """Note what is being written, for whoever closes us."""
        with self._lock:
            self._under_way.add(partial)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(partial)

    def _fetch(self, transfer: Transfer) -> None:
        url = transfer.download.url
        try:
            if local := _local_path(url):
                transfer.copy(local)
            else:
                transfer.fetch(lambda headers: self._open(url, headers))
        except Exception as error:
            if self._closed.is_set() and not isinstance(error, Stopped):
                transfer.give_up()
                raise Stopped from error
            raise

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
            opened = client.stream(
                "GET", redacted(url), headers=dict(headers), auth=httpx.BasicAuth(*auth) if auth else httpx.Auth()
            )
            hint = "Behind an intercepting proxy, name its certificates in SSL_CERT_FILE."
            with answering(opened, url, server=redacted(url), hint=hint) as response:
                yield response
        except (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NetworkError(f"{redacted(url)} is not an address to fetch from: {error}") from error


def _local_path(url: str) -> Path | None:
    """The path of a ``file:`` URL."""
    if not url.startswith("file:"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))

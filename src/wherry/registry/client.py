"""Requests to registries (OCI distribution-spec 1.1): connections, TLS, logins, further attempts, errors in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.fetch.attempts import Stopped, Unreached, answering, attempts
from wherry.fetch.client import open_client, tls_context
from wherry.fetch.transfer import whole
from wherry.registry.certificates import Tls
from wherry.registry.challenge import parse_challenges
from wherry.registry.credentials import Keychain, Login
from wherry.registry.errors import beginning, refusal
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.tokens import Access, Scopes
from wherry.urls import origin, redacted

if TYPE_CHECKING:
    import ssl

    import httpx

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 4
_CHALLENGED = 2  # times that a request is sent again because the registry wants to know who we are
_READING = frozenset({"GET", "HEAD"})
_LARGEST_TOKEN = 1 << 20  # bytes of a token server's answer

Body = bytes | Iterable[bytes]


class Client:
    """Sends requests to registries. Safe to use from several threads.

    ``offline`` refuses to. Close it, or use it as a context manager: what is under way in other threads is given up.
    """

    def __init__(self, hosts: Hosts, keychain: Keychain, *, offline: bool = False, connections: int = 8) -> None:
        self.stop = threading.Event()
        self._hosts = hosts
        self._keychain = keychain
        self._offline = offline
        self._connections = connections
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, bool], httpx.Client] = {}
        self._bases: dict[str, str] = {}
        self._away: dict[str, str] = {}
        self._access: dict[tuple[str, str], Access] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def at_once(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """``work`` on each of ``items``, a few at a time. The first failure gives up the others, and is raised."""
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="registry")
        under_way: list[Future[Result]] = []
        try:
            under_way += (pool.submit(work, item) for item in items)
            for future in as_completed(under_way):  # so that no failure waits for what was begun before
                future.result()
        except BaseException as error:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, Stopped):
                _raise_reason(under_way)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [future.result() for future in under_way]

    @contextmanager
    def send(
        self,
        endpoint: Endpoint,
        method: str,
        place: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> Iterator[httpx.Response]:
        """One attempt of a request to ``place``: a path of the registry, or a URL that it has given.

        The response is one of success, read from wherever the registry has redirected it to; for a write, a
        redirection is no success. Where a part was asked for that is not there (416), who asked may know why. Its body
        is still to be read. Raises
        :class:`~wherry.fetch.attempts.Again`, also within the block, for what may pass,
        :class:`~wherry.registry.errors.Refused` for what the registry does not do.
        """
        for number in range(_CHALLENGED + 1):
            with self._sent(endpoint, method, place, scopes, headers or {}, body, last=number == _CHALLENGED) as found:
                if found is not None:
                    yield found
                    return

    @contextmanager
    def _sent(
        self,
        endpoint: Endpoint,
        method: str,
        place: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Body,
        *,
        last: bool,
    ) -> Iterator[httpx.Response | None]:
        """A response; None if it is to be sent again, now that it is known how the registry wants to be asked."""
        if method not in _READING and len(self._bases_of(endpoint)) > 1:
            with self._answered(endpoint, "GET", "/v2/", (), {}, b""):
                pass  # a body is not sent where it may be to nobody
        with self._answered(endpoint, method, place, scopes, headers, body) as (response, base, authorization):
            # Neither an upload's own server nor one that reading is redirected to learns anything of us by asking.
            itself = origin(str(response.url)) == origin(base)
            if response.status_code == 401 and itself and not last:
                challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
                https = urlsplit(base).scheme == "https"
                if self._access_to(endpoint, base).refused(authorization, challenges, scopes, https=https):
                    beginning(response)  # all of it, as a rule: the connection can be used again
                    yield None
                    return
            rest_refused = response.status_code == 416 and "Range" in headers
            if response.status_code >= 300 and not rest_refused:
                raise refusal(response, endpoint, authorization, self._keychain.trouble(endpoint.registry))
            yield response

    # -- connections -----------------------------------------------------------------------------

    def _bases_of(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Scheme and host of the registry's API; several that may be it, as long as nobody has answered."""
        with self._lock:
            known = self._bases.get(endpoint.host)
        return (known,) if known in endpoint.bases else endpoint.bases

    @contextmanager
    def _answered(
        self,
        endpoint: Endpoint,
        method: str,
        place: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Body,
    ) -> Iterator[tuple[httpx.Response, str, str]]:
        """The response of the first of the bases that somebody answers at, that base, our Authorization header."""
        if (failure := self._away.get(endpoint.host)) and endpoint.mirror:
            raise NetworkError(failure)
        bases = self._bases_of(endpoint)
        failures: list[str] = []
        for base in bases:
            url = joined(base, place)
            authorization = self._access_to(endpoint, base).header(scopes) if origin(url) == origin(base) else ""
            sent = {**headers, **({"Authorization": authorization} if authorization else {})}
            with ExitStack() as stack:
                try:
                    response = stack.enter_context(self._stream(endpoint, method, url, sent, body))
                    if len(bases) > 1 and base.startswith("http:") and _wants_tls(response):
                        raise Unreached(f"HTTP {response.status_code} without TLS")
                except Unreached as error:
                    failures.append(str(error))
                    continue
                with self._lock:
                    self._bases[endpoint.host] = base
                yield response, base, authorization
                return
        failure = "; ".join(dict.fromkeys(failures))
        if endpoint.mirror:  # others have what it should have: it is asked no more
            self._away[endpoint.host] = f"{endpoint.host}: {failure}"
            raise NetworkError(self._away[endpoint.host])
        raise Unreached(failure)

    def _access_to(self, endpoint: Endpoint, base: str) -> Access:
        host = endpoint.registry
        key = (base, endpoint.path)
        with self._lock:
            if key not in self._access:

                def find() -> Login | None:
                    return self._keychain.find(host, endpoint.path)

                def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
                    for attempt in attempts(url, self.stop):
                        with attempt, self._stream(endpoint, method, url, headers, body) as response:
                            return response.status_code, whole(response, _LARGEST_TOKEN, redacted(url))
                    raise AssertionError

                self._access[key] = Access(host, find, ask, lambda: self._keychain.trouble(host))
            return self._access[key]

    def _client(self, endpoint: Endpoint) -> httpx.Client:
        key = (endpoint.host, endpoint.insecure)  # what may be insecure is one repository, not all of a host
        with self._lock:
            if self.stop.is_set():
                raise Stopped
            if key not in self._clients:
                context = _context(self._hosts.tls(endpoint))
                self._clients[key] = open_client(self._connections, context=context)
            return self._clients[key]

    @contextmanager
    def _stream(
        self, endpoint: Endpoint, method: str, url: str, headers: Mapping[str, str], body: Body
    ) -> Iterator[httpx.Response]:
        """A response of any status that is worth no further attempt."""
        import httpx

        if self._offline:
            raise NetworkError(f"{redacted(url)} is not in the store, and --offline allows no network")
        # Where reading is redirected to another server, httpx leaves Authorization behind. Writing is not redirected.
        opened = self._client(endpoint).stream(
            method,
            url,
            headers=dict(headers),
            content=body or None,
            auth=httpx.Auth(),  # none of netrc's
            follow_redirects=method in _READING,
        )
        table = f'[registry."{endpoint.registry}"]'
        hint = f'Name its authority: {table} ca = "FILE" in Wherry\'s config.toml.'
        ours = f'Name yours and its key: {table} cert = "FILE", key = "FILE" in Wherry\'s config.toml.'
        try:
            with answering(opened, url, server=endpoint.registry, hint=hint, ours=ours) as response:
                yield response
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NetworkError(f"{redacted(url)}: {error}") from error
        except Exception as error:
            if self.stop.is_set() and not isinstance(error, WherryError):
                raise Stopped from error  # connections were closed in the middle of anything
            raise


def _raise_reason(given_up: Iterable[Future[Result]]) -> None:
    """Raise what some work was given up for, if any of it knows."""
    for future in given_up:
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, Stopped):
            raise error


def joined(base: str, place: str) -> str:
    """The URL of ``place``, which a registry may have named, seen from ``base``.

    Raises :class:`NetworkError` for what is no URL.
    """
    try:
        url = urljoin(base, place)
        origin(url)
    except ValueError:
        raise NetworkError(f"{urlsplit(base).hostname} names an address that is none: {place[:200]!r}") from None
    return url


def _wants_tls(response: httpx.Response) -> bool:
    """Whether it is what a server says that is spoken to without TLS and wants it. A registry's errors are JSON."""
    return response.status_code == 400 and "json" not in response.headers.get("Content-Type", "")


def _no_password() -> str:
    """Called for a key that is encrypted: OpenSSL by itself would ask on the terminal, and wait."""
    raise OSError("the key is encrypted, which Wherry cannot use")


def _context(tls: Tls) -> ssl.SSLContext:
    """TLS settings for one registry: the machine's, and what ``tls`` adds to them."""
    import ssl

    context = tls_context()
    try:
        for place in tls.ca:
            context.load_verify_locations(place)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key, _no_password)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (*tls.ca, tls.cert, tls.key) if path)
        raise UsageError(f"certificates that cannot be used: {files}: {error}") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

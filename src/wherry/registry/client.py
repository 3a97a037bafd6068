"""Requests to registries (OCI distribution-spec 1.1): connections, TLS, logins, further attempts, errors in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from wherry.errors import NetworkError, UsageError
from wherry.fetch.attempts import Again, answering, attempts
from wherry.fetch.client import open_client, tls_context
from wherry.registry.certificates import Tls
from wherry.registry.challenge import parse_challenges
from wherry.registry.credentials import Keychain, Login
from wherry.registry.errors import refusal
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
        try:
            return list(pool.map(work, items))
        except BaseException:
            self.stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

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

        The response is one of success (or of redirection, for an upload). Its body is still to be read. Raises
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
        base = self._base(endpoint)
        url = urljoin(base, place)
        access = self._access_to(endpoint, base)
        trusted = origin(url) == origin(base)
        authorization = access.header(scopes) if trusted else ""
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        with self._stream(endpoint, method, url, sent, body) as response:
            if response.status_code == 401 and trusted and not last:
                challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
                https = urlsplit(base).scheme == "https"
                if access.refused(authorization, challenges, scopes, https=https):
                    response.read()  # so that the connection can be used again
                    yield None
                    return
            if response.status_code >= 400:
                raise refusal(response, endpoint, authorization)
            yield response

    # -- connections -----------------------------------------------------------------------------

    def _base(self, endpoint: Endpoint) -> str:
        """Scheme and host of the registry's API: the first of those that may be that somebody answers at."""
        bases = endpoint.bases
        with self._lock:
            known = self._bases.get(endpoint.host)
        if known in bases:
            return known
        if len(bases) == 1:
            return bases[0]
        failures: list[str] = []
        for base in bases:
            try:
                with self._stream(endpoint, "GET", f"{base}/v2/", {}, b""):
                    pass
            except Again as error:
                failures.append(str(error))
                continue
            with self._lock:
                self._bases[endpoint.host] = base
            return base
        raise Again("; ".join(dict.fromkeys(failures)))

    def _access_to(self, endpoint: Endpoint, base: str) -> Access:
        host = endpoint.registry
        key = (base, endpoint.path)
        with self._lock:
            if key not in self._access:

                def find() -> Login | None:
                    return self._keychain.find(host, endpoint.path)

                def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
                    for attempt in attempts(url, self.stop):
                        with attempt, self._stream(endpoint, method, url, headers, body) as response:
                            response.read()
                            return response
                    raise AssertionError

                self._access[key] = Access(host, find, ask)
            return self._access[key]

    def _client(self, endpoint: Endpoint) -> httpx.Client:
        key = (endpoint.host, endpoint.insecure)  # what may be insecure is one repository, not all of a host
        with self._lock:
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
            follow_redirects=method in {"GET", "HEAD"},
        )
        hint = f'Name its authority: [registry."{endpoint.registry}"] ca = "FILE" in Wherry\'s config.toml.'
        try:
            with answering(opened, url, server=endpoint.registry, hint=hint) as response:
                yield response
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise NetworkError(f"{redacted(url)}: {error}") from error


def _context(tls: Tls) -> ssl.SSLContext:
    """TLS settings for one registry: the machine's, and what ``tls`` adds to them."""
    import ssl

    context = tls_context()
    try:
        for place in tls.ca:
            context.load_verify_locations(place)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (*tls.ca, tls.cert, tls.key) if path)
        raise UsageError(f"certificates that cannot be used: {files}: {error}") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

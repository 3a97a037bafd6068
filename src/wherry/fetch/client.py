"""One HTTP client for the process, set up as the machine's other clients are.

Proxies come from HTTP(S)_PROXY and NO_PROXY, certificates from the system or from the bundle that one of the
usual variables names, credentials from the URL, from what :class:`Credentials` was told, or from netrc.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from wherry.errors import UsageError
from wherry.urls import origin

if TYPE_CHECKING:
    import netrc
    import ssl

    import httpx

_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Credentials:
    """User names and passwords by server: those in a URL, else those we were told of, else netrc's."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, str]] = {}
        self._asked: dict[str, tuple[str, Callable[[], str]]] = {}
        self._asking = threading.Lock()
        self._netrc: netrc.netrc | None = None
        self._read = False

    def tell(self, server: str, user: str, password: str) -> None:
        """Remember credentials for ``server`` (``scheme://host[:port]``)."""
        self._told[origin(server)] = (user, password)

    def tell_user(self, server: str, user: str, ask: Callable[[], str]) -> None:
        """Remember ``user`` for ``server``; whoever needs the password has to ``ask``, once. It may be empty."""
        self._asked[origin(server)] = (user, ask)

    def find(self, url: str) -> tuple[str, str] | None:
        """(user, password) for ``url``, or None."""
        parts = urlsplit(url)
        if parts.username or parts.password:
            return unquote(parts.username or ""), unquote(parts.password or "")
        server = origin(url)
        with self._asking:
            if asked := self._asked.pop(server, None):
                self._told[server] = (asked[0], asked[1]())
        told = self._told.get(server)
        if told and told[1]:
            return told
        if not self._read:
            self._netrc = _read_netrc()
            self._read = True
        found = self._netrc.authenticators(parts.hostname or "") if self._netrc else None
        if told and (not found or found[0] != told[0]):  # a token may be a user without a password
            return told
        return (found[0], found[2] or "") if found else None


def _read_netrc() -> netrc.netrc | None:
    """The user's netrc; one that cannot be read counts as none, as it does for pip and curl."""
    import netrc

    named = os.environ.get("NETRC")
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        home = Path()
    for path in [Path(named)] if named else [home / ".netrc", home / "_netrc"]:
        try:
            return netrc.netrc(str(path))
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
    return None


def tls_context(bundle: str = "") -> ssl.SSLContext:
    """TLS settings that trust the certificates in ``bundle``, a file or a folder.

    Without it, those in SSL_CERT_FILE, PIP_CERT, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE; else the system's, or
    certifi's where the system has none. What is trusted is what curl and Docker trust on the same files.
    """
    import ssl

    context = _trusting(bundle)
    # Python 3.13 refuses authorities as `openssl req -x509` makes them, and before it an intermediate one was none.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _trusting(bundle: str) -> ssl.SSLContext:
    import ssl

    named = next(((name, value) for name in _BUNDLES if (value := os.environ.get(name))), ("cert", bundle))
    name, place = ("cert", bundle) if bundle else named
    if place:
        try:
            if Path(place).is_dir():
                return ssl.create_default_context(capath=place)
            return ssl.create_default_context(cafile=place)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{name} names {place}, which holds no certificates: {error}") from None
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not os.environ.get("SSL_CERT_DIR"):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def open_client(connections: int, *, bundle: str = "", context: ssl.SSLContext | None = None) -> httpx.Client:
    """A client that keeps up to ``connections`` connections open.

    ``bundle`` is as for :func:`tls_context`; ``context`` are other TLS settings. It sends no credentials but those
    given with a request. Raises :class:`UsageError` for proxy settings that make no sense.
    """
    import httpx

    from wherry.fetch.proxies import Routes, read_proxies

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.Client(
        transport=Routes(read_proxies(), context or tls_context(bundle), lambda: tls_context(bundle), limits),
        follow_redirects=True,
        timeout=httpx.Timeout(30, pool=None),
        headers={"User-Agent": "wherry"},
        trust_env=False,  # Routes has read it: httpx fails on IPv6 in NO_PROXY, and knows no networks there
    )

"""Proxies: which one a request goes through, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as Docker reads these.

Importing this imports httpx: do so where a request is about to be sent.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import httpx

from wherry.errors import NetworkError, UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"\[([^]]+)\](?::(\d{1,5}))?|([^:]+):(\d{1,5})")
_HINT = (
    "It should be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; in a password, @ is written %40, / %2F, # %23."
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: ``address`` is its URL without the login, ``variable`` names it. Its ``repr`` shows no secret."""

    variable: str
    address: str
    login: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, variable: str, text: str) -> Proxy:
        """Read what ``variable`` holds. Raises :class:`UsageError`, which does not repeat it, for what is no proxy."""
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            # The port raises for what is no number. An @ after the host is of a login that should be escaped.
            usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path + parts.query + parts.fragment
        except ValueError:
            usable = False
        if not usable or parts.scheme not in {"http", "https", "socks5", "socks5h"}:
            raise UsageError(f"the proxy in {variable} cannot be used", hint=_HINT)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        login = (unquote(parts.username or ""), unquote(parts.password or ""))
        return cls(variable, address, login if any(login) else None)


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies by the scheme of what is asked for, and the hosts that are asked directly: NO_PROXY's entries."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    direct: tuple[str, ...] = ()

    def find(self, url: str) -> Proxy | None:
        """The proxy for ``url``; None for this machine itself, which means another one to a proxy."""
        parts = urlsplit(url)
        proxy = self.by_scheme.get(parts.scheme)
        host = (parts.hostname or "").rstrip(".")
        if proxy is None or _is_loopback(host):
            return None
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        return None if any(_covers(entry, host, port) for entry in self.direct) else proxy


def read_proxies() -> Proxies:
    """What this machine's environment says; in lower case, a variable counts before the same in upper case.

    Raises :class:`UsageError` for a proxy that cannot be used.
    """
    from urllib.request import getproxies

    said = getproxies()  # of the environment, or without any of the system's settings
    found: dict[str, Proxy] = {}
    for scheme in ("http", "https"):
        named = next((name for name in (scheme, "all") if said.get(name)), "")
        if named:
            found[scheme] = Proxy.parse(f"{named.upper()}_PROXY", said[named])
    return Proxies(found, tuple(said.get("no", "").lower().replace(",", " ").split()))


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means ``host``: ``*``, an address, a network or a domain; a port narrows it."""
    if entry == "*":
        return True
    name, only = entry, ""
    if parts := _ENTRY.fullmatch(entry):
        name, only = parts[1] or parts[3], parts[2] or parts[4] or ""
    if only and int(only) != port:
        return False
    try:
        return _is_in(host, ip_network(name, strict=False))
    except ValueError:
        name = name.removeprefix("*").rstrip(".")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _is_in(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Routes(httpx.BaseTransport):
    """Sends each request through the proxy that it is for, or directly.

    ``context`` is for those who are asked, ``trusted`` makes one for proxies that are spoken to by https themselves.
    """

    def __init__(
        self, proxies: Proxies, context: ssl.SSLContext, trusted: Callable[[], ssl.SSLContext], limits: httpx.Limits
    ) -> None:
        self._proxies = proxies
        self._direct = httpx.HTTPTransport(verify=context, limits=limits)
        self._through: dict[Proxy, httpx.HTTPTransport] = {}
        for proxy in dict.fromkeys(proxies.by_scheme.values()):
            own = trusted() if proxy.address.startswith("https:") else None
            try:
                made = httpx.Proxy(proxy.address, auth=proxy.login, ssl_context=own)
                self._through[proxy] = httpx.HTTPTransport(verify=context, limits=limits, proxy=made)
            except (ValueError, httpx.InvalidURL):
                raise UsageError(f"the proxy in {proxy.variable} cannot be used", hint=_HINT) from None
            except ImportError:
                raise UsageError(
                    f"{proxy.variable} names a SOCKS proxy, and Python's socksio is not installed",
                    hint="`pip install socksio` where wherry is installed, or name a proxy that speaks http://.",
                ) from None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._proxies.find(str(request.url))
        if proxy is None:
            return self._direct.handle_request(request)
        try:
            response = self._through[proxy].handle_request(request)
        except (httpx.NetworkError, httpx.TimeoutException, httpx.ProxyError, httpx.RemoteProtocolError) as error:
            if str(error).startswith("407"):
                raise _login_wanted(proxy) from error
            # Who reads this has to know that it may be about the proxy.
            said = str(error) or type(error).__name__
            raise type(error)(f"through the proxy {proxy.address}: {said}", request=request) from error
        if response.status_code == 407:
            response.close()
            raise _login_wanted(proxy)
        return response

    def close(self) -> None:
        for transport in (self._direct, *self._through.values()):
            transport.close()


def _login_wanted(proxy: Proxy) -> NetworkError:
    said = "does not accept the login" if proxy.login else "wants a login"
    return NetworkError(f"the proxy {proxy.address} {said} (HTTP 407)", hint=f"Look at {proxy.variable}. {_HINT}")

"""Access to a registry: what it asks for, answered from what a user has (distribution's token authentication)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from urllib.parse import urlsplit

from wherry.errors import NetworkError
from wherry.image.json import JsonObject, as_str, load_object
from wherry.registry.challenge import Challenge
from wherry.registry.credentials import Login
from wherry.registry.errors import reading
from wherry.urls import redacted

_CLIENT = "wherry"
_SHORTEST = 60  # seconds that a token is good for, if its server does not say (distribution, "Token Authentication")
_MARGIN = 10  # seconds before its end in which a token is not used any more
_LONGEST = 86400  # seconds

Scopes = tuple[str, ...]
"""What is to be done, as ``repository:NAME:ACTIONS`` each."""

Ask = Callable[[str, str, Mapping[str, str], bytes], tuple[int, bytes]]
"""Sends a request (method, URL, headers, body) to a token server, with further attempts; gives status and answer."""


class Access:
    """What one registry lets us in with. Safe to use from several threads.

    ``find`` gives the user's login, asked for once and only if the registry wants one; it and the tokens go to
    nobody but this registry and the token server that it names. ``trouble`` says why it may not have been found.
    """

    def __init__(
        self, host: str, find: Callable[[], Login | None], ask: Ask, trouble: Callable[[], str] = lambda: ""
    ) -> None:
        self._host = host
        self._find = find
        self._ask = ask
        self._trouble = trouble
        self._lock = Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, tuple[str, float]] = {}

    def header(self, scopes: Scopes) -> str:
        """The Authorization header for a request; empty as long as the registry has asked for nothing."""
        with self._lock:
            if self._challenge is None:
                return ""
            if self._challenge.scheme == "basic":
                login = self._find()
                return _basic(login.user, login.password) if login else ""
            known = self._tokens.get(scopes)
            if known is None or known[1] <= time.monotonic():
                known = self._tokens[scopes] = self._token(self._challenge, scopes)
            return f"Bearer {known[0]}"

    def refused(self, used: str, challenges: Sequence[Challenge], scopes: Scopes, *, https: bool) -> bool:
        """Whether another attempt may do better, after the registry has refused one with the header ``used``."""
        with self._lock:
            known = self._tokens.get(scopes)
            if known is not None and used == f"Bearer {known[0]}":
                del self._tokens[scopes]  # it has ended before its time, or means less than it did
            challenge = next((one for one in challenges if one.scheme == "bearer" and _has_realm(one)), None)
            challenge = challenge or next((one for one in challenges if one.scheme == "basic"), None)
            if challenge is None:
                return False
            if challenge.scheme == "bearer" and https and urlsplit(challenge.parameters["realm"]).scheme != "https":
                raise NetworkError(
                    f"{self._host} names a token server without TLS: {redacted(challenge.parameters['realm'])}",
                    hint="A login would go there in the clear. Ask who runs the registry.",
                )
            self._challenge = challenge
            return challenge.scheme == "bearer" or (not used and self._find() is not None)

    def _token(self, challenge: Challenge, scopes: Scopes) -> tuple[str, float]:
        """A new token for ``scopes``, and the end of its time."""
        from urllib.parse import urlencode

        realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
        login = self._find()
        query = [("service", service)] if service else []
        headers: dict[str, str] = {}
        if login and login.identity_token:
            fields = [
                ("grant_type", "refresh_token"),
                ("client_id", _CLIENT),
                *query,
                ("scope", " ".join(scopes)),
                ("refresh_token", login.identity_token),
            ]
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            status, answer = self._ask("POST", realm, headers, urlencode(fields).encode())
        else:
            if login:
                headers["Authorization"] = _basic(login.user, login.password)
                query.append(("account", login.user))
            query += [("scope", scope) for scope in scopes]
            mark = "&" if urlsplit(realm).query else "?"
            status, answer = self._ask("GET", f"{realm}{mark}{urlencode(query)}", headers, b"")
        if status in {400, 401, 403}:
            who = "does not accept the login" if login else "gives no token without a login"
            raise NetworkError(
                f"{_origin(realm)}: the token server of {self._host} {who} (HTTP {status})",
                hint="\n".join(filter(None, (f"`wherry login {self._host}` keeps a login for it.", self._trouble()))),
            )
        if status != 200:
            raise NetworkError(f"{_origin(realm)}: HTTP {status} where a token was expected")
        with reading():
            return _read(answer, f"the answer of the token server {_origin(realm)}")


def _read(data: bytes, what: str) -> tuple[str, float]:
    value: JsonObject = load_object(data, what)
    token = as_str(value.get("token"), f"{what}: token") or as_str(value.get("access_token"), f"{what}: access_token")
    if not token or not token.isascii() or not token.isprintable():
        raise NetworkError(f"{what} holds no token")
    seconds = value.get("expires_in")
    lasts = seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 0
    return token, time.monotonic() + min(max(lasts, _SHORTEST), _LONGEST) - _MARGIN


def _has_realm(challenge: Challenge) -> bool:
    """Whether a challenge says where tokens are to be had."""
    try:
        parts = urlsplit(challenge.parameters.get("realm", ""))
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _basic(user: str, password: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

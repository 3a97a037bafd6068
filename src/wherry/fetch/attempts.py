"""Further attempts where a server or the network fails in a way that may pass: back-off, jitter, Retry-After."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from wherry.errors import NetworkError, WherryError
from wherry.urls import origin, redacted

if TYPE_CHECKING:
    import httpx

# httpx would bring its own command line along, and that click, rich and pygments: as much as all the rest of it.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The HTTP statuses after which it is worth to try again (RFC 9110, section 15; RFC 6585; RFC 8470)."""

_ATTEMPTS = 5
_FIRST_DELAY = 0.4  # seconds, doubled for every further attempt
_LONGEST_DELAY = 60.0
# What TLS says of a certificate of ours that is missing (Go says "bad certificate") or not known.
_OURS_REFUSED = re.compile(r"_ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+)")
_REASON = re.compile(r"certificate verify failed(: .+?)(?: \(_ssl\.c|$)")


class Stopped(WherryError):
    """A transfer was given up because nobody wants it any more."""

    def __init__(self) -> None:
        super().__init__("stopped")


class Again(Exception):
    """The attempt failed in a way that may pass; ``after`` is a Retry-After header."""

    def __init__(self, message: str, after: str | None = None) -> None:
        super().__init__(message)
        self.after = after


class Unreached(Again):
    """Nobody is there who speaks as was expected: no connection was made, or none with TLS."""


class _Attempt:
    """One try as a context manager: swallows :class:`Again`, after waiting, while tries are left."""

    def __init__(self, what: str, number: int, stop: threading.Event) -> None:
        self._what = what
        self._number = number
        self._stop = stop

    def __enter__(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Again):
            return False
        if self._number == _ATTEMPTS:
            raise NetworkError(
                f"{redacted(self._what)}: {error} ({_ATTEMPTS} attempts)",
                hint="Check the network and the proxy settings; with --offline what is cached serves.",
            ) from error
        import random

        delay = _FIRST_DELAY * 2 ** (self._number - 1) * (0.5 + random.random())
        if self._stop.wait(max(delay, _seconds(error.after))):
            raise Stopped
        return True


def attempts(what: str, stop: threading.Event) -> Iterator[_Attempt]:
    """A few tries, each a context manager: one that raises :class:`Again` is waited after, and the next one begins.

    ``what`` is a URL or another name of what is tried. After the last, :class:`~wherry.errors.NetworkError`;
    :class:`Stopped` soon after ``stop`` is set.
    """
    return (_Attempt(what, number, stop) for number in range(1, _ATTEMPTS + 1))


@contextmanager
def answering(
    opened: AbstractContextManager[httpx.Response], url: str, *, server: str, hint: str, ours: str | None = None
) -> Iterator[httpx.Response]:
    """The response to a request to ``url`` that ``opened`` sends, of any status that is worth no further attempt.

    Raises :class:`Again`, also within the block, for what may pass (:class:`Unreached` if the server itself was not
    reached); :class:`~wherry.errors.NetworkError` for what will not. ``server`` and ``hint`` are for people whom its
    certificate is no proof to, ``ours`` is a hint for those whose own is none to it.
    """
    import httpx

    try:
        with opened as response:
            if response.status_code in RETRIED:
                status = f"HTTP {response.status_code} {response.reason_phrase}"
                raise Again(status, response.headers.get("Retry-After"))
            yield response
    except httpx.UnsupportedProtocol:
        raise
    except (httpx.TooManyRedirects, httpx.DecodingError) as error:
        raise NetworkError(f"{redacted(url)}: {error}") from error
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            reason = _REASON.search(str(error))
            message = f"{server}: the server's certificate is not trusted{reason[1] if reason else ''}"
            raise NetworkError(message, hint=hint) from error
        if _OURS_REFUSED.search(str(error)):
            message = f"{server}: the server lets in only who has a certificate that it knows ({error})"
            raise NetworkError(message, hint=ours) from error
        connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        # Where reading was redirected, it may be about another server.
        kind = Unreached if connecting and origin(str(error.request.url)) == origin(url) else Again
        raise kind(str(error) or type(error).__name__) from error


def _seconds(after: str | None) -> float:
    """A Retry-After header, seconds or a date, as seconds from now, at most a minute."""
    if not after:
        return 0
    from email.utils import parsedate_to_datetime

    try:
        seconds = int(after) if after.isdecimal() else parsedate_to_datetime(after).timestamp() - time.time()
    except (ValueError, OverflowError):  # no date, a year that clocks do not have, thousands of digits
        return 0
    return min(max(seconds, 0), _LONGEST_DELAY)

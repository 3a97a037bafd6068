"""Further attempts where a server or the network fails in a way that may pass: back-off, jitter, Retry-After."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from wherry.errors import NetworkError, WherryError
from wherry.urls import redacted

if TYPE_CHECKING:
    import httpx

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The HTTP statuses after which it is worth to try again (RFC 9110, section 15; RFC 6585; RFC 8470)."""

_ATTEMPTS = 5
_FIRST_DELAY = 0.4  # seconds, doubled for every further attempt
_LONGEST_DELAY = 60.0


class Stopped(WherryError):
    """A transfer was given up because nobody wants it any more."""

    def __init__(self) -> None:
        super().__init__("stopped")


class Again(Exception):
    """The attempt failed in a way that may pass; ``after`` is a Retry-After header."""

    def __init__(self, message: str, after: str | None = None) -> None:
        super().__init__(message)
        self.after = after


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
    opened: AbstractContextManager[httpx.Response], url: str, *, server: str, hint: str
) -> Iterator[httpx.Response]:
    """The response to a request to ``url`` that ``opened`` sends, of any status that is worth no further attempt.

    Raises :class:`Again`, also within the block, for what may pass; :class:`~wherry.errors.NetworkError` for what will
    not. ``server`` and ``hint`` are for people whom its certificate is no proof to.
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
            raise NetworkError(f"{server}: the server's certificate is not trusted", hint=hint) from error
        raise Again(str(error) or type(error).__name__) from error


def _seconds(after: str | None) -> float:
    """A Retry-After header, seconds or a date, as seconds from now, at most a minute."""
    if not after:
        return 0
    if after.isdigit():
        return min(int(after), _LONGEST_DELAY)
    from email.utils import parsedate_to_datetime

    try:
        return min(max(parsedate_to_datetime(after).timestamp() - time.time(), 0), _LONGEST_DELAY)
    except ValueError:
        return 0

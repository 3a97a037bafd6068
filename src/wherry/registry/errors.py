"""What a registry does not do, in its own words (OCI distribution-spec, "Error Codes")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wherry.errors import NetworkError, WherryError
from wherry.image.json import as_list, as_object, as_str, load_object
from wherry.registry.hosts import Endpoint
from wherry.urls import redacted

if TYPE_CHECKING:
    import httpx

_LARGEST = 1 << 16
_SHOWN = 300  # characters of a registry's own words


class Refused(NetworkError):
    """A registry has answered with an error: HTTP's ``status``, and its own ``codes``."""

    def __init__(self, message: str, *, status: int, codes: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = codes


class Absent(Refused):
    """There is nothing of that name."""


class Denied(Refused):
    """This user may not do it, or nobody without a login."""


def refusal(response: httpx.Response, endpoint: Endpoint, authorization: str = "", trouble: str = "") -> Refused:
    """What ``response`` to a request with the header ``authorization`` means; ``trouble`` is why that was no better.

    Another server to which reading was redirected is named; it does not decide on what we may do and what there is.
    """
    codes, words = _said(beginning(response))
    status = response.status_code
    if response.has_redirect_location:
        words = f"the request should go to {redacted(response.headers['Location'])[:_SHOWN]} instead"
    where = f" at {response.url.host}" if response.history else ""
    text = f"{endpoint.registry}/{endpoint.path}: {words or response.reason_phrase.lower()} (HTTP {status}{where})"
    if status in {401, 403} and not where:
        login = f"`wherry login {endpoint.registry}`"
        hint = f"{login} keeps another login." if authorization else f"Is a login needed? {login} keeps one."
        return Denied(text, status=status, codes=codes, hint="\n".join(filter(None, (hint, trouble))))
    return (Absent if status == 404 and not where else Refused)(text, status=status, codes=codes)


@contextmanager
def reading() -> Iterator[None]:
    """Within the block, an answer is read: what in it makes no sense is the server's fault, a :class:`NetworkError`."""
    try:
        yield
    except WherryError as error:
        if type(error) is not WherryError:
            raise
        raise NetworkError(error.message, hint=error.hint) from error


def beginning(response: httpx.Response) -> bytes:
    """The first bytes of a body that may be of any length; of one that is short, all."""
    data = b""
    for piece in response.iter_bytes():
        data += piece
        if len(data) > _LARGEST:
            break
    return data


def _said(data: bytes) -> tuple[tuple[str, ...], str]:
    """The codes and the messages in a registry's answer, which may be anything."""
    try:
        errors = [as_object(one, "an error") for one in as_list(load_object(data, "an answer").get("errors"), "errors")]
        codes = tuple(as_str(one.get("code"), "code") for one in errors)
        messages = [
            as_str(one.get("message"), "message") or code.lower() for one, code in zip(errors, codes, strict=True)
        ]
    except WherryError:
        return (), ""
    words = "; ".join(dict.fromkeys(filter(None, messages)))
    return codes, "".join(char if char.isprintable() else " " for char in words)[:_SHOWN]

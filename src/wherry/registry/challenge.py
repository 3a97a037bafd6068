"""What a server asks for that answers 401: the WWW-Authenticate header (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\s*(?=,|$))")
_COMMA = re.compile(r"\s*,")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A scheme (lower case) and its parameters (names in lower case)."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges in the values of WWW-Authenticate, in their order; what cannot be understood ends a value."""
    return tuple(challenge for header in headers for challenge in _parse(header))


def _parse(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(header):
        if comma := _COMMA.match(header, at):
            at = comma.end()
        elif found and (parameter := _PARAMETER.match(header, at)):
            name, quoted, plain = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            found[-1][1].setdefault(name.lower(), value)
            at = parameter.end()
        elif scheme := _SCHEME.match(header, at):
            found.append((scheme[1].lower(), {}))
            at = scheme.end()
        else:
            break
    return [Challenge(scheme, parameters) for scheme, parameters in found]

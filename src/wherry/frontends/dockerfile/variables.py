"""Build arguments before the first stage: the platforms', those of ARG before FROM, proxies, SOURCE_DATE_EPOCH."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from wherry.errors import nearest
from wherry.frontends.dockerfile.expansion import ExpansionError, Lexer
from wherry.frontends.dockerfile.instruction import Arg, Statement
from wherry.image.platform import Platform

EPOCH = "SOURCE_DATE_EPOCH"
NOT_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Build arguments that speak to the builder and never become variables."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_LATEST = 253402300799  # 9999-12-31T23:59:59Z: the last second that RFC 3339 can write


def automatic(build: Platform, target: Platform, stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """The platforms' arguments (BUILDPLATFORM, TARGETARCH, …); a build argument of the same name wins."""
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return {name: given.get(name, value) for name, value in values.items()}


def before_stages(
    declared: Iterable[Arg], automatic: Mapping[str, str], given: Mapping[str, str], lexer: Lexer
) -> dict[str, str]:
    """All arguments that FROM may use: ``automatic`` ones, and those that ARG before the first FROM declares.

    Raises :class:`~wherry.frontends.dockerfile.errors.DockerfileError`.
    """
    values = dict(automatic)
    for arg in declared:
        for name, default in arg.args:
            if name in given:
                values[name] = given[name]
            elif default is not None:
                try:
                    values[name] = lexer.word(default, values)
                except ExpansionError as error:
                    raise arg.span.error(str(error)) from None
    return values


def unused(given: Iterable[str], automatic: Iterable[str], statements: Iterable[Statement]) -> Iterator[str]:
    """A note on each build argument of ``given`` that none of ``statements`` takes: perhaps it is written wrongly."""
    declared = {name for one in statements if isinstance(one, Arg) for name, _ in one.args}
    known = {*declared, *automatic, EPOCH, *NOT_VARIABLES}
    for name in given:
        if name not in known and name.lower() not in _PROXIES and not name.startswith("BUILDKIT_"):
            near = nearest(name[:100], declared)
            yield f"no ARG takes the build argument {name}" + (f": did you mean {near}?" if near else "")


def proxies(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The build arguments that name proxies: variables of every RUN, declared or not, in both spellings."""
    found = {name.lower(): given[name] for name in sorted(given) if name.lower() in _PROXIES}
    return tuple((spelling, found[name]) for name in _PROXIES if name in found for spelling in (name.upper(), name))


def epoch(value: str) -> int | None:
    """SOURCE_DATE_EPOCH; None if it is empty. Raises :class:`ValueError` if it is not a number of seconds."""
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) > _LATEST:
        raise ValueError(f"invalid SOURCE_DATE_EPOCH: {value[:100]}")
    return int(value)

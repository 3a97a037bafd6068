"""Options that several commands share, and the values that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from wherry.errors import UsageError

F = TypeVar("F", bound=Callable[..., object])

store_option: Callable[[F], F] = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="WHERRY_STORE",
    show_envvar=True,
    help="The folder that holds images and caches.",
)

insecure_option: Callable[[F], F] = click.option(
    "--insecure-registry",
    "insecure",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A registry that may do without TLS, or with a certificate that nobody trusts.",
)


def progress_option(styles: Sequence[str]) -> Callable[[F], F]:
    """``--progress``, with the styles that there are."""
    return click.option(
        "--progress",
        "style",
        type=click.Choice(styles),
        default="auto",
        show_default=True,
        help="How to show what goes on.",
    )


def key_values(pairs: tuple[str, ...], option: str) -> Mapping[str, str]:
    """``NAME=VALUE`` arguments as a mapping. Raises :class:`UsageError` for one without a name or ``=``."""
    result: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {pair!r} should be NAME=VALUE")
        result[name] = value
    return result

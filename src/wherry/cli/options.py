"""Options that several commands share, and the values that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def key_values(pairs: tuple[str, ...], option: str) -> Mapping[str, str]:
    """``NAME=VALUE`` arguments as a mapping. Raises :class:`UsageError` for one without a name or ``=``."""
    result: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {pair!r} should be NAME=VALUE")
        result[name] = value
    return result

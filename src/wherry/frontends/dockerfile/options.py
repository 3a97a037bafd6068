"""What is asked of a Dockerfile besides its text, and whom it asks for the configs of its bases."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from wherry.image.config import ImageConfig
from wherry.image.platform import Platform
from wherry.plan import Base, RunNetwork


@dataclass(frozen=True, slots=True)
class DockerfileOptions:
    """How a Dockerfile is to be read; names as docker build has them.

    ``file`` is its name as errors show it. ``platform`` and ``build_platform`` None are this machine's. ``contexts``
    are the names of named contexts, ``ignore`` the patterns of the main one. ``labels`` are the target's, set at its
    end. ``epoch`` is SOURCE_DATE_EPOCH from the environment; a build argument of that name wins. ``network`` is that of
    a RUN that does not say.
    """

    file: str
    build_args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platform: Platform | None = None
    build_platform: Platform | None = None
    contexts: Collection[str] = ()
    labels: tuple[tuple[str, str], ...] = ()
    ignore: tuple[str, ...] = ()
    epoch: int | None = None
    network: RunNetwork = "default"


class Resolver(Protocol):
    """Knows images."""

    def config(self, base: Base) -> ImageConfig:
        """The config of a base: its environment, working directory, shell and triggers are needed for expansion.

        Never asked for ``scratch``. Raises :class:`~wherry.errors.WherryError` if there is no such image.
        """
        ...

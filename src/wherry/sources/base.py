"""The small interface behind which base images come from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from wherry.events import Task
from wherry.image import Image, Platform

if TYPE_CHECKING:
    from wherry.target import Interpreter, Libc

Pull = Literal["missing", "always", "never"]
"""When a registry is asked for an image: if the store does not know its name; each time; not at all."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a project build must know of a base's content. ``libc`` is None where there is none (static, scratch)."""

    libc: Libc | None
    interpreters: tuple[Interpreter, ...]


def is_debian(source: str) -> bool:
    """Whether a base of this name is assembled from Debian's packages (``debian:12`` is a name in the store)."""
    return source.startswith("debian://")


def names_path(source: str) -> bool:
    """Whether a base of this name lies in a file or folder of this machine: ``oci:DIR``, ``docker-archive:FILE`` …"""
    kind, colon, _ = source.partition(":")
    return bool(colon) and kind in {"oci", "oci-archive", "docker-archive"}


class Source(Protocol):
    """Where a base image comes from."""

    def image(self, platform: Platform, task: Task) -> Image:
        """The image for ``platform``, its layers in the store or known to be where it can fetch them.

        Raises :class:`~wherry.errors.WherryError` if there is none.
        """

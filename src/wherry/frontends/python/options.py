"""What the command line may say about a project build; it goes before every file."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherry.image.platform import Platform
from wherry.plan import Indexes, NativeLibs

Words = str | tuple[str, ...]
"""A command: words as they are, or one text that is split as a shell splits it."""


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """Choices for a project build. What is empty or None is found out from the project.

    ``python`` is a version or a specifier set; ``requirements`` a file relative to the folder; ``epoch``
    seconds since 1970 (None: SOURCE_DATE_EPOCH, else 1980-01-01); ``env``, ``labels`` and what else has several values
    add to the project's own. What begins with ``build`` is about what has no wheel (:class:`~wherry.plan.BuildWheels`).
    ``leave_out`` are paths relative to the folder that are no part of the application, whatever
    is said elsewhere: what this build itself will write.
    """

    base: str | None = None
    python: str | None = None
    entrypoint: Words | None = None
    cmd: Words | None = None
    platforms: tuple[Platform, ...] = ()
    requirements: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    indexes: Indexes = field(default_factory=Indexes)
    env: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    build_base: str | None = None
    build_packages: tuple[str, ...] = ()
    build_env: tuple[tuple[str, str], ...] = ()
    config_settings: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    native_libs: NativeLibs | None = None
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    bytecode: bool | None = None
    mirror: str = ""
    leave_out: tuple[str, ...] = ()
    epoch: int | None = None

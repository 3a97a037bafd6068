"""A distribution chosen from a lock: a wheel to fetch, or something to build one from."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.fetch import Download


@dataclass(frozen=True, slots=True)
class Distribution:
    """A wheel that will be installed. ``name`` is normalised (PEP 503); ``wheel.name`` is its file name.

    ``direct_url`` is the text of direct_url.json (PEP 610), empty for what comes from an index.
    """

    name: str
    version: str
    wheel: Download
    direct_url: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A local project to be built by its own backend; ``path`` is relative to the context, with ``/``."""

    name: str
    path: str

    @property
    def key(self) -> str:
        """What tells it from everything else that is built for one project."""
        return self.path

    def __str__(self) -> str:
        return self.name if self.path in {"", "."} else f"{self.name} ({self.path})"


@dataclass(frozen=True, slots=True)
class Source:
    """A source distribution, an archive (both ``archive``) or the ``commit`` of a ``repository``, to be built.

    ``subdirectory`` is where in it the project lies; ``version`` is empty where only the project knows; ``wanted_by``
    are the distributions that require it, as far as the lock tells. ``direct_url`` as with a wheel.
    """

    name: str
    version: str
    archive: Download | None = None
    repository: str = ""
    commit: str = ""
    subdirectory: str = ""
    wanted_by: tuple[str, ...] = ()
    direct_url: str = ""

    @property
    def key(self) -> str:
        """What tells it from everything else that is built for one project."""
        return f"{self.name} {self.version}"

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells its files from all others."""
        archive = self.archive
        known = archive.key if archive is not None else (self.repository, self.commit)
        return (*known, self.subdirectory)

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


Buildable = Project | Source
Chosen = Distribution | Project | Source

"""A distribution chosen from a lock: a wheel to fetch, or a local project to build one from."""

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

"""What every step needs at hand: where things are kept, how they are to be done, who watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wherry.events import Reporter
from wherry.fetch import Fetcher
from wherry.layers.compression import Compression
from wherry.plan import Plan
from wherry.store import Store


@dataclass(frozen=True, slots=True)
class Options:
    """How to build, which does not change what is built (but for compression).

    ``no_cache`` does every step again; ``upgrade`` resolves requirements anew; ``pull`` looks for a newer
    base; ``offline`` answers from the store alone.
    """

    compression: Compression = field(default_factory=Compression)
    no_cache: bool = False
    upgrade: bool = False
    pull: bool = False
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One solve in progress."""

    plan: Plan
    context: Path
    store: Store
    fetcher: Fetcher
    options: Options
    reporter: Reporter

"""What every step needs at hand: where things are kept, how they are to be done, who watches."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.events import Reporter
from wherry.fetch import Fetcher
from wherry.image import Image
from wherry.layers.compression import Compression
from wherry.pins import Ledger
from wherry.plan import Base, Plan
from wherry.registry.registries import Registries
from wherry.solve.settings import RunSettings
from wherry.sources.base import Pull
from wherry.store import Store

if TYPE_CHECKING:
    import subprocess


@dataclass(frozen=True, slots=True)
class Options:
    """How to build, which does not change what is built (but for compression).

    ``no_cache`` does every step again, ``no_cache_stages`` those of some stages; ``upgrade`` resolves requirements
    anew; ``pull`` says when the place that a base comes from is asked for it; ``offline`` answers from the store alone.
    ``insecure`` are registries (``host[:port]``) that may do without TLS. ``contexts`` are the named contexts as they
    were given (``--build-context``), ``run`` how RUN is run. ``no_lock`` passes over a wherry.lock.
    """

    compression: Compression = field(default_factory=Compression)
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    upgrade: bool = False
    pull: Pull = "missing"
    offline: bool = False
    insecure: tuple[str, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    run: RunSettings = field(default_factory=RunSettings)
    no_lock: bool = False


class Stop:
    """Ends the commands of a build whose result nobody wants any more, since another part of it has failed."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @contextmanager
    def watching(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """While the body runs, :meth:`stop` ends ``process``, and so does an interrupt of ours."""
        from wherry.children import tended

        with self._lock:
            self._processes.add(process)
        try:
            with tended(process):
                if self._stopped:
                    process.kill()
                yield
        finally:
            with self._lock:
                self._processes.discard(process)

    def stop(self) -> None:
        """End what runs; nothing more is begun."""
        self._stopped = True
        with self._lock:
            for process in self._processes:
                process.kill()

    def check(self) -> None:
        """Raise :class:`Stopped` if this build has been stopped."""
        if self._stopped:
            raise Stopped("stopped, as another part of the build has failed")


class Stopped(WherryError):
    """What a part of a build raises that was stopped because of another."""


@dataclass(frozen=True, slots=True)
class Work:
    """One solve in progress; ``stage`` is the name of the stage whose steps are being done.

    ``images`` are those of bases that were opened to plan this, ``bases`` those that were used, each by what it was
    asked for. ``pins`` says what to take where something floats; by default nothing does.
    """

    plan: Plan
    context: Path
    store: Store
    fetcher: Fetcher
    registries: Registries
    options: Options
    reporter: Reporter
    stage: str = ""
    images: Mapping[Base, Image] = field(default_factory=dict)
    bases: dict[Base, Image] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop)
    pins: Ledger = field(default_factory=Ledger)

    @property
    def no_cache(self) -> bool:
        """Whether what is remembered does not count."""
        return self.options.no_cache or self.stage in self.options.no_cache_stages

    def within(self, stage: str) -> Work:
        """The same, for the steps of ``stage``."""
        return replace(self, stage=stage)

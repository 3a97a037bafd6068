"""Blobs that the store knows of and does not have: fetched from where they are when somebody wants their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import NetworkError, WherryError
from wherry.events import Reporter, Task
from wherry.fetch import HashMismatch
from wherry.image import Descriptor, Digest, Reference
from wherry.image.digest import encoded
from wherry.registry.registries import Registries
from wherry.store import Store
from wherry.store.origins import Origin

REPOSITORY = "docker://"
LAYOUT = "oci:"
_PIECE = 1 << 20
_ANY = "application/octet-stream"


class Gone(WherryError):
    """No place has a blob any more that had it once. It is forgotten there: a new build makes it again."""


class Supply:
    """Fetches blobs for ``store``, several at a time, each checked against its digest before it is there."""

    def __init__(self, store: Store, registries: Registries, reporter: Reporter) -> None:
        self._store = store
        self._registries = registries
        self._reporter = reporter

    def __call__(self, digests: Sequence[Digest]) -> None:
        """Fetch what is known to be elsewhere. Raises :class:`Gone`, or what the last place that has it answers."""
        known = {digest: origins for digest in digests if (origins := self._store.origins.of(digest))}
        if known:
            with self._reporter.step(f"fetch {len(known)} layer{'' if len(known) == 1 else 's'}") as task:
                self._fetch(known, task)

    def fetch(self, digests: Sequence[Digest], task: Task) -> int:
        """The same as a part of ``task``; gives the bytes that had to be fetched."""
        missing = [digest for digest in dict.fromkeys(digests) if not self._store.blobs.has(digest)]
        return self._fetch({digest: self._store.origins.of(digest) for digest in missing}, task)

    def _fetch(self, known: dict[Digest, tuple[Origin, ...]], task: Task) -> int:
        task.expect(sum(origins[0].size for origins in known.values() if origins))

        def one(origins: tuple[Origin, ...]) -> int:
            return self._one(origins, task)

        wanted = [origins for origins in known.values() if origins]
        return sum(self._registries.client.at_once(one, wanted))

    def _one(self, origins: tuple[Origin, ...], task: Task) -> int:
        """Fetch one blob; gives its size, or 0 if somebody else has fetched it meanwhile."""
        from wherry.registry.errors import Absent

        failure: WherryError | None = None
        for origin in origins:
            try:
                return origin.size if self._from(origin, task) else 0
            except (Absent, Gone, FileNotFoundError):
                self._store.origins.forget(origin)
            except (NetworkError, HashMismatch) as error:
                failure = error
        if failure is not None:
            raise failure
        digest, place = origins[0].digest, origins[0].place
        raise Gone(f"{place} does not have {digest} any more", hint="Build again.")

    def _from(self, origin: Origin, task: Task) -> bool:
        if origin.place.startswith(LAYOUT):
            return _copied(Path(origin.place.removeprefix(LAYOUT)), origin, self._store, task)
        from wherry.registry.download import download

        reference = Reference.parse(f"{origin.place.removeprefix(REPOSITORY)}@{origin.digest}")
        descriptor = Descriptor(_ANY, origin.digest, origin.size)
        return download(self._registries.places(reference), descriptor, self._store, task.advance)


def _copied(layout: Path, origin: Origin, store: Store, task: Task) -> bool:
    path = layout / "blobs" / "sha256" / encoded(origin.digest)
    if store.blobs.has(origin.digest):
        return False
    with path.open("rb") as source, store.blobs.writer() as target:
        while piece := source.read(_PIECE):
            target.write(piece)
            task.advance(len(piece))
        if target.digest != origin.digest:
            raise Gone(f"{layout} is damaged: {origin.digest} is {target.digest}")
        target.commit()
    return True


@contextmanager
def supplying(store: Store, registries: Registries, reporter: Reporter) -> Iterator[Supply]:
    """Within the block, ``store`` fetches through ``registries`` what it does not have."""
    before = store.blobs.supply
    supply = Supply(store, registries, reporter)
    store.blobs.supply = supply
    try:
        yield supply
    finally:
        store.blobs.supply = before


def supply_from_registries(store: Store, insecure: Sequence[str] = ()) -> None:
    """Let ``store`` fetch what it does not have, each time by connections of its own."""

    def fetch(digests: Sequence[Digest]) -> None:
        with Registries(insecure=insecure) as registries:
            Supply(store, registries, Reporter(None))(digests)

    store.blobs.supply = fetch

"""Blobs from a registry into the store: resumed where they broke off, and nothing before their digest is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from wherry.errors import NetworkError
from wherry.fetch import Download, HashMismatch
from wherry.fetch.transfer import Transfer
from wherry.image import Descriptor
from wherry.image.digest import encoded
from wherry.registry.repository import Repository
from wherry.store import Store
from wherry.store.files import storing
from wherry.store.lock import locked

if TYPE_CHECKING:
    import httpx

Advance = Callable[[int], None]


def download(places: Sequence[Repository], descriptor: Descriptor, store: Store, advance: Advance) -> bool:
    """See to it that a blob is in ``store``; gives whether it had to be fetched.

    ``places`` are asked in their order, mirrors first, until one has it right. What broke off is kept, and gone on with
    by whoever wants it next. Raises :class:`~wherry.errors.NetworkError`,
    :class:`~wherry.fetch.HashMismatch`, or what the last of ``places`` answers.
    """
    blobs, hexadecimal = store.blobs, encoded(descriptor.digest)
    if blobs.has(descriptor.digest):
        return False
    partial = store.files / "partial" / f"sha256-{hexadecimal}"
    lock = partial.with_suffix(".lock")
    store.scratch()  # says to other processes that the store is in use
    with storing(store.path):
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locked(lock):
                if blobs.has(descriptor.digest):
                    return False
                if descriptor.size == 0:
                    partial.touch()
                for number, repository in enumerate(places, 1):
                    wanted = Download(
                        f"{repository.name}@{descriptor.digest}",
                        {"sha256": hexadecimal},
                        descriptor.size,
                        f"{repository.name}@{descriptor.digest}",
                    )
                    transfer = Transfer(wanted, partial, advance, repository.client.stop)
                    try:
                        transfer.fetch(_opener(repository, descriptor))
                        break
                    except (NetworkError, HashMismatch):
                        if number == len(places):
                            raise
                if (size := partial.stat().st_size) != descriptor.size:  # right by its digest: the manifest is not
                    partial.unlink()
                    raise NetworkError(f"{descriptor.digest} has {size} bytes where {descriptor.size} were announced")
                blobs.adopt(partial, descriptor.digest)
        finally:
            with suppress(OSError):
                lock.unlink()  # whoever waits for it makes it anew
    return True


def _opener(
    repository: Repository, descriptor: Descriptor
) -> Callable[[Mapping[str, str]], AbstractContextManager[httpx.Response]]:
    return lambda headers: repository.open(descriptor.digest, headers)

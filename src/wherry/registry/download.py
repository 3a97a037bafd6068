"""Blobs from a registry into the store: resumed where they broke off, and nothing before their digest is right."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from wherry.errors import NetworkError
from wherry.fetch import Download, HashMismatch
from wherry.fetch.transfer import Advance, Transfer, taking
from wherry.image import Descriptor
from wherry.image.digest import encoded
from wherry.registry.repository import Repository
from wherry.store import Store
from wherry.store.files import storing


def download(places: Sequence[Repository], descriptor: Descriptor, store: Store, advance: Advance) -> bool:
    """See to it that a blob is in ``store``; gives whether it had to be fetched.

    ``places`` are asked in their order, mirrors first, until one has it right. What broke off is kept, and gone on with
    by whoever wants it next. Raises :class:`~wherry.errors.NetworkError`,
    :class:`~wherry.fetch.HashMismatch`, or what the last of ``places`` answers.
    """
    blobs = store.blobs
    if blobs.has(descriptor.digest):
        return False
    hashes = {"sha256": encoded(descriptor.digest)}
    wanted = [Download(f"{place.name}@{descriptor.digest}", hashes, descriptor.size) for place in places]
    store.scratch()  # says to other processes that the store is in use
    with storing(store.path), taking(store.files, wanted[0]) as partial:
        if blobs.has(descriptor.digest):
            return False
        if descriptor.size == 0:
            partial.touch()
        for number, (place, one) in enumerate(zip(places, wanted, strict=True), 1):
            try:
                transfer = Transfer(one, partial, advance, place.client.stop)
                transfer.fetch(functools.partial(place.open, descriptor.digest))
                break
            except (NetworkError, HashMismatch):
                if number == len(places):
                    raise
        if (size := partial.stat().st_size) != descriptor.size:  # right by its digest: the manifest is not
            partial.unlink()
            raise NetworkError(f"{descriptor.digest} has {size} bytes where {descriptor.size} were announced")
        blobs.adopt(partial, descriptor.digest)
    return True

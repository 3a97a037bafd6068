"""Stores and images in them, by name: what every command begins with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import UsageError
from wherry.image import Image, Index
from wherry.sources.supply import supply_from_registries
from wherry.store import Store


def default_store() -> Path:
    """The store's folder: ``WHERRY_STORE``, or ``wherry/store`` in the user's cache directory (XDG on Linux).

    Raises :class:`UsageError` for a user without a home.
    """
    if path := os.environ.get("WHERRY_STORE"):
        return Path(path)
    if sys.platform == "linux":  # what platformdirs would say, without its import on the warm path
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not cache.is_absolute():
            try:
                cache = Path.home() / ".cache"
            except RuntimeError:  # HOME is not set, and this user is not in /etc/passwd
                raise UsageError(
                    "there is no home folder to keep the store in", hint="Name a folder in WHERRY_STORE or --store."
                ) from None
        return cache / "wherry" / "store"
    from platformdirs import user_cache_path

    return user_cache_path("wherry", appauthor=False) / "store"


def open_store(path: Path | None = None, *, insecure: Sequence[str] = ()) -> Store:
    """The store at ``path``, or the default one; close it after use (it is a context manager).

    Layers that are still at the registry that an image came from are fetched when they are needed; ``insecure`` are
    registries (``host[:port]``) that may do without TLS.
    """
    store = Store(path or default_store())
    supply_from_registries(store, insecure)
    return store


@contextmanager
def using(store: Store | None) -> Iterator[Store]:
    """The caller's store, which stays open, or the default one for the length of the block."""
    if store is not None:
        yield store
    else:
        with open_store() as opened:
            yield opened


def find(name: str, store: Store) -> Image | Index:
    """The image that ``name`` (a reference, a digest or the beginning of one, an image ID) means in ``store``.

    Raises :class:`~wherry.errors.UsageError` that names the nearest name if there is none.
    """
    from wherry.store.listing import find_descriptor

    return store.load(find_descriptor(store, name))

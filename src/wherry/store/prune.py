"""Disk space back: what no image and no cached result needs goes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import StoreError, WherryError
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest
from wherry.image.json import as_list, as_object, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.store.broom import Broom
from wherry.store.files import storing
from wherry.store.lock import give_up, try_lock
from wherry.store.origins import Origin
from wherry.store.store import Store

_BLOB = re.compile(r"[0-9a-f]{64}")
_DATABASE = ("cache.sqlite", "cache.sqlite-wal", "cache.sqlite-shm")
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Report:
    """What was removed, or would be: ``files`` in number, their ``bytes`` on the disk, and ``paths``.

    A path is relative to the store; a directory stands for all that was in it. ``kept`` are those that should have
    gone, and that this user may not remove, or not all of it: it holds files of other users (subordinate IDs).
    """

    files: int
    bytes: int
    paths: tuple[str, ...]
    kept: tuple[str, ...] = ()


def prune(store: Store, *, everything: bool = False, older_than: float | None = None, dry_run: bool = False) -> Report:
    """Remove what nothing needs.

    That is: blobs of no image and no cached result, what is remembered of such blobs, unpacked root filesystems, what
    broke off or was killed has left, and locks that nobody holds.
    With ``everything`` the caches go as well: only what named images need stays. With ``older_than`` (seconds) it is
    cached results, downloads, cache mounts, repositories and what is remembered of contexts, if they were not used for
    so long. ``dry_run`` only tells. Raises :class:`~wherry.errors.StoreError` while a build uses the store.
    """
    with store.alone(), storing(store.path):
        broom = Broom(store.path, dry_run=dry_run)
        since = _since(everything, older_than)
        needed = _reachable(store)
        if since is None:
            _database(store, needed, broom)
        else:
            needed |= store.cache.needed(since)
            if not dry_run:
                if since:
                    store.cache.forget(since)
                store.origins.keep(needed)
            store.close()
        _blobs(store, needed, broom)
        _records(store, needed if since is not None else (), broom)
        _downloads(store, since, broom)
        _roots(store.path / "rootfs", broom)
        _caches(store.path, since, broom)
        for name in ("containers", "sessions"):  # of those that were killed
            _with_locks(store.path / name, broom)
        for path in _files(store.path / "locks"):
            with _unless_held(path, broom):
                pass
    return Report(broom.files, broom.bytes, tuple(broom.paths), tuple(broom.kept))


def _since(everything: bool, older_than: float | None) -> float | None:
    """The time since which a cache must have been used to stay; None: no cache stays, 0: every one does."""
    if older_than is not None:
        return max(time.time() - older_than, 0)
    return None if everything else 0


def _is_unused(path: Path, since: float | None) -> bool:
    """Whether a cache was not used since then; its last use is the time of its lock, or else its own."""
    if since is None:
        return True
    with suppress(FileNotFoundError):
        return _lock_of(path).lstat().st_mtime < since
    return path.lstat().st_mtime < since


def _reachable(store: Store) -> set[Digest]:
    """The blobs that named images consist of. What is damaged needs no more than what can be read of it."""
    found: set[Digest] = set()
    waiting = list(store.images())
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in found:
            continue
        found.add(descriptor.digest)
        if descriptor.media_type in INDEXES | MANIFESTS:
            with suppress(WherryError):
                waiting += _parts(store.blobs.read(descriptor.digest))
    return found


def _parts(manifest: bytes) -> Iterator[Descriptor]:
    value = load_object(manifest, "a manifest")
    for key in ("manifests", "layers"):
        for item in as_list(value.get(key), key):
            yield Descriptor.from_json(as_object(item, key))
    for key in ("config", "subject"):
        if value.get(key):
            yield Descriptor.from_json(as_object(value.get(key), key))


def _database(store: Store, needed: Iterable[Digest], broom: Broom) -> None:
    """Forget every result, and where blobs are, but of those that an image needs and that are not here."""
    kept: list[Origin] = []
    with suppress(StoreError):  # a damaged one goes all the same
        kept = [origin for digest in needed if not store.blobs.has(digest) for origin in store.origins.of(digest)]
    store.close()
    for name in _DATABASE:
        broom.remove(store.path / name)
    if not broom.dry_run:
        store.origins.add(kept)
        store.close()


def _blobs(store: Store, needed: Iterable[Digest], broom: Broom) -> None:
    kept = {store.blobs.path(digest).name for digest in needed}
    for path in _files(store.blobs.root / "sha256"):
        if path.name not in kept and _BLOB.fullmatch(path.name):
            broom.remove(path)


def _records(store: Store, needed: Iterable[Digest], broom: Broom) -> None:
    """What is remembered of layers that go, or went."""
    kept = {store.blobs.path(digest).name for digest in needed}
    for path in _files(store.path / "records"):
        if path.name not in kept or not (store.blobs.root / "sha256" / path.name).is_file():
            broom.remove(path)


def _downloads(store: Store, since: float | None, broom: Broom) -> None:
    """Broken-off downloads, unless somebody is at them, and old ones."""
    for folder in _files(store.files):
        if folder.name == "partial":
            _with_locks(folder, broom)
        elif since is None:
            broom.remove(folder)
        else:
            for path in _files(folder):
                if path.is_file() and _is_unused(path, since):
                    broom.remove(path)


def _roots(folder: Path, broom: Broom) -> None:
    """Root filesystems, and what steps wrote over them: they can be unpacked again."""
    for path in _files(folder):
        lock = path / "lock"
        if not os.path.lexists(lock):
            broom.remove(path)
            continue
        with _unless_held(lock, broom) as free:
            if free:
                broom.remove(path)


def _caches(path: Path, since: float | None, broom: Broom) -> None:
    """What Dockerfile builds keep from one to the next, and what those that were killed have left in it."""
    _with_locks(path / "mounts", broom, lambda mount: mount.suffix == ".new" or _is_unused(mount, since))
    for cache in (*_files(path / "git"), *_files(path / "contexts"), *_files(path, "sandbox")):
        if _is_unused(cache, since):
            broom.remove(cache)
        else:
            for rest in _files(cache, "objects/*/tmp_*"):
                broom.remove(rest)
    for rest in _files(path, "sandbox.*"):
        broom.remove(rest)
    if since is None:
        broom.remove(path / "uv")


def _with_locks(folder: Path, broom: Broom, goes: Callable[[Path], bool] = lambda path: True) -> None:
    """Remove what lies in ``folder`` beside its lock (``NAME``, ``NAME.lock``) and goes, unless somebody holds that."""
    for path in _files(folder):
        if path.suffix != _LOCK and goes(path):
            with _unless_held(_lock_of(path), broom) as free:
                if free:
                    broom.remove(path)
    for lock in _files(folder, f"*{_LOCK}"):
        if not os.path.lexists(lock.with_suffix("")):
            with _unless_held(lock, broom):
                pass


def _lock_of(path: Path) -> Path:
    return path.with_suffix(_LOCK)


@contextmanager
def _unless_held(lock: Path, broom: Broom) -> Iterator[bool]:
    """Whether nobody holds ``lock``; then nobody can in the block, and it is removed at the end."""
    there = lock.exists()
    try:
        handle = try_lock(lock)
    except PermissionError:  # another user's, as what it is for will be
        yield True
        return
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        if broom.dry_run and there:
            os.close(handle)
        else:
            give_up(handle, lock)


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []

"""Disk space back: what no image and no cached result needs goes."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import WherryError
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest
from wherry.image.json import as_list, as_object, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.store.files import remove_tree, storing
from wherry.store.lock import give_up, try_lock
from wherry.store.store import Store

_BLOB = re.compile(r"[0-9a-f]{64}")
_DATABASE = ("cache.sqlite", "cache.sqlite-wal", "cache.sqlite-shm")


@dataclass(frozen=True, slots=True)
class Report:
    """What was removed, or would be: ``files`` in number, their ``bytes`` on the disk, and ``paths``.

    A path is relative to the store; a directory stands for all that was in it. ``kept`` are root filesystems whose
    files belong to other users (subordinate IDs) and that only these, or root, can remove.
    """

    files: int
    bytes: int
    paths: tuple[str, ...]
    kept: tuple[str, ...] = ()


def prune(store: Store, *, everything: bool = False, older_than: float | None = None, dry_run: bool = False) -> Report:
    """Remove what nothing needs.

    That is: broken-off downloads, blobs of no image and no cached result, what is remembered of such blobs, unpacked
    root filesystems, and locks that nobody holds.
    With ``everything`` the caches go as well: only what named images need stays. With ``older_than`` (seconds) it is
    cached results and downloads that were not used for so long. ``dry_run`` only tells.
    Raises :class:`~wherry.errors.StoreError` while a build uses the store.
    """
    with store.alone(), storing(store.path):
        broom = _Broom(store.path, dry_run)
        since = _since(everything, older_than)
        needed = _reachable(store)
        if since is None:
            broom.remove(*(store.path / name for name in _DATABASE))
        else:
            needed |= store.cache.needed(since)
            if since and not dry_run:
                store.cache.forget(since)
            store.cache.close()
        _blobs(store, needed, broom)
        _records(store, needed, broom)
        _downloads(store, since, broom)
        roots = [*_files(store.path / "rootfs"), *_files(store.path / "containers")]
        kept = [path.relative_to(store.path).as_posix() for path in roots if not broom.try_to_remove(path)]
        if since is None:
            broom.remove(store.path / "uv")
        _locks(store.path / "locks", broom)
        _orphans(store.path / "sessions", broom)
    return Report(broom.files, broom.bytes, tuple(broom.paths), tuple(kept))


def _since(everything: bool, older_than: float | None) -> float | None:
    """The time since which a cache must have been used to stay; None: no cache stays, 0: every one does."""
    if older_than is not None:
        return max(time.time() - older_than, 0)
    return None if everything else 0


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


def _blobs(store: Store, needed: Iterable[Digest], broom: _Broom) -> None:
    kept = {store.blobs.path(digest).name for digest in needed}
    for path in _files(store.blobs.root / "sha256"):
        if path.name not in kept and _BLOB.fullmatch(path.name):
            broom.remove(path)


def _records(store: Store, needed: Iterable[Digest], broom: _Broom) -> None:
    """What is remembered of layers that go, or went."""
    kept = {store.blobs.path(digest).name for digest in needed}
    for path in _files(store.path / "records"):
        if path.name not in kept or not (store.blobs.root / "sha256" / path.name).is_file():
            broom.remove(path)


def _downloads(store: Store, since: float | None, broom: _Broom) -> None:
    """Broken-off downloads, unless somebody is at them, and old ones."""
    for folder in _files(store.files):
        if folder.name == "partial":
            for path in _files(folder):
                if path.suffix != ".lock":
                    with _unless_held(path.with_name(f"{path.name}.lock"), broom) as free:
                        if free:
                            broom.remove(path)
            _locks(folder, broom, "*.lock")
        elif since is None:
            broom.remove(folder)
        elif since:
            for path in _files(folder):
                if path.is_file() and path.stat().st_mtime < since:
                    broom.remove(path)


def _locks(folder: Path, broom: _Broom, pattern: str = "*") -> None:
    for path in _files(folder, pattern):
        with _unless_held(path, broom) as free:
            if free:
                broom.count(path)


@contextmanager
def _unless_held(lock: Path, broom: _Broom) -> Iterator[bool]:
    """Whether nobody holds ``lock``; then nobody can in the block, and it is removed at the end."""
    there = lock.exists()
    handle = try_lock(lock)
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


def _orphans(sessions: Path, broom: _Broom) -> None:
    """Folders whose locks are gone: their processes ended, but not well."""
    for path in _files(sessions):
        if path.is_dir() and not path.with_suffix(".lock").exists():
            broom.remove(path)


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


class _Broom:
    """Removes files and counts what it removed."""

    def __init__(self, root: Path, dry_run: bool) -> None:
        self.root = root
        self.dry_run = dry_run
        self.files = 0
        self.bytes = 0
        self.paths: list[str] = []

    def remove(self, *paths: Path) -> None:
        """Remove files and directories; what is not there is no matter."""
        for path in paths:
            if not os.path.lexists(path):
                continue
            self.count(path)
            if self.dry_run:
                continue
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()

    def try_to_remove(self, path: Path) -> bool:
        """Remove a directory unless we may not; whether it is gone (or would be)."""
        before = (self.files, self.bytes, list(self.paths))
        try:
            self.remove(path)
        except PermissionError:
            self.files, self.bytes, self.paths = before
            return False
        return True

    def count(self, path: Path) -> None:
        """Note that ``path`` goes."""
        self.paths.append(path.relative_to(self.root).as_posix())
        for status in _statuses(path):
            if not stat.S_ISDIR(status.st_mode):
                self.files += 1
                if status.st_nlink == 1:
                    self.bytes += getattr(status, "st_blocks", 0) * 512 or status.st_size


def _statuses(path: Path) -> Iterator[os.stat_result]:
    status = path.lstat()
    yield status
    if stat.S_ISDIR(status.st_mode):
        with suppress(PermissionError):
            for item in os.scandir(path):
                yield from _statuses(Path(item.path))

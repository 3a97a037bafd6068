"""Cache mounts: directories that commands of all builds share, kept in the store.

``mounts/NAME`` is one, NAME a hash of its id; ``mounts/NAME.lock`` is held by who uses it, and its time is that of the
last use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from wherry.errors import WherryError
from wherry.events import Task
from wherry.plan import Run, RunMount, Sharing
from wherry.sandbox import Mount
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work
from wherry.store.files import storing
from wherry.store.lock import share_lock, try_lock


def use_caches(step: Run, work: Work, held: ExitStack) -> Mapping[str, str]:
    """The directories of the caches of ``step`` by their ids, in use until ``held`` ends.

    They are taken in the order of their names, so that no two commands with several wait for each other.
    """
    wanted = {_cache_id(mount): mount.sharing for mount in reversed(step.mounts) if mount.type == "cache"}
    named = {sha256(id.encode("utf-8", "surrogateescape")).hexdigest()[:32]: id for id in wanted}
    folder = work.store.path / "mounts"
    if wanted:
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for name, id in sorted(named.items()):
        free, number = name, 0
        while (lock := _use(folder / f"{free}.lock", wanted[id])) is None:
            number += 1
            free = f"{name}-{number}"
        held.callback(os.close, lock)
        found[id] = free
    return found


def _cache_id(mount: RunMount) -> str:
    return mount.id or mount.target


def _use(lock: Path, sharing: Sharing) -> int | None:
    """Hold the lock of a cache as ``sharing`` says; None if it is private and somebody else has it."""
    if sharing == "shared":
        return share_lock(lock)
    handle = try_lock(lock, wait=sharing == "locked")
    if handle is not None:
        os.utime(handle)
    return handle


def cache_mount(
    mount: RunMount, caches: Mapping[str, str], work: Work, task: Task, stages: Mapping[str, Snapshot]
) -> Mount:
    """The cache of ``mount``, one of ``caches``; it begins empty, or with files of its origin."""
    name = caches[_cache_id(mount)]
    folder = work.store.path / "mounts" / name
    with storing(folder), work.store.once(f"cache mount {name}"):
        if not folder.is_dir():
            _begin_cache(mount, folder, work, task, stages)
    return Mount(folder, mount.target, read_only=mount.read_only)


def _begin_cache(mount: RunMount, folder: Path, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> None:
    new = work.store.path / "mounts" / f"{folder.name}.new"
    if new.exists():
        from wherry.store.files import remove_tree

        remove_tree(new)
    new.mkdir()
    if mount.origin is not None:
        from wherry.solve.copy.mounts import materialise

        materialise(mount.origin, mount.source, new, work, task, stages)
    if mount.origin is None or mount.uid or mount.gid:
        try:
            os.chown(new, mount.uid, mount.gid)
        except OSError as error:
            raise WherryError(f"a cache cannot belong to {mount.uid}:{mount.gid} here: {error.strerror}") from error
    new.chmod(mount.mode)
    new.replace(folder)

"""Directories that the store keeps for a while: root filesystems, and what steps have written over them.

``rootfs/NAME/root`` is one. ``rootfs/NAME/lock`` is held (shared) by who uses it; its time is that of the last use.
What is being made is beside it, under another name, and appears whole or not at all. Few are kept, those used last.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wherry.store import Store
from wherry.store.files import remove_tree, storing
from wherry.store.lock import share_lock

KEPT: dict[str, int] = {"": 6, "state-": 120, "full-": 4}
"""How many are kept of those whose names begin so; the longest beginning counts."""


class Rootfs:
    """A directory in use: ``path`` stays there until :meth:`close`, or until nobody knows this object."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._close = weakref.finalize(self, os.close, lock)

    def __enter__(self) -> Rootfs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let it go."""
        self._close()


def open_folder(store: Store, name: str, make: Callable[[Path], None]) -> Rootfs:
    """The directory called ``name``, made by ``make`` (which is told where) if it is not there yet."""
    store.scratch()  # says to other processes that the store is in use
    folder = store.path / "rootfs" / name
    root = folder / "root"
    with storing(folder), store.once(f"rootfs {name}"):
        folder.mkdir(parents=True, exist_ok=True)
        made = not root.is_dir()
        if made:
            new = folder / "new"
            if new.exists():  # left by a process that was killed
                remove_tree(new)
            try:
                make(new)
            except BaseException:
                if new.exists():
                    remove_tree(new)
                raise
            new.replace(root)
        used = Rootfs(root, share_lock(folder / "lock"))
    if made:
        trim(store, name)
    return used


def find_folder(store: Store, name: str) -> Rootfs | None:
    """The directory called ``name``, if it is there."""
    folder = store.path / "rootfs" / name
    with suppress(FileNotFoundError):
        used = Rootfs(folder / "root", share_lock(folder / "lock", make=False))
        if used.path.is_dir():
            return used
        used.close()
    return None


def begin_folder(store: Store, name: str) -> Rootfs:
    """A new directory ``rootfs/NAME``, in use, without a ``root`` yet: its maker puts one there."""
    store.scratch()
    folder = store.path / "rootfs" / name
    with storing(folder), store.once(f"rootfs {name}"):
        folder.mkdir(parents=True)
        return Rootfs(folder / "root", share_lock(folder / "lock"))


def take_folder(store: Store, name: str, new_name: str) -> Rootfs | None:
    """Give the directory called ``name`` to who makes ``new_name`` of it, unless it is not there or is used."""
    folder = store.path / "rootfs" / name
    with store.once(f"rootfs {name}"), _unused(folder / "lock") as unused:
        if not unused or not (folder / "root").is_dir():
            return None
        taken = begin_folder(store, new_name)
        (folder / "root").replace(taken.path)
        remove_tree(folder)
        return taken


def trim(store: Store, name: str) -> None:
    """Remove directories of the same kind as ``name`` that nobody uses, those first that were used long ago."""
    kind = _kind(name)
    folders = [path for path in (store.path / "rootfs").glob("*") if _kind(path.name) == kind]
    for folder in sorted(folders, key=_last_use, reverse=True)[KEPT[kind] :]:
        with storing(folder), store.once(f"rootfs {folder.name}"), _unused(folder / "lock") as unused:
            if unused and folder.exists():
                remove_tree(folder)


def _kind(name: str) -> str:
    return max((kind for kind in KEPT if name.startswith(kind)), key=len)


def _last_use(folder: Path) -> float:
    try:
        return (folder / "lock").stat().st_mtime
    except FileNotFoundError:
        return 0


@contextmanager
def _unused(lock: Path) -> Iterator[bool]:
    """Whether nobody holds the lock at ``lock``."""
    import fcntl

    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)

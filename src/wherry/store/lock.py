"""Locks between processes: a locked file, given up by the system when its holder dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
    import time

    def _acquire(handle: int, *, wait: bool) -> bool:
        while True:
            try:
                os.lseek(handle, 0, os.SEEK_SET)
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.05)
            else:
                return True

else:
    import fcntl

    def _acquire(handle: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


def try_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock the file at ``path`` (made if missing); gives a handle for :func:`os.close`, or None if it is taken.

    The file may be removed by its holder: a handle is good only if it is still the file of that name.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            locked = _acquire(handle, wait=wait)
            if locked and _is_current(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not locked:
            return None


def share_lock(path: Path, *, make: bool = True) -> int:
    """Lock the file at ``path`` as one of several users of what it stands for; its time is that of the last use.

    Gives a handle for :func:`os.close`. Waits for who has it alone. Raises :class:`FileNotFoundError` if the file is
    missing and is not to be made. POSIX only.
    """
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o644)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.utime(handle)
    return handle


def give_up(handle: int, path: Path) -> None:
    """Remove the lock file at ``path`` and let go of it."""
    if sys.platform == "win32":  # where an open file cannot be removed; whoever comes in between keeps it
        os.close(handle)
        with suppress(OSError):
            path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_current(handle: int, path: Path) -> bool:
    try:
        return sys.platform == "win32" or _same(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at ``path``, waiting for it. The same for threads of one process: each opens the file anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = try_lock(path, wait=True)
    assert handle is not None
    try:
        yield
    finally:
        os.close(handle)

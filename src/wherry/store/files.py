"""Atomic files: complete under their name, or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wherry.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_STUBBORN = {errno.EACCES, errno.EPERM, errno.EMFILE}  # the last by very deep directories: each holds a handle
_LONG = 1000  # bytes of a path; Linux takes 4095


@contextmanager
def storing(where: Path) -> Iterator[None]:
    """Turn what the file system refuses into a :class:`StoreError` about ``where``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"no space left on the disk that holds {where}",
                hint="Free some (`wherry prune` removes what no image needs), or choose another place with --store.",
            ) from error
        if error.errno in _DENIED:
            raise StoreError(
                f"may not use {error.filename or where}: {error.strerror}",
                hint="Choose a store that you own with --store or WHERRY_STORE.",
            ) from error
        raise StoreError(f"cannot use {error.filename or where}: {error.strerror or error}") from error


def write_atomic(path: Path, data: bytes, scratch: Path) -> None:
    """Put ``data`` at ``path`` by way of a temporary file in ``scratch`` (a directory of the same file system)."""
    temporary = scratch / f"{path.name}.{os.urandom(8).hex()}"
    with storing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove the directory at ``path`` with all that is in it, also where it forbids its owner to look or to write.

    Raises :class:`PermissionError` if something is left that we may not remove; all else has gone.
    """
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno not in _STUBBORN:
            raise
        denied = _remove_stubborn(path)
        if denied and os.path.lexists(path):
            raise denied from error


def _remove_stubborn(top: Path) -> PermissionError | None:
    """Remove what can be of a directory, however deep and closed; gives the first refusal."""
    refused: list[PermissionError] = []

    @contextmanager
    def noting() -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            refused.append(error)

    waiting, entered = [top], []
    while waiting:
        here = waiting.pop()
        with noting():
            with suppress(PermissionError):
                here.chmod(0o700)
            if len(os.fsencode(here)) > _LONG:  # deeper than a path can say: brought up
                here = here.rename(top / f"deep-{os.urandom(8).hex()}")
            entered.append(here)
            for item in here.iterdir():
                if item.is_dir() and not item.is_symlink():
                    waiting.append(item)
                else:
                    with noting():
                        item.unlink()
    for here in reversed(entered):
        with suppress(OSError), noting():  # not empty, where something had to stay
            here.rmdir()
    return refused[0] if refused else None

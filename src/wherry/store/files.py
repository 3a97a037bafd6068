"""Atomic files: complete under their name, or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


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
    """Remove the directory at ``path`` with all that is in it, also where it forbids its owner to write."""
    try:
        shutil.rmtree(path)
    except PermissionError:
        path.chmod(0o700)
        for folder, names, _ in os.walk(path):  # top down: each is opened before it is entered
            for name in names:
                inner = Path(folder, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(path)

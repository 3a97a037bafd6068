"""Removal that counts: how many files went, and how much of the disk they gave back."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wherry.store.files import remove_tree


class Broom:
    """Removes what lies below ``root``, or only tells (``dry_run``).

    ``files`` and ``bytes`` are what went, ``paths`` (relative to ``root``) what was named, ``kept`` what this user may
    not remove, or not all of it.
    """

    def __init__(self, root: Path, *, dry_run: bool) -> None:
        self.root = root
        self.dry_run = dry_run
        self.files = 0
        self.bytes = 0
        self.paths: list[str] = []
        self.kept: list[str] = []
        self._links: Counter[tuple[int, int]] = Counter()

    def remove(self, path: Path) -> None:
        """Remove a file or a directory; what is not there is no matter."""
        if not os.path.lexists(path):
            return
        name = path.relative_to(self.root).as_posix()
        files, size = self._measure(path)
        if self.dry_run or _is_removed(path):
            self.paths.append(name)
        else:
            self.kept.append(name)
            left = self._measure(path)
            files, size = files - left[0], size - left[1]
        self.files += files
        self.bytes += size

    def _measure(self, path: Path) -> tuple[int, int]:
        """How many files ``path`` is, and how much of the disk it gives back: a file does with its last name."""
        if not self.dry_run:
            self._links.clear()  # what is counted goes, and is no longer among the links of what follows
        files = size = 0
        for status in _statuses(path, reveal=not self.dry_run):
            file = (status.st_dev, status.st_ino)
            self._links[file] += 1
            is_directory = stat.S_ISDIR(status.st_mode)
            files += not is_directory
            if is_directory or self._links[file] == status.st_nlink:
                size += status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
        return files, size


def _is_removed(path: Path) -> bool:
    """Remove ``path``, as far as we may; whether it is gone."""
    try:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()
    except PermissionError:
        return False
    return True


def _statuses(path: Path, *, reveal: bool) -> Iterator[os.stat_result]:
    """Of ``path`` and all that is in it; with ``reveal`` also where a directory forbids its owner to look."""
    waiting = [path]
    while waiting:
        here = waiting.pop()
        with suppress(OSError):  # then it cannot be counted: closed, or deeper than a path can say
            status = here.lstat()
            yield status
            if stat.S_ISDIR(status.st_mode):
                if reveal and not os.access(here, os.R_OK | os.X_OK):
                    here.chmod(0o700)
                waiting += here.iterdir()

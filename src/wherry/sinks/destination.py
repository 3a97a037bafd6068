"""Where bytes go: a file that appears when it is complete, or standard output."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wherry.errors import UsageError, WherryError
from wherry.sinks.output import STDOUT


@contextmanager
def writing(what: Path | str) -> Iterator[None]:
    """Turn what the system refuses while ``what`` is written into a :class:`WherryError`."""
    try:
        yield
    except BrokenPipeError:
        raise WherryError(f"whoever read {what} stopped before the end") from None
    except OSError as error:
        hint = None
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "The disk is full: free some space, or choose another place."
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = "Choose a place that you may write to."
        raise WherryError(f"cannot write {error.filename or what}: {error.strerror or error}", hint=hint) from error


@contextmanager
def opened(dest: str) -> Iterator[IO[bytes]]:
    """A file to write, renamed to ``dest`` when the block ends well; ``-`` is standard output.

    Missing parents are made. What is no regular file (a pipe, a device) is written as it is.
    Raises :class:`UsageError` for a terminal or a directory, :class:`WherryError` for what cannot be written.
    """
    expect_file(dest)
    if dest == STDOUT:
        with _standard_output() as file:
            yield file
        return
    path = Path(os.path.realpath(dest))  # a link stays, what it names is replaced
    with writing(dest):
        if _is_special(path):
            with path.open("wb", buffering=0) as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:200]}.{os.urandom(6).hex()}.part")
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def expect_file(dest: str) -> None:
    """Raise :class:`UsageError` if ``dest`` cannot be written as a file: a directory, a terminal."""
    if dest == STDOUT:
        if sys.stdout is None:
            raise UsageError("there is no standard output to write to")
        if sys.stdout.isatty():
            raise UsageError("an archive is not for the terminal", hint="Name a file, or pipe it.")
    elif Path(dest).is_dir():
        raise UsageError(f"{dest} is a directory", hint="Name a file.")


def write_file(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``, whole or not at all."""
    with opened(str(path)) as file:
        file.write(data)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    with writing("standard output"):
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False

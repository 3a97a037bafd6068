"""Where a build context is: a directory, a tar archive, a git repository, a URL, or standard input.

Whatever is no directory of this machine is unpacked into one, which goes when the build ends. What that takes is
imported where it is done: most contexts are directories.
"""

# ruff: noqa: PTH112, PTH113 (os.path.isdir and isfile: they raise nothing, whatever they are given)

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.plan import Git
from wherry.sources.giturl import parse_git
from wherry.store import Store
from wherry.store.files import remove_tree, storing
from wherry.urls import redacted

_HEAD = 1024
_LARGEST_DOCKERFILE = 16 << 20
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenedContext:
    """A build context that is a directory by now.

    ``dockerfile`` are the bytes of a context that is nothing but a Dockerfile. ``ours``: the directory is a copy, made
    from something that need not be trusted. ``from_stdin``: standard input has been read. ``commit`` is that of a
    repository.
    """

    root: Path
    dockerfile: bytes | None = None
    ours: bool = False
    from_stdin: bool = False
    commit: str = ""


@contextmanager
def open_context(
    text: str, *, store: Store, fetcher: Fetcher, task: Task, stdin: BinaryIO | None = None
) -> Iterator[OpenedContext]:
    """The build context that ``text`` names, good within the block.

    ``-`` is standard input: a tar archive or a Dockerfile, told by its first bytes. A directory of this machine wins
    over all else of the same name. Raises :class:`UsageError` if there is none of that name,
    :class:`~wherry.errors.NetworkError` if it cannot be fetched, :class:`WherryError` for a damaged archive.
    """
    if text == "-":
        with _scratch(store) as folder:
            yield _from_stream(standard_input(stdin), folder)
        return
    if os.path.isdir(text):
        yield OpenedContext(Path(text).resolve())
    elif (git := parse_git(text)) is not None:
        with _from_git(git, store, fetcher, task) as context:
            yield context
    elif re.match(r"https?://", text, re.IGNORECASE):
        with _scratch(store) as folder:
            yield _from_url(text, folder, store, fetcher, task)
    elif os.path.isfile(text):
        from wherry.sources.archive import is_archive

        with _scratch(store) as folder, _opened(text) as file:
            head = file.read(_HEAD)
            file.seek(0)
            if not is_archive(head):
                raise UsageError(
                    f"{text} is neither a directory nor a tar archive",
                    hint=f"A Dockerfile is named by -f: wherry build -f {text} .",
                )
            yield _unpacked(file, folder, text)
    elif "://" in text:
        raise UsageError(
            f"{redacted(text)} is no build context that can be had",
            hint="A URL is that of a git repository (https://…/name.git), a tar archive or a Dockerfile.",
        )
    else:
        raise UsageError(f"there is no folder {text!r}")


def standard_input(stdin: BinaryIO | None) -> BinaryIO:
    """``stdin``, or else this process's. Raises :class:`UsageError` if it is closed."""
    if stdin is not None:
        return stdin
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return sys.stdin.buffer


def _opened(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise WherryError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    folder = store.scratch() / f"context-{os.urandom(8).hex()}"
    with storing(folder):
        folder.mkdir(0o700)  # a context may hold what other users must not see, or devices that they must not open
    try:
        yield folder
    finally:
        with storing(folder):
            remove_tree(folder)


def _unpacked(stream: BinaryIO, folder: Path, what: str, *, from_stdin: bool = False) -> OpenedContext:
    from wherry.sources.archive import unpack_context

    root = folder / "context"
    unpack_context(stream, root, what)
    return OpenedContext(root, ours=True, from_stdin=from_stdin)


def _from_stream(stream: BinaryIO, folder: Path) -> OpenedContext:
    """A tar archive, which goes to a file first as its reader seeks; or a Dockerfile."""
    from wherry.sources.archive import is_archive

    head = _exactly(stream, _HEAD)
    if not head:
        raise UsageError("standard input is empty", hint="It should be a Dockerfile or a tar archive of the context.")
    if not is_archive(head):
        dockerfile = head + stream.read(_LARGEST_DOCKERFILE)
        if len(dockerfile) > _LARGEST_DOCKERFILE:
            raise UsageError("what standard input holds is neither a Dockerfile nor a tar archive")
        root = folder / "context"
        with storing(root):
            root.mkdir()
        return OpenedContext(root, dockerfile, ours=True, from_stdin=True)
    spool = folder / "archive"
    with storing(spool), spool.open("xb+") as file:
        spool.unlink()
        piece = head
        while piece:
            file.write(piece)
            piece = stream.read(_PIECE)
        file.seek(0)
        return _unpacked(file, folder, "standard input", from_stdin=True)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := stream.read(size - len(data))):
        data += piece
    return data


def _from_url(url: str, folder: Path, store: Store, fetcher: Fetcher, task: Task) -> OpenedContext:
    from wherry.sources.archive import is_archive
    from wherry.sources.remote import fetch_remote

    with task.step(f"fetch {redacted(url)}") as part:
        found = fetch_remote(url, store=store, fetcher=fetcher, task=part)
    with found.path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(0)
        if is_archive(head):
            return _unpacked(file, folder, redacted(url))
        dockerfile = file.read(_LARGEST_DOCKERFILE + 1)
    if len(dockerfile) > _LARGEST_DOCKERFILE:
        raise WherryError(f"{redacted(url)} is neither a tar archive nor a Dockerfile")
    root = folder / "context"
    with storing(root):
        root.mkdir()
        (root / "context").write_bytes(dockerfile)  # as BuildKit has it: the file is the context, under this name
    return OpenedContext(root, dockerfile, ours=True)


@contextmanager
def _from_git(git: Git, store: Store, fetcher: Fetcher, task: Task) -> Iterator[OpenedContext]:
    from wherry.sources.git import checked_out, resolve_git

    with task.step(f"fetch {redacted(git.url)}") as part:
        commit = resolve_git(git, store=store, fetcher=fetcher, task=part)
        part.detail = commit[:12]
    with checked_out(git, commit, store=store, fetcher=fetcher, task=task) as root:
        yield OpenedContext(root, ours=True, commit=commit)

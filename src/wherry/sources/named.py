"""Named contexts (``--build-context NAME=VALUE``): an image; or files, which may also be the base of a stage."""

# ruff: noqa: PTH112, PTH113 (os.path.isdir and isfile: they raise nothing, whatever they are given)

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.sources.base import names_path
from wherry.sources.dockerfile import IGNORE, read_inside
from wherry.sources.giturl import parse_git
from wherry.sources.ignore import parse
from wherry.sources.location import open_context
from wherry.store import Store

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_IMAGES = ("docker-image", "oci-layout", "debian")
_HINT = (
    "Write NAME=DIR, NAME=docker-image://IMAGE, NAME=oci-layout://DIR[:TAG], NAME=oci-archive:FILE, "
    "NAME=docker-archive:FILE, NAME=debian://SUITE, "
    "or NAME= and the URL of a git repository or a tar archive."
)


@dataclass(frozen=True, slots=True)
class ImageContext:
    """A named context that is an image; ``source`` is what :func:`~wherry.sources.open_source` understands."""

    source: str


@dataclass(frozen=True, slots=True)
class FolderContext:
    """A named context that is files: a directory (absolute), a git repository or an archive's URL.

    As the base of a stage it is the image :attr:`source`.
    """

    location: str

    @property
    def source(self) -> str:
        """What :func:`~wherry.sources.open_source` makes an image of."""
        return f"context:{self.location}"


NamedContext = ImageContext | FolderContext


@dataclass(frozen=True, slots=True)
class OpenedFolder:
    """A directory, and the patterns of what in it is no part of the context."""

    root: Path
    ignore: tuple[str, ...] = ()
    commit: str = ""


def resolve_named(value: str, name: str = "", *, cwd: Path | None = None) -> NamedContext:
    """What ``value`` names; paths start at ``cwd`` (the working directory).

    Nothing is fetched. Raises :class:`UsageError`, which calls the context ``name``, if it means nothing.
    """
    shown = f"build context {name!r}" if name else "build context"
    here = cwd or Path.cwd()
    if not value:
        raise UsageError(f"{shown} is empty", hint=_HINT)
    scheme = _SCHEME.match(value)
    kind = scheme[1].lower() if scheme else ""
    rest = value[scheme.end() :] if scheme else value
    if kind in _IMAGES:
        if not rest:
            raise UsageError(f"{shown}: {value!r} names no image", hint=_HINT)
        if kind == "oci-layout":
            return ImageContext(f"oci-layout://{here / rest}")
        return ImageContext(rest if kind == "docker-image" else value)
    if kind == "target":
        raise UsageError(f"{shown}: target: is understood in bake files alone", hint=_HINT)
    if os.path.isdir(here / value):
        return FolderContext(str((here / value).resolve()))
    kind_of_file, _, path = value.partition(":")
    if path and names_path(value):
        return ImageContext(f"{kind_of_file}:{here / path}")
    if parse_git(value) is not None or kind in {"http", "https"}:
        return FolderContext(value)
    if kind:
        raise UsageError(f"{shown}: unsupported source {kind}://", hint=_HINT)
    if os.path.isfile(here / value):
        return FolderContext(str((here / value).resolve()))
    raise UsageError(f"{shown}: there is no folder {value!r}", hint=_HINT)


@contextmanager
def open_named(context: FolderContext, *, store: Store, fetcher: Fetcher, task: Task) -> Iterator[OpenedFolder]:
    """The files of a named context, good within the block. A ``.dockerignore`` in it counts, as in Docker."""
    with open_context(context.location, store=store, fetcher=fetcher, task=task) as opened:
        content = read_inside(opened.root, IGNORE) if not opened.ours else None
        ignore = parse(content.decode("utf-8", "surrogateescape"), IGNORE) if content is not None else ()
        yield OpenedFolder(opened.root, ignore, opened.commit)

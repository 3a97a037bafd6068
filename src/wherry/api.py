"""The public API behind :mod:`wherry`: what each command does, as a function."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.events import Listener, Reporter
from wherry.fetch import Fetcher
from wherry.frontends.python import ProjectOptions
from wherry.image import Descriptor, Image, Index, Platform, Reference
from wherry.plan import Plan
from wherry.planning import DockerfileRequest, is_dockerfile_build, planned
from wherry.solve import Options, solve
from wherry.solve.work import Work
from wherry.store import Store

if TYPE_CHECKING:
    from wherry.running import RunOptions
    from wherry.store.listing import Row
    from wherry.store.prune import Report

__all__ = [
    "BuildResult",
    "DockerfileRequest",
    "Options",
    "Platform",
    "ProjectOptions",
    "build",
    "default_store",
    "images",
    "open_store",
    "plans",
    "prune",
    "remove",
    "run",
]


def default_store() -> Path:
    """The store's folder: ``WHERRY_STORE``, or ``wherry/store`` in the user's cache directory (XDG on Linux).

    Raises :class:`UsageError` for a user without a home.
    """
    if path := os.environ.get("WHERRY_STORE"):
        return Path(path)
    if sys.platform == "linux":  # what platformdirs would say, without its import on the warm path
        cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        if not cache.is_absolute():
            try:
                cache = Path.home() / ".cache"
            except RuntimeError:  # HOME is not set, and this user is not in /etc/passwd
                raise UsageError(
                    "there is no home folder to keep the store in", hint="Name a folder in WHERRY_STORE or --store."
                ) from None
        return cache / "wherry" / "store"
    from platformdirs import user_cache_path

    return user_cache_path("wherry", appauthor=False) / "store"


def open_store(path: Path | None = None) -> Store:
    """The store at ``path``, or the default one; close it after use (it is a context manager)."""
    return Store(path or default_store())


def plans(
    context: Path | str = ".",
    request: ProjectOptions | DockerfileRequest | None = None,
    *,
    options: Options | None = None,
    store: Store | None = None,
) -> tuple[Plan, ...]:
    """What a build of ``context`` would do: one Plan for each platform. Builds nothing.

    For a Dockerfile its bases are looked up, as what it means depends on them.
    """
    request = request or _request(context)
    options = options or Options()
    with (
        _using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        planned(context, request, options, opened, fetcher, Reporter(None)) as found,
    ):
        return found.plans


def _request(context: Path | str) -> ProjectOptions | DockerfileRequest:
    return DockerfileRequest() if is_dockerfile_build(context, "auto") else ProjectOptions()


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made. ``image`` is an index if several platforms were asked for.

    ``reused`` is how many bytes of its layers were in the store before.
    """

    image: Image | Index
    names: tuple[str, ...]
    plans: tuple[Plan, ...]
    reused: int

    @property
    def images(self) -> tuple[Image, ...]:
        """The images, one for each platform."""
        return self.image.images if isinstance(self.image, Index) else (self.image,)

    @property
    def size(self) -> int:
        """The bytes of all layers as they are stored and sent."""
        return sum(layer.size for layer in _layers(self.images))


def build(
    context: Path | str = ".",
    request: ProjectOptions | DockerfileRequest | None = None,
    *,
    names: Sequence[str] = (),
    options: Options | None = None,
    annotations: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> BuildResult:
    """Build an image of ``context`` and keep it in the store.

    ``context`` is a folder, or for a Dockerfile build also ``-`` or a URL. ``request`` says what to make of it: that of
    a Dockerfile, or of a project without one; None finds out. ``names`` are references (``hello``,
    ``example.com/team/hello:1.2``) that will mean the image; ``options`` how to build it; ``annotations`` are written
    as docker buildx has them (``NAME=VALUE``, ``index:NAME=VALUE``); ``listener`` is told of everything that goes on.
    Raises :class:`~wherry.errors.WherryError`; then nothing was named.
    """
    references = tuple(dict.fromkeys(_name(name) for name in names))
    request = request or _request(context)
    options = options or Options()
    reporter = Reporter(listener)
    start = time.time()
    with _using(store) as opened, Fetcher(opened.files, offline=options.offline) as fetcher:
        opened.scratch()  # says to other processes that the store is in use
        with planned(context, request, options, opened, fetcher, reporter) as found:
            work = [
                Work(one, found.context, opened, fetcher, options, reporter, images=found.images) for one in found.plans
            ]
            made = tuple(map(solve, work))
        image: Image | Index = made[0] if len(made) == 1 else Index(made)
        if annotations:
            from wherry.sinks.annotations import annotate, parse_annotation

            image = annotate(image, [one for text in annotations for one in parse_annotation(text)])
        descriptor = opened.add_image(image)
        if references:
            opened.tag(references, descriptor)
        reused = sum(layer.size for layer in _layers(made) if _was_there(opened, layer, start))
    return BuildResult(image, references, found.plans, reused)


def _layers(images: Sequence[Image]) -> tuple[Descriptor, ...]:
    """The blobs of all layers, each once."""
    return tuple({layer.descriptor.digest: layer.descriptor for image in images for layer in image.layers}.values())


def _was_there(store: Store, layer: Descriptor, start: float) -> bool:
    """Whether a blob is older than ``start``; the margin is a file system's idea of now."""
    return store.blobs.path(layer.digest).stat().st_mtime < start - 0.02


def find(name: str, store: Store) -> Image | Index:
    """The image that ``name`` (a reference, a digest or the beginning of one, an image ID) means in ``store``.

    Raises :class:`~wherry.errors.UsageError` that names the nearest name if there is none.
    """
    from wherry.store.listing import find_descriptor

    return store.load(find_descriptor(store, name))


def images(store: Store | None = None) -> tuple[Row, ...]:
    """The named images in the store."""
    from wherry.store.listing import rows

    with _using(store) as opened:
        return rows(opened)


def remove(names: Sequence[str], store: Store | None = None) -> tuple[str, ...]:
    """Forget images by name or digest; gives the names that were removed. All of them or, with an error, none."""
    from wherry.store.listing import find_names

    with _using(store) as opened:
        found = tuple(dict.fromkeys(name for given in names for name in find_names(opened, given)))
        opened.untag(found)
        return found


def prune(
    store: Store | None = None, *, everything: bool = False, older_than: float | None = None, dry_run: bool = False
) -> Report:
    """Remove what no image needs; see :func:`wherry.store.prune.prune`."""
    from wherry.store.prune import prune as prune_store

    with _using(store) as opened:
        return prune_store(opened, everything=everything, older_than=older_than, dry_run=dry_run)


def run(
    name: str, arguments: Sequence[str] = (), *, options: RunOptions | None = None, store: Store | None = None
) -> int:
    """Run an image of the store in the built-in sandbox, with this process's standard streams; gives the exit code."""
    from wherry.running import RunOptions, run_image

    with _using(store) as opened:
        image = find(name, opened)
        if isinstance(image, Index):
            image = _native(image, name)
        return run_image(image, tuple(arguments), options or RunOptions(), opened)


def _native(index: Index, name: str) -> Image:
    native = Platform.native()
    for image in index.images:
        if image.config.platform == native:
            return image
    have = ", ".join(str(image.config.platform) for image in index.images)
    raise UsageError(f"{name} has no image for {native}; it has {have}")


def _name(text: str) -> str:
    reference = Reference.parse(text)
    if reference.digest:
        raise UsageError(f"{text!r} cannot be given to an image: it has a digest", hint="Give a name and a tag.")
    return reference.familiar


@contextmanager
def _using(store: Store | None) -> Iterator[Store]:
    """The caller's store, which stays open, or the default one for the length of the block."""
    if store is not None:
        yield store
    else:
        with open_store() as opened:
            yield opened

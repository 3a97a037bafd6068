"""Where COPY, ADD and bind mounts take files from: stages, contexts, images; and what ADD fetches.

A context is looked at once in a build, by the first who asks, as if it had been sent to a builder; an image is opened
once. ``state`` of an origin tells its files from all others, if that is known without looking at them.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from wherry.errors import UsageError, WherryError, nearest
from wherry.events import Reporter, Task
from wherry.plan import Base, BuildContext, Git, Origin, Remote, StageRef
from wherry.solve.snapshot import Snapshot
from wherry.solve.stage import stage_tree, state_of
from wherry.solve.work import Work

if TYPE_CHECKING:
    from wherry.layers.source import SourceTree
    from wherry.sources.named import NamedContext
    from wherry.sources.tree import ContextTree

Stages = Mapping[str, Snapshot]


class _Opened:
    """A context or an image that somebody asks for; ``held`` is let go when the build is forgotten."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tree: ContextTree | None = None
        self.image: Snapshot | None = None
        self.held = ExitStack()
        weakref.finalize(self, _let_go, self.held)


def _let_go(held: ExitStack) -> None:
    with suppress(OSError, WherryError):  # the store, with all that is temporary in it, may be closed already
        held.close()


_lock = threading.Lock()
_builds: weakref.WeakKeyDictionary[Reporter, dict[Origin, _Opened]] = weakref.WeakKeyDictionary()


def origin_state(origin: Origin, work: Work, task: Task, stages: Stages) -> str:
    """What tells the files of ``origin`` from all others; nothing if they must be looked at."""
    match _meant(origin, work):
        case StageRef(stage):
            return state_of(stages[stage])
        case BuildContext() as context:
            return _context(context, work, task).state
        case Base() as base:
            return state_of(_image(base, work, task))
        case _ as never:
            assert_never(never)


@contextmanager
def origin_tree(origin: Origin, work: Work, task: Task, stages: Stages) -> Iterator[SourceTree]:
    """The files of ``origin``. Raises :class:`~wherry.errors.WherryError` if it cannot be had."""
    match _meant(origin, work):
        case StageRef(stage):
            with stage_tree(stages[stage], work) as tree:
                yield tree
        case BuildContext() as context:
            yield _context(context, work, task)
        case Base() as base:
            with stage_tree(_image(base, work, task), work) as tree:
                yield tree
        case _ as never:
            assert_never(never)


def _opened(origin: Origin, work: Work) -> _Opened:
    with _lock:
        return _builds.setdefault(work.reporter, {}).setdefault(origin, _Opened())


def _meant(origin: Origin, work: Work) -> Origin:
    """``origin``, or the image that a named context is."""
    if isinstance(origin, BuildContext) and origin.name:
        from wherry.sources.named import ImageContext

        named = _named(origin, work)
        if isinstance(named, ImageContext):
            return Base(named.source)
    return origin


def _named(origin: BuildContext, work: Work) -> NamedContext:
    from wherry.sources.named import resolve_named

    value = work.options.contexts.get(origin.name)
    if value is None:
        raise UsageError(f"there is no build context {origin.name!r}", hint="Give one with --build-context NAME=VALUE.")
    return resolve_named(value, origin.name)


def _image(base: Base, work: Work, task: Task) -> Snapshot:
    opened = _opened(replace(base, platform=base.platform or work.plan.platform), work)
    with opened.lock:
        if opened.image is None:
            from wherry.solve.base import open_base

            try:
                opened.image = open_base(base, work, task, inspected=False)
            except UsageError as error:
                known = (*(stage.name for stage in work.plan.stages), *work.options.contexts)
                if near := nearest(base.source, known):
                    error.hint = f"Did you mean {near!r}?"
                raise
        return opened.image


def _context(origin: BuildContext, work: Work, task: Task) -> ContextTree:
    opened = _opened(origin, work)
    with opened.lock:
        if opened.tree is None:
            opened.tree = _read_context(origin, work, task, opened.held)
        return opened.tree


def _read_context(origin: BuildContext, work: Work, task: Task, held: ExitStack) -> ContextTree:
    from wherry.solve.copy.project import context_patterns
    from wherry.sources.context import Memory, seen_as, walk
    from wherry.sources.ignore import Patterns
    from wherry.sources.named import FolderContext, open_named
    from wherry.sources.tree import ContextTree

    root, patterns = work.context, context_patterns(origin, work)
    if origin.name:
        named = _named(origin, work)
        assert isinstance(named, FolderContext)
        folder = held.enter_context(open_named(named, store=work.store, fetcher=work.fetcher, task=task))
        root, patterns = folder.root, Patterns(folder.ignore)
    memory = Memory(work.store.path, root, work.store.scratch())
    files = walk(root, patterns, normalise=False)
    return ContextTree(files, memory, seen_as(root, files))


@contextmanager
def git_tree(source: Git, commit: str, work: Work, task: Task) -> Iterator[SourceTree]:
    """The files of a repository at ``commit``."""
    from wherry.sources.context import walk
    from wherry.sources.git import checked_out
    from wherry.sources.tree import ContextTree

    with checked_out(source, commit, store=work.store, fetcher=work.fetcher, task=task) as folder:
        yield ContextTree(walk(folder, normalise=False))


def remote_tree(source: Remote, work: Work, task: Task) -> tuple[SourceTree, str]:
    """What is behind a URL, as a tree of one file, and its name there."""
    from wherry.layers.records import Row
    from wherry.sources.context import ContextFile, stamp_of
    from wherry.sources.remote import fetch_remote
    from wherry.sources.tree import ContextTree

    found = fetch_remote(source.url, source.checksum, store=work.store, fetcher=work.fetcher, task=task)
    status = found.path.stat()
    content = found.digest.partition(":")[2]
    row: Row = (found.name, "file", found.mode, status.st_size, 0, 0, found.mtime, "", 0, 0, (), content)
    return ContextTree((ContextFile(row, str(found.path), stamp_of(status)),)), found.name

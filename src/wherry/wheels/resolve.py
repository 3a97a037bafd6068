"""Requirements to a lock: what the project asks for, made exact for one target (PEP 751), by uv.

A resolution is remembered by what went into it: the contents of the files that state the requirements, the
target, the index settings, uv itself. A remembered one costs no process and no network.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import Place, UsageError
from wherry.events import Task
from wherry.image.json import as_str
from wherry.plan import Indexes, Requirements
from wherry.store import Store
from wherry.target import Target
from wherry.wheels import lock as locks
from wherry.wheels.indexes import Settings, has_credentials, read_settings, redact
from wherry.wheels.locked.tools import is_locked
from wherry.wheels.locked.tools import sources as index_urls
from wherry.wheels.metadata import project_name
from wherry.wheels.outside import check_outside
from wherry.wheels.requirements import FileOptions, expanded, read_indexes, read_options

if TYPE_CHECKING:
    from wherry.fetch import Fetcher
    from wherry.wheels.resolution import Builder

_FORMAT = "1"  # of what is remembered; a new one forgets the old
_DISTRIBUTIONS = (".whl", ".gz", ".tgz", ".zip", ".bz2", ".xz")


def resolve(
    requirements: Requirements,
    target: Target,
    context: Path,
    *,
    store: Store,
    offline: bool = False,
    upgrade: bool = False,
    task: Task | None = None,
    fetcher: Fetcher | None = None,
    builder: Builder | None = None,
    before: str = "",
) -> str:
    """The lock (pylock.toml's text) that ``requirements`` of the project in ``context`` come to on ``target``.

    Relative paths in it start at ``context``. ``upgrade`` resolves anew, ``offline`` uses only what is cached.
    ``fetcher`` will be wanted next: it gets ready meanwhile, and learns the indexes' credentials. ``builder`` is asked
    what an sdist requires where uv cannot find out, as what its build needs is not on this machine. ``before`` is a
    lock whose versions stay where they still fit.
    Raises :class:`~wherry.errors.WherryError`: for requirements that do not exist, contradict each other or have
    no wheel for the target, for an index that cannot be reached or refuses, for a lock that does not fit.
    """
    if requirements.kind == "none":
        return _project_only(requirements, context)
    files = _read_inputs(requirements, context)
    if requirements.kind == "pylock":
        return _own_lock(requirements, context, files)
    options, settings = _settings(requirements, context, files)
    if fetcher is not None:
        settings.introduce(fetcher)
    key = _key(requirements, target, files, settings, options)
    if before:
        key += ":" + sha256(before.encode()).hexdigest()
    with store.once(key):
        found = None if upgrade else store.cache.get(key)
        if found is not None:
            if task is not None:
                task.cached()
            return as_str(found.get("lock"), "a remembered lock")
        if fetcher is not None:
            fetcher.prepare()
        from wherry.wheels.resolution import Resolution

        own = read_indexes(files.values()) if requirements.kind == "requirements.txt" else Indexes()
        work = Resolution(requirements, target, context, store, settings, offline, upgrade, task, builder, before, own)
        if requirements.kind == "uv.lock":
            text = work.from_uv_lock(files)
        else:
            text = work.from_lock(files) if is_locked(requirements.kind) else work.compiled(options)
        if not has_credentials(text):  # such a lock may be used, not kept
            store.cache.put(key, {"lock": text})
        return text


def file_indexes(requirements: Requirements, context: Path) -> Indexes:
    """The indexes of ``requirements``, with those that their own files name; the command line's go before."""
    given = requirements.indexes
    if requirements.kind != "requirements.txt":
        return given
    own = read_indexes(_read_inputs(requirements, context).values())
    return Indexes(
        given.index_url or own.index_url,
        (*given.extra_index_urls, *own.extra_index_urls),
        (*given.find_links, *own.find_links),
        given.no_index or own.no_index,
    )


def introduce(requirements: Requirements, context: Path, fetcher: Fetcher) -> None:
    """Let ``fetcher`` know the credentials of the indexes of ``requirements``, whose lock is there already."""
    _settings(requirements, context, _read_inputs(requirements, context))[1].introduce(fetcher)


def _settings(requirements: Requirements, context: Path, files: Mapping[str, str]) -> tuple[FileOptions, Settings]:
    """What the files of ``requirements`` say of indexes, and with that the settings that hold."""
    options = read_options(files.values()) if requirements.kind == "requirements.txt" else FileOptions({})
    if is_locked(requirements.kind):
        options = FileOptions({}, urls=index_urls(requirements, files))
    return options, read_settings(requirements.indexes, context, own_index=options.own_index, own_urls=options.urls)


def _own_lock(requirements: Requirements, context: Path, files: Mapping[str, str]) -> str:
    """The project's own pylock.toml."""
    from wherry.wheels.binaries import Binaries, without_others

    path = requirements.path
    lock = locks.parse(files[path], path)
    for kind, asked, known in (
        ("extra", requirements.extras, lock.extras),
        ("dependency group", requirements.groups, lock.dependency_groups),
    ):
        for name in asked:
            if name not in (known or ()):
                have = ", ".join(known or ()) or "none"
                raise UsageError(f"{path} has no {kind} {name!r}", hint=f"It has: {have}.")
    moved = locks.rebased(lock, posixpath.dirname(path))
    for project in requirements.projects:
        if name := project_name(context / project):
            moved = locks.with_project(moved, name, project)
    check_outside(moved, requirements, context)
    moved = without_others(moved, Binaries.of(requirements))
    return files[path] if moved is lock else locks.write(moved)


def _project_only(requirements: Requirements, context: Path) -> str:
    """The lock of a project that states no requirements; it may be a package all the same."""
    lock = locks.parse(locks.EMPTY)
    for path in requirements.projects:
        if name := project_name(context / path):
            lock = locks.with_project(lock, name, path)
    return locks.write(lock)


def _read_inputs(requirements: Requirements, context: Path) -> dict[str, str]:
    """The files that decide the result, by their names in the requirements; of distributions just a hash.

    Variables in requirements files are filled in: another value is another input.
    """
    files: dict[str, str] = {}
    for name in dict.fromkeys(filter(None, (requirements.path, *requirements.inputs))):
        path = context / name
        try:
            if name.endswith(_DISTRIBUTIONS):
                with path.open("rb") as file:
                    files[name] = file_digest(file, "sha256").hexdigest()
            else:
                files[name] = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", place=Place(name)) from None
    if requirements.kind == "requirements.txt":
        files = {name: expanded(text, os.environ) for name, text in files.items()}
    return files


def _key(
    requirements: Requirements, target: Target, files: Mapping[str, str], settings: Settings, options: FileOptions
) -> str:
    """The cache key of a resolution. It is a hash, of nothing that is secret."""
    from wherry.wheels.uv import uv_identity

    parts: list[object] = [
        _FORMAT,
        uv_identity(),
        requirements.kind,
        requirements.path,
        [requirements.projects, requirements.extras, requirements.groups, requirements.lines, requirements.bounds],
        [requirements.no_binary, requirements.only_binary],
        [str(target.platform), str(target.libc), target.interpreter.version],
        {name: sha256(redact(text).encode(errors="surrogateescape")).hexdigest() for name, text in files.items()},
        settings.fingerprint if requirements.kind != "uv.lock" else (),
        *([[redact(url) for url in options.urls]] if is_locked(requirements.kind) else []),
    ]
    return "resolve:" + sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

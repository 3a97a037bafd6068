"""Copy in project builds: the same layer everywhere; an environment of another stage keeps the layers it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.image import Layer
from wherry.image.config import timestamp
from wherry.layers.entry import Entry, parents, relative
from wherry.plan import BuildContext, Copy, StageRef, title
from wherry.solve.keys import cache_key
from wherry.solve.results import layer_once
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.work import Work
from wherry.sources.context import ContextFile, Memory, digest, walk
from wherry.sources.ignore import Patterns, escape


def copy_normalised(step: Copy, snapshot: Snapshot, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Snapshot:
    """Carry out ``step``. A stage's layers that hold nothing but what is copied are taken over as they are."""
    created = timestamp(work.plan.epoch)
    if isinstance(step.origin, StageRef):
        layers = _taken_over(step, stages[step.origin.stage])
        task.detail = f"{len(layers)} layers as they are"
        return snapshot.add(*layers, created=created)
    if not isinstance(step.origin, BuildContext):
        raise WherryError("a project build copies from its context and its stages alone")
    layer = _from_context(step, step.origin, work, task)
    return snapshot.add(Added(layer, step.destination, title(step)), created=created)


def _taken_over(step: Copy, origin: Snapshot) -> tuple[Added, ...]:
    if step.sources != (step.destination,):
        raise WherryError(
            f"cannot copy {', '.join(map(str, step.sources))} of another stage to {step.destination}",
            hint="A project build takes a stage's environment over at the path that it has.",
        )
    return tuple(added for added in origin.added if added.within == step.destination)


def _from_context(step: Copy, origin: BuildContext, work: Work, task: Task) -> Layer:
    files = _chosen(step, walk(work.context, context_patterns(origin, work), epoch=work.plan.epoch))
    memory = Memory(work.store.path, work.context, work.store.scratch())
    content = digest((file for _, file in files), memory)
    key = cache_key(
        "copy",
        content=content,
        paths=[path for path, _ in files],
        destination=step.destination,
        owner=[0, 0],
        compression=str(work.options.compression),
        epoch=work.plan.epoch,
    )
    layer, was_cached = layer_once(work, key, lambda: _pack(step, files, work, task))
    if was_cached:
        task.cached()
    count = sum(file.entry.kind == "file" for _, file in files)
    task.detail = f"{count} file{'' if count == 1 else 's'}"
    return layer


def context_patterns(origin: BuildContext, work: Work) -> Patterns:
    """What the Plan leaves out; and the store, which a CI job may keep in its checkout."""
    store, context = work.store.path.resolve(), work.context.resolve()
    if context not in store.parents:
        return Patterns(origin.ignore)
    own = escape(store.relative_to(context).as_posix())
    return Patterns((*origin.ignore, own, f"{own}/**"))


def _chosen(step: Copy, files: tuple[ContextFile, ...]) -> list[tuple[str, ContextFile]]:
    """The files that ``step`` names, with the paths that they get in the layer, sorted.

    A folder gives its contents, a file keeps its name (Dockerfile reference, COPY).
    """
    root = relative(step.destination)
    chosen: dict[str, ContextFile] = {}
    for source in (relative(source) for source in step.sources if isinstance(source, str)):
        found = False
        for file in files:
            path = file.entry.path
            if not source or path.startswith(source + "/"):
                chosen[f"{root}/{path[len(source) + 1 if source else 0 :]}"] = file
            elif path == source and file.entry.kind != "dir":
                chosen[f"{root}/{path.rpartition('/')[2]}"] = file
            found = found or path == source or not source
        if not found and source:
            raise UsageError(
                f"{source} is not in the build context", hint="Is it left out by .dockerignore or exclude?"
            )
    return sorted(chosen.items())


def _pack(step: Copy, files: list[tuple[str, ContextFile]], work: Work, task: Task) -> Layer:
    from wherry.layers.writer import LayerWriter

    epoch = work.plan.epoch
    root = relative(step.destination)
    with LayerWriter(work.store.blobs, work.options.compression) as writer:
        for path in parents(root):
            writer.add(Entry(path, "dir", 0o755, mtime=epoch))
        writer.add(Entry(root, "dir", 0o755, mtime=epoch))
        for path, file in files:
            entry = replace(file.entry, path=path)
            writer.add(entry, file.read() if entry.kind == "file" else b"")
            task.advance(entry.size)
        for _, file in files:
            if file.changed():
                raise WherryError(
                    f"{file.entry.path} was changed while it was being read", hint="Build again when it is at rest."
                )
        return writer.finish()

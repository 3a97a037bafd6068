"""One COPY or ADD: from its cache key to its layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256

from wherry.errors import UsageError
from wherry.events import Task
from wherry.image import Layer
from wherry.image.json import as_str
from wherry.layers.garbage import uncollected
from wherry.layers.source import MemoryTree, SourceTree
from wherry.plan import Copy, CopySource, Git, Inline, Remote
from wherry.solve.copy.selection import Chosen, choose, content_digest
from wherry.solve.keys import cache_key
from wherry.solve.origins import git_tree, origin_state, origin_tree, remote_tree
from wherry.solve.results import layer_once, now, result_once
from wherry.solve.snapshot import Result, Snapshot
from wherry.solve.stage import instruction_of, look_of, placed, stage_tree, state_of, times_key
from wherry.solve.work import Work

Stages = Mapping[str, Snapshot]


def copy_files(step: Copy, snapshot: Snapshot, work: Work, task: Task, stages: Stages) -> Snapshot:
    """Carry out ``step``: a layer of the files that it names, an empty one if it changes nothing, as with Docker."""
    with placed(step), uncollected(), ExitStack() as held:
        parent = state_of(snapshot)
        parts = _Sources(step, work, task, stages, held).parts()
        key = cache_key(
            "copy-files",
            parent=parent,
            content=[part.digest() for part in parts],
            destination=step.destination,
            owner=step.owner,
            mode=step.mode,
            compression=str(work.options.compression),
            times=times_key(work),
        )

        def make() -> Result:
            chosen = [one for part in parts for one in part.chosen()]
            layer = _layer(step, chosen, snapshot, work, task)
            return Result(layer, cache_key("state", of=key), now(work))

        result, was_known = result_once(work, key, make)
    if was_known:
        task.cached()
    return snapshot.after(result, instruction_of(step))


def _layer(step: Copy, chosen: Sequence[Chosen], snapshot: Snapshot, work: Work, task: Task) -> Layer:
    from wherry.solve.copy.archives import archive_of
    from wherry.solve.copy.owners import find_owner, needs_names
    from wherry.solve.copy.pack import outputs_digest, pack
    from wherry.solve.copy.target import Target

    with stage_tree(snapshot, work) as own:
        if not snapshot.layers and needs_names(step.owner):
            raise UsageError(
                f"invalid user index: -1: {step.owner!r} cannot be looked up, as the image is empty so far",
                hint="Give numbers to --chown, or copy an /etc/passwd first.",
            )
        look = replace(look_of(work), owner=find_owner(step.owner, own, task.note))
        if step.mode:
            from wherry.solve.copy.modes import folder_mode, parse_mode

            look = replace(look, mode=parse_mode(step.mode), folder=folder_mode(step.mode))
        target = Target(own)
        for one in chosen:
            archive = archive_of(one) if one.unpack else None
            if archive is not None:
                target.unpack(archive, archive.entries(), step.destination, look)
            else:
                target.copy(one, step.destination, look)
        if not step.link:
            return pack(target.output(), work, task)
        # What is below counts as far as it shows: the same layer over another base is not packed again.
        outputs = list(target.output())
        key = cache_key("linked", of=outputs_digest(outputs), compression=str(work.options.compression))
        layer, _ = layer_once(work, key, lambda: pack(outputs, work, task))
        return layer


class Part:
    """One source of a step. It is looked at only if something must be known of it that is not remembered.

    ``state`` tells what it is looked for in from all others, and ``meaning`` what is looked for.
    """

    def __init__(self, work: Work, state: str, meaning: str, find: Callable[[], list[Chosen]]) -> None:
        self._work = work
        self._memo = cache_key("copy-content", state=state, meaning=meaning) if state else ""
        self._find = find
        self._found: list[Chosen] | None = None

    def chosen(self) -> list[Chosen]:
        """What it comes to."""
        if self._found is None:
            self._found = self._find()
        return self._found

    def digest(self) -> str:
        """One hash of all of it."""
        if not self._memo:
            return content_digest(self.chosen())
        cache = self._work.store.cache
        known = cache.get(self._memo)
        if known is not None:
            return as_str(known.get("content"), "a remembered content")
        found = content_digest(self.chosen())
        cache.put(self._memo, {"content": found})
        return found


class _Sources:
    """The sources of a step; trees that are opened stay so as long as ``held``."""

    def __init__(self, step: Copy, work: Work, task: Task, stages: Stages, held: ExitStack) -> None:
        self._step = step
        self._work = work
        self._task = task
        self._stages = stages
        self._held = held
        self._tree: SourceTree | None = None

    def parts(self) -> list[Part]:
        """Each source, in their order."""
        return [self._part(source) for source in self._step.sources]

    def _part(self, source: CopySource) -> Part:
        step, work, task = self._step, self._work, self._task
        match source:
            case str():
                state = origin_state(step.origin, work, task, self._stages)
                meaning = repr((source, step.parents, step.exclude, step.unpack))
                return Part(work, state, meaning, lambda: self._in_origin(source))
            case Inline():
                return Part(work, "", "", lambda: [_document(source)])
            case Remote():
                return Part(work, "", "", lambda: [self._remote(source)])
            case Git():
                from wherry.sources.git import resolve_git

                commit = resolve_git(source, store=work.store, fetcher=work.fetcher, task=task)
                meaning = repr((source.directory, source.keep_git, step.exclude))
                state = f"git {sha256(source.url.encode()).hexdigest()} {commit}"
                return Part(work, state, meaning, lambda: [self._repository(source, commit)])

    def _in_origin(self, path: str) -> list[Chosen]:
        step = self._step
        if self._tree is None:
            opened = origin_tree(step.origin, self._work, self._task, self._stages)
            self._tree = self._held.enter_context(opened)
        return choose(self._tree, path, parents=step.parents, exclude=step.exclude, unpack=step.unpack)

    def _remote(self, source: Remote) -> Chosen:
        tree, name = remote_tree(source, self._work, self._task)
        node = tree.tree.find(name)
        assert node is not None
        # An archive that was fetched is unpacked if that is asked for; beside local files nobody can ask.
        unpack = self._step.unpack and not any(isinstance(one, str) for one in self._step.sources)
        return Chosen(tree, node, name, name, contents=False, unpack=unpack)

    def _repository(self, source: Git, commit: str) -> Chosen:
        from wherry.sources.ignore import Patterns

        tree = self._held.enter_context(git_tree(source, commit, self._work, self._task))
        exclude = Patterns(self._step.exclude) if self._step.exclude else None
        return Chosen(tree, tree.tree.root, "", "", exclude=exclude, contents=False)


def _document(source: Inline) -> Chosen:
    memory = MemoryTree()
    name = source.name.rpartition("/")[2]
    node = memory.add(name, source.content.encode("utf-8", "surrogateescape"))
    return Chosen(memory, node, name, name)

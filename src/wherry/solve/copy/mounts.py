"""What bind mounts show: files of an origin, as they lie on the disk or written there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import WherryError
from wherry.events import Task
from wherry.layers import tar
from wherry.layers.records import Row, entry_of
from wherry.layers.source import MemoryTree
from wherry.plan import BuildContext, Origin
from wherry.solve.copy.selection import Chosen, choose
from wherry.solve.copy.step import Part
from wherry.solve.copy.target import Look, Made, Output, Target
from wherry.solve.origins import origin_state, origin_tree
from wherry.solve.rootfs import users_here
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work
from wherry.store.files import remove_tree, storing

_FILE = "file"


def content_key(origin: Origin, source: str, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> str:
    """One hash of what ``source`` of ``origin`` holds."""

    def find() -> list[Chosen]:
        with origin_tree(origin, work, task, stages) as tree:
            return choose(tree, source)

    state = origin_state(origin, work, task, stages)
    return Part(work, state, repr(("mount", source)), find).digest()


def materialise(
    origin: Origin, source: str, folder: Path, work: Work, task: Task, stages: Mapping[str, Snapshot]
) -> None:
    """Write what the directory ``source`` of ``origin`` holds into ``folder``, which is there and empty."""
    with origin_tree(origin, work, task, stages) as tree:
        for chosen in choose(tree, source):
            if chosen.node.children is None:
                raise WherryError(f"{source} is not a directory")
            _write(chosen, folder, "/", work)


@contextmanager
def shown_path(origin: Origin, source: str, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Iterator[Path]:
    """Where the file or directory ``source`` of ``origin`` is to be seen, as long as the block runs."""
    folder = work.store.scratch() / f"mount-{os.urandom(8).hex()}"
    with origin_tree(origin, work, task, stages) as tree, storing(folder):
        (chosen,) = choose(tree, source)
        if (real := _on_disk(origin, chosen, work)) is not None:
            yield real
            return
        folder.mkdir()
        try:
            is_dir = chosen.node.children is not None
            _write(chosen, folder, "/" if is_dir else f"/{_FILE}", work)
            yield folder if is_dir else folder / _FILE
        finally:
            remove_tree(folder)


def _on_disk(origin: Origin, chosen: Chosen, work: Work) -> Path | None:
    """Where files of the context lie, if nothing of it is left out and they are ours, as they shall look."""
    if not isinstance(origin, BuildContext) or origin.name or origin.ignore:
        return None
    path = work.context / chosen.path
    own = work.store.path.resolve().is_relative_to(work.context.resolve())
    return path if not own and path.lstat().st_uid == os.geteuid() else None


def _write(chosen: Chosen, folder: Path, destination: str, work: Work) -> None:
    """Copy what is ``chosen`` to ``destination`` in ``folder``, by way of an archive beside it."""
    from wherry.layers.unpack import unpack

    target = Target(MemoryTree())
    target.copy(chosen, destination, Look())
    archive = work.store.scratch() / f"mount-{os.urandom(8).hex()}.tar"
    with storing(folder):
        try:
            _archive(target.output(), archive)
            owners, _ = users_here()
            unpack([archive], folder, owners=owners)
        finally:
            archive.unlink(missing_ok=True)
    if chosen.node.children is not None:
        folder.chmod(chosen.node.entry.mode)


def _archive(outputs: Iterator[Output], path: Path) -> None:
    later: list[Row] = []
    files: list[tuple[Row, Made]] = []
    with path.open("xb") as file:
        for output in outputs:
            row, made = output
            if row[1] == "hardlink":
                later.append(row)
            elif made is not None and made.source is not None:
                files.append((row, made))
            else:
                file.write(tar.header(entry_of(row)))
        if files:
            source = files[0][1].source
            assert source is not None
            rows = {id(made.origin): row for row, made in files}
            wanted = [(made.origin, made.path) for _, made in files if made.origin is not None]
            for content, pieces in source.read(wanted):
                file.write(tar.header(entry_of(rows[id(content)])))
                for piece in pieces:
                    file.write(piece)
                file.write(tar.padding(content.row[3]))
        for row in later:
            file.write(tar.header(entry_of(row)))
        file.write(tar.END)

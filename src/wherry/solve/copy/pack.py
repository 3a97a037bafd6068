"""What a step made of a stage's files, as a layer in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from wherry.errors import WherryError
from wherry.events import Task
from wherry.image import Layer
from wherry.layers.entry import OPAQUE, WHITEOUT
from wherry.layers.records import keep_records
from wherry.layers.source import File, SourceTree
from wherry.layers.writer import LayerWriter
from wherry.solve.copy.target import Made, Output
from wherry.solve.work import Work

_TOLD = 1 << 20  # bytes, after which progress is told


def pack(outputs: Iterable[Output], work: Work, task: Task) -> Layer:
    """A layer of ``outputs``. Data is read once and never held."""
    with LayerWriter(work.store.blobs, work.options.compression, records=True) as writer:
        sources: dict[int, tuple[SourceTree, list[Output]]] = {}
        links: list[Output] = []
        for output in outputs:
            row, made = output
            name = row[0].rpartition("/")[2]
            if name.startswith(WHITEOUT) and name != OPAQUE:
                raise WherryError(
                    f"/{row[0]}: a layer cannot hold a file whose name begins with {WHITEOUT!r}",
                    hint="There such names mean that something is removed. Leave it out in .dockerignore.",
                )
            if row[1] == "hardlink":
                links.append(output)
            elif made is None or made.source is None:
                writer.add_row(row)
            else:
                sources.setdefault(id(made.source), (made.source, []))[1].append(output)
        for source, files in sources.values():
            _write(writer, source, files, task)
        for output in links:
            writer.add_row(output.row)
        layer = writer.finish()
        assert writer.rows is not None
        keep_records(work.store, layer.descriptor.digest, writer.rows)
        return layer


def outputs_digest(outputs: Sequence[Output]) -> str:
    """One hash of what a layer of ``outputs`` would hold; times do not count."""
    whole = sha256()
    for output in outputs:
        row, made = output
        if made is not None and made.source is not None and not (made.origin and made.origin.hash):
            made.source.know([_file(made)])
            row = made.at(row[0])
        whole.update(repr((*row[:6], *row[7:])).encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _write(writer: LayerWriter, source: SourceTree, outputs: list[Output], task: Task) -> None:
    """Write files of one source in its own order; those that are copied several times in several rounds."""
    waiting = 0
    while outputs:
        round_: dict[int, Output] = {}
        again: list[Output] = []
        for output in outputs:
            assert output.made is not None
            if round_.setdefault(id(output.made.origin), output) is not output:
                again.append(output)
        files = [_file(output.made) for output in round_.values() if output.made is not None]
        for content, pieces in source.read(files):
            row = round_[id(content)].row
            writer.add_row(row, pieces)
            waiting += row[3]
            if waiting >= _TOLD:
                task.advance(waiting)
                waiting = 0
        outputs = again
    task.advance(waiting)


def _file(made: Made) -> File:
    assert made.origin is not None
    return made.origin, made.path

"""What a step made of a stage's files, as a layer in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from wherry.errors import WherryError
from wherry.events import Task
from wherry.image import Layer
from wherry.layers.records import keep_records, row_of
from wherry.layers.source import File, SourceTree
from wherry.layers.tree import OPAQUE, WHITEOUT
from wherry.layers.writer import LayerWriter
from wherry.solve.copy.target import Made, Output
from wherry.solve.work import Work


def pack(outputs: Iterable[Output], work: Work, task: Task) -> Layer:
    """A layer of ``outputs``. Data is read once and never held."""
    with LayerWriter(work.store.blobs, work.options.compression, records=True) as writer:
        sources: dict[int, tuple[SourceTree, list[Output]]] = {}
        links: list[Output] = []
        for output in outputs:
            entry, made = output.entry, output.made
            name = entry.path.rpartition("/")[2]
            if name.startswith(WHITEOUT) and name != OPAQUE:
                raise WherryError(
                    f"/{entry.path}: a layer cannot hold a file whose name begins with {WHITEOUT!r}",
                    hint="There such names mean that something is removed. Leave it out in .dockerignore.",
                )
            if entry.kind == "hardlink":
                links.append(output)
            elif made is None or made.source is None:
                writer.add(entry)
            else:
                sources.setdefault(id(made.source), (made.source, []))[1].append(output)
        for source, files in sources.values():
            _write(writer, source, files, task)
        for output in links:
            writer.add(output.entry)
        for source, files in sources.values():
            source.check([_file(output.made) for output in files if output.made is not None])
        layer = writer.finish()
        assert writer.rows is not None
        keep_records(work.store, layer.descriptor.digest, writer.rows)
        return layer


def outputs_digest(outputs: Sequence[Output]) -> str:
    """One hash of what a layer of ``outputs`` would hold; times do not count."""
    whole = sha256()
    for output in outputs:
        entry, made = output.entry, output.made
        if made is not None and made.source is not None and not (made.origin and made.origin.hash):
            made.source.know([_file(made)])
        content = made.origin.hash if made is not None and made.origin is not None else ""
        row = row_of(entry, content)
        whole.update(repr((*row[:6], *row[7:])).encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _write(writer: LayerWriter, source: SourceTree, outputs: list[Output], task: Task) -> None:
    """Write files of one source in its own order; those that are copied several times in several rounds."""
    while outputs:
        round_: dict[int, Output] = {}
        again: list[Output] = []
        for output in outputs:
            assert output.made is not None
            if round_.setdefault(id(output.made.origin), output) is not output:
                again.append(output)
        files = [_file(output.made) for output in round_.values() if output.made is not None]
        for content, pieces in source.read(files):
            entry = round_[id(content)].entry
            writer.add(entry, pieces, content.hash)
            task.advance(entry.size)
        outputs = again


def _file(made: Made) -> File:
    assert made.origin is not None
    return made.origin, made.path

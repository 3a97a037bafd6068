"""Wheels into a layer: the public face of installing.

A group of wheels becomes one layer, as soon as its wheels are here and without a look at any other group. So a
layer depends on its own wheels, the environment and the interpreter that makes the bytecode, and on nothing else:
:func:`pack_key` names it before a wheel is fetched, :func:`cached` gives it if it was packed before.
What only the whole set can tell, that no wheel overwrites another's files, is in :mod:`wherry.wheels.conflicts`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wherry.errors import WherryError
from wherry.events import Task
from wherry.image import Digest, Layer, digest_of
from wherry.image.json import Json, as_int, as_list, as_str, dump
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry, parents
from wherry.store import Store
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.identity import INSTALL

if TYPE_CHECKING:
    from wherry.layers.writer import LayerWriter
    from wherry.wheels.bytecode import Chunk, Compiled, Compiler
    from wherry.wheels.destination import File, LayerDestination

_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class WheelToInstall:
    """A distribution and its wheel's file, which has the hash that the lock says."""

    distribution: Distribution
    path: Path


def pack_key(
    distributions: Iterable[Distribution],
    environment: Environment,
    *,
    compression: Compression,
    epoch: int,
    compiler: Compiler | None = None,
) -> str:
    """The name of the layer that :func:`pack` makes of these: everything that its bytes depend on."""
    wheels: Json = sorted([one.name, one.version, *one.wheel.key, one.direct_url] for one in distributions)
    parts: Json = [
        INSTALL,
        wheels,
        environment.prefix,
        environment.interpreter.minor,
        str(compression),
        epoch,
        compiler.identity if compiler else "",
    ]
    return f"layer of wheels {digest_of(dump(parts))}"


def cached(key: str, store: Store) -> Layer | None:
    """The layer called ``key``, if it is in the store."""
    value = store.cache.get(key)
    return None if value is None else Layer.from_json(value)


def pack(
    wheels: Sequence[WheelToInstall],
    environment: Environment,
    *,
    store: Store,
    compression: Compression,
    epoch: int,
    compiler: Compiler | None = None,
    task: Task | None = None,
    anew: bool = False,
) -> Layer:
    """Install ``wheels`` into a layer of their own, with bytecode if there is a ``compiler``.

    The layer is remembered under its :func:`pack_key`. ``epoch`` is every entry's time, in seconds since 1970;
    ``task`` is told of the bytes written; ``anew`` packs even what is there. Raises :class:`WherryError` if a wheel
    is not what it should be, or if two of them install different files at one path; then no layer is kept.
    """
    wheels = sorted(wheels, key=lambda wheel: wheel.distribution.name)
    distributions = [wheel.distribution for wheel in wheels]
    key = pack_key(distributions, environment, compression=compression, epoch=epoch, compiler=compiler)
    with store.once(key):
        layer = None if anew else cached(key, store)
        if layer is None:
            layer = _pack(
                wheels, environment, store=store, compression=compression, epoch=epoch, compiler=compiler, task=task
            )
            store.cache.put(key, layer.to_json(), [layer.descriptor.digest])
        return layer


def _pack(
    wheels: Sequence[WheelToInstall],
    environment: Environment,
    *,
    store: Store,
    compression: Compression,
    epoch: int,
    compiler: Compiler | None,
    task: Task | None,
) -> Layer:
    # Imported here: a build that packs nothing need not know how.
    from wherry.layers.writer import LayerWriter
    from wherry.wheels.conflicts import Owners, remember_claims
    from wherry.wheels.destination import installed
    from wherry.wheels.wheelfile import WheelFile

    with ExitStack() as stack:
        destinations = []
        for wheel in wheels:
            source = stack.enter_context(WheelFile.open(wheel.path, wheel.distribution))
            destinations.append(installed(source, environment))
        owners = Owners()
        for destination in destinations:
            owners.add(destination.wheel.wanted.name, {path: file.hash for path, file in destination.files.items()})
        owners.check()
        bytecode = _bytecode(destinations, environment, compiler, store, stack, task) if compiler else {}
        files: dict[str, File] = {}
        for number, destination in enumerate(destinations):
            for file in destination.finish(bytecode.get(number, ())):
                files.setdefault(file.path, file)  # the same content, as Owners has found: the first one's will do
        with LayerWriter(store.blobs, compression) as writer:
            _write(writer, files, epoch, task)
            layer = writer.finish()
        for destination in destinations:
            remember_claims(destination, environment, store)
    return layer


def _write(writer: LayerWriter, files: dict[str, File], epoch: int, task: Task | None) -> None:
    folders = {folder for path in files for folder in parents(path)}
    if task:
        task.expect(sum(file.size for file in files.values()))
    for path in sorted([*files, *folders]):
        if path in folders:
            writer.add(Entry(path, "dir", 0o755, mtime=epoch))
            continue
        file = files[path]
        entry = Entry(path, "file", 0o755 if file.executable else 0o644, file.size, mtime=epoch)
        writer.add(entry, file.pieces())
        if task:
            task.advance(file.size)


def _bytecode(
    destinations: Sequence[LayerDestination],
    environment: Environment,
    compiler: Compiler,
    store: Store,
    stack: ExitStack,
    task: Task | None,
) -> dict[int, list[File]]:
    """Bytecode files by the destination's number: those of each wheel from the cache, or made now and kept there."""
    keys = {
        number: f"bytecode {compiler.identity} {environment.site_packages} {':'.join(one.wheel.wanted.wheel.key)}"
        for number, one in enumerate(destinations)
        if one.modules
    }
    found = {}
    for number, key in keys.items():
        if (value := store.cache.get(key)) is not None:
            found[number] = value
    missing = [number for number in keys if number not in found]
    for number, value in _compiled([(n, destinations[n]) for n in missing], compiler, store, task):
        needs = [Digest(as_str(value["blob"], keys[number]))]
        store.cache.put(keys[number], value, needs)
        found[number] = value
    files: dict[int, list[File]] = {}
    for number, value in found.items():
        blob = stack.enter_context(store.blobs.path(Digest(as_str(value["blob"], "bytecode"))).open("rb"))
        files[number] = list(_files_in(blob, as_list(value["files"], "bytecode")))
    return files


def _compiled(
    destinations: Sequence[tuple[int, LayerDestination]], compiler: Compiler, store: Store, task: Task | None
) -> Iterator[tuple[int, dict[str, Json]]]:
    """Each destination's number with its bytecode: the blob that holds it, and paths and sizes in the blob's order.

    All go through the compiler as one stream of chunks, so that small wheels keep all workers busy; but no chunk
    holds files of two wheels.
    """
    from wherry.wheels.bytecode import LARGEST, Source, chunks

    owners: deque[tuple[int, int]] = deque()
    if task:
        task.expect(sum(one.size for _, destination in destinations for one in destination.modules))

    def work() -> Iterator[Chunk]:
        for number, destination in destinations:
            modules = (one for one in destination.modules if one.size <= LARGEST)
            for chunk in chunks(Source(f"/{one.path}", b"".join(one.pieces())) for one in modules):
                owners.append((number, sum(len(one.data) for one in chunk)))
                yield chunk

    def results() -> Iterator[tuple[int, tuple[Compiled, ...]]]:
        for result in compiler.results(work()):
            number, size = owners.popleft()
            if task:
                task.advance(size)
            yield number, result

    for number, group in groupby(results(), key=itemgetter(0)):
        files: list[Json] = []
        with store.blobs.writer() as blob:
            for _, result in group:
                for one in result:
                    files.append([one.path[1:], len(one.data)])
                    blob.write(one.data)
            digest, _ = blob.commit()
        yield number, {"blob": digest, "files": files}


def _files_in(blob: IO[bytes], index: Sequence[Json]) -> Iterator[File]:
    from wherry.wheels.destination import File

    offset = 0
    for item in index:
        path, length = as_list(item, "bytecode")
        size = as_int(length, "bytecode")
        yield File(as_str(path, "bytecode"), size, "", False, _slice(blob, offset, size))
        offset += size


def _slice(file: IO[bytes], offset: int, size: int) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        position = offset
        while left := offset + size - position:
            file.seek(position)
            data = file.read(min(_PIECE, left))
            if not data:
                raise WherryError("bytecode in the store is cut off", hint="`wherry prune --all` empties the store.")
            position += len(data)
            yield data

    return pieces

"""Files that can be copied: a tree of names, and a way to their data.

A tree's data is where it is, in a directory or in the blobs of layers: it is read in the order that costs least, once,
and never held as a whole.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from wherry.errors import WherryError
from wherry.image import Layer
from wherry.layers.entry import Entry
from wherry.layers.records import has_records, load_records, row_of
from wherry.layers.tree import Content, Node, Tree

if TYPE_CHECKING:
    from wherry.store import Store

_PIECE = 1 << 18

File = tuple[Content, str]
"""A regular file to be read: its content, and its real path in the tree."""

Read = Iterator[tuple[Content, Iterable[bytes]]]
"""Contents in pieces; each is good until the next is asked for."""


class SourceTree(Protocol):
    """A tree whose files can be read."""

    @property
    def tree(self) -> Tree:
        """The names, and the files' attributes."""

    def know(self, files: Sequence[File]) -> None:
        """See to it that the ``hash`` of all these contents is known."""

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files``, each named once, in an order that depends on nothing but the tree.

        Raises :class:`WherryError` if one is not any more what it was when it was seen.
        """

    def open(self, file: File) -> AbstractContextManager[BinaryIO]:
        """One file, from its beginning, to be read and sought in."""


class LayeredTree:
    """The root filesystem of layers: a stage, or an image.

    Each layer comes with the directory in which it lies unpacked, as an overlay's upper one or as a part of the whole,
    if it does. Nothing in there is believed: no link is followed, and a file that is not as the layer has it is read
    from the blob.
    """

    def __init__(self, layers: Sequence[tuple[Layer, Path | None]], store: Store) -> None:
        self._layers = layers
        self._store = store
        self.tree = Tree()
        digests = [layer.descriptor.digest for layer, _ in layers]
        store.blobs.bring(digest for digest in digests if not has_records(store, digest))  # side by side
        for number, (layer, _) in enumerate(layers):
            self.tree.apply(number, load_records(store, layer.descriptor.digest).rows)

    def know(self, files: Sequence[File]) -> None:
        """Hash what is remembered without its hash."""
        unknown = {id(file[0]): file for file in files if not file[0].hash}
        for content, pieces in self.read(list(unknown.values())):
            hashed = hashlib.sha256()
            for piece in pieces:
                hashed.update(piece)
            content.hash = hashed.hexdigest()

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files`` in the order of the layers."""
        by_layer: dict[int, list[File]] = {}
        for file in files:
            by_layer.setdefault(file[0].layer, []).append(file)
        for number in sorted(by_layer):
            wanted = sorted(by_layer[number], key=_number)
            layer, folder = self._layers[number]
            if folder is None:
                yield from _from_blob(self._blob(layer), [content for content, _ in wanted])
            else:
                yield from _from_folder(folder, partial(self._blob, layer), wanted)

    @contextmanager
    def open(self, file: File) -> Iterator[BinaryIO]:
        """A file in its directory, or else a copy of it in the session's scratch directory."""
        content, path = file
        layer, folder = self._layers[content.layer]
        if folder is not None:
            with _Folder(folder) as opened:
                handle = opened.open(path, content.row[3])
            if handle is not None:
                with os.fdopen(handle, "rb") as stream:
                    yield stream
                return
        for _, pieces in _from_blob(self._blob(layer), [content]):
            with spooled(pieces, self._store) as copy:
                yield copy

    def _blob(self, layer: Layer) -> Path:
        return self._store.blobs.file(layer.descriptor.digest)


class ArchiveTree:
    """The entries of one archive, which is opened anew for each reading. ``tree`` is for its reader to fill."""

    def __init__(self, opened: Callable[[], AbstractContextManager[BinaryIO]], what: str) -> None:
        self._opened = opened
        self._what = what
        self.tree = Tree()

    def entries(self) -> Iterator[Entry]:
        """What the archive holds, in its order."""
        from wherry.layers.reader import entries

        with self._opened() as stream:
            for entry, _ in entries(stream, self._what):
                yield entry

    def know(self, files: Sequence[File]) -> None:
        """The archive's own hash tells all of it."""

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files`` in the archive's order."""
        with self._opened() as stream:
            yield from _from_blob(stream, [content for content, _ in files], self._what)

    def open(self, file: File) -> AbstractContextManager[BinaryIO]:
        """Archives in archives stay what they are."""
        raise NotImplementedError


class MemoryTree:
    """Files whose content is at hand: here-documents."""

    def __init__(self) -> None:
        self.tree = Tree()
        self._data: list[bytes] = []

    def add(self, name: str, data: bytes, mode: int = 0o644) -> Node:
        """Put a file into the root."""
        row = row_of(Entry(name, "file", mode, len(data)), hashlib.sha256(data).hexdigest())
        content = Content(row, 0, len(self._data))
        self._data.append(data)
        node = Node(content, 0)
        assert self.tree.root.children is not None
        self.tree.root.children[name] = node
        return node

    def know(self, files: Sequence[File]) -> None:
        """Every content's hash is known."""

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files`` in their order."""
        return ((content, (self._data[content.number],)) for content, _ in files)

    def open(self, file: File) -> AbstractContextManager[BinaryIO]:
        """A file's data."""
        return nullcontext(io.BytesIO(self._data[file[0].number]))


@contextmanager
def spooled(pieces: Iterable[bytes], store: Store) -> Iterator[BinaryIO]:
    """``pieces`` as a file in the session's scratch directory, which goes at the end."""
    from wherry.store.files import storing

    path = store.scratch() / f"spool-{os.urandom(8).hex()}"
    with ExitStack() as stack:
        with storing(path):
            file = stack.enter_context(path.open("xb+"))
            path.unlink()
            for piece in pieces:
                file.write(piece)
            file.seek(0)
        yield file


def _number(file: File) -> int:
    return file[0].number


def _from_blob(blob: Path | BinaryIO, contents: Sequence[Content], what: str = "") -> Read:
    """The data of entries of a tar file, in its order."""
    from wherry.layers.reader import entries

    wanted = {content.number: content for content in contents}
    if isinstance(blob, Path):
        what = f"layer sha256:{blob.name}"
    for number, (_, data) in enumerate(entries(blob, what)):
        content = wanted.pop(number, None)
        if content is not None and data is not None:
            yield content, _pieces(data)
        if not wanted:
            return
    if wanted:
        raise WherryError(f"{what} is not what it was")


def _pieces(data: IO[bytes]) -> Iterator[bytes]:
    while piece := data.read(_PIECE):
        yield piece


def _from_folder(folder: Path, blob: Callable[[], Path], files: Sequence[File]) -> Read:
    """The data of files that lie in a directory; those that do not come last, from the blob."""
    missing: list[Content] = []
    with _Folder(folder) as opened:
        for content, path in files:
            size = content.row[3]
            handle = opened.open(path, size)
            if handle is None:
                missing.append(content)
                continue
            try:
                yield content, _exactly(handle, size)
            finally:
                os.close(handle)
    if missing:
        yield from _from_blob(blob(), missing)


def _exactly(handle: int, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := os.read(handle, min(size, _PIECE))):
        size -= len(piece)
        yield piece


class _Folder:
    """A directory whose files are opened part by part, so that no link in it leads anywhere."""

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._at = ""
        self._here = os.dup(self._root)

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._here)
        os.close(self._root)

    def open(self, path: str, size: int) -> int | None:
        """A handle of the regular file of ``size`` bytes at ``path``, or None if there is no such file."""
        above, _, name = path.rpartition("/")
        try:
            if above != self._at:
                self._go(above)
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._here)
        except OSError:
            return None
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode) and status.st_size == size:
            return handle
        os.close(handle)
        return None

    def _go(self, path: str) -> None:
        here = os.dup(self._root)
        try:
            for part in path.split("/") if path else ():
                inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                os.close(here)
                here = inner
        except OSError:
            os.close(here)
            raise
        os.close(self._here)
        self._here, self._at = here, path

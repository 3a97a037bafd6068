"""A build context as a tree whose files can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from wherry.errors import WherryError
from wherry.layers.garbage import uncollected
from wherry.layers.source import File, Read
from wherry.layers.tree import Content, Node, Tree
from wherry.sources.context import ContextFile, Memory, Stamp, hash_missing

_FEW = 50
_FEW_BYTES = 1 << 20  # as much as is hashed in a millisecond or so


class ContextTree:
    """The files of a context that were found by :func:`~wherry.sources.context.walk`, sorted.

    Names of one file (hard links) share a content. ``state`` tells the files from all others, if that is known.
    """

    def __init__(self, files: Sequence[ContextFile], memory: Memory | None = None, state: str = "") -> None:
        self.state = state
        self._files = files
        self._memory = memory
        self._recalled = memory is None
        self._lock = Lock()
        self._tree: Tree | None = None
        self._contents: list[Content] = []

    @property
    def tree(self) -> Tree:
        """The names; made when somebody asks for them: who knows the state need not."""
        with self._lock:
            if self._tree is None:
                self._tree = _tree(self._files, self._contents)
            return self._tree

    def know(self, files: Sequence[File]) -> None:
        """Hash what was not hashed before, or has changed since."""
        unknown = [content for content, _ in files if not content.hash]
        if not self._recalled and _worth_recalling(unknown):
            self._recall()
            unknown = [content for content in unknown if not content.hash]
        if not unknown:
            return
        hashes = [""] * len(unknown)
        worth = hash_missing([self._files[content.number] for content in unknown], hashes)
        for content, found in zip(unknown, hashes, strict=True):
            content.hash = found
        if worth and self._memory:
            every = [self._files[content.number] for content in self._contents]
            self._memory.keep(every, [content.hash for content in self._contents], whole=True)

    def _recall(self) -> None:
        assert self._memory is not None
        self._recalled = True
        every = [self._files[content.number] for content in self._contents]
        for content, found in zip(self._contents, self._memory.recall(every), strict=True):
            content.hash = content.hash or found

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files`` in the order of their paths. One that was changed since it was found is an error."""
        for content in sorted((content for content, _ in files), key=_number):
            yield content, self._files[content.number].read_unchanged()

    def open(self, file: File) -> AbstractContextManager[BinaryIO]:
        """The file on the disk."""
        found = self._files[file[0].number]
        try:
            return Path(found.path).open("rb")
        except OSError as error:
            raise WherryError(f"cannot read {found.row[0]}: {error.strerror}") from error


def _worth_recalling(contents: Sequence[Content]) -> bool:
    """Whether to read what is remembered costs less than to hash a few files."""
    return len(contents) > _FEW or sum(content.row[3] for content in contents) > _FEW_BYTES


def _tree(files: Sequence[ContextFile], contents: list[Content]) -> Tree:
    """The names of ``files``; ``contents`` gets those of regular files, each once, in their order."""
    tree = Tree()
    folders: dict[str, Node] = {"": tree.root}
    names: dict[Stamp, Content] = {}
    with uncollected():
        for number, file in enumerate(files):
            row = file.row
            path = row[0]
            above, _, name = path.rpartition("/")
            content = Content(row, 0, number)
            children = folders[above].children
            assert children is not None
            if row[1] == "dir":
                children[name] = folders[path] = Node(content, 0, {})
                continue
            if file.linked:
                content = names.setdefault(file.stamp, content)
            if row[1] == "file" and content.number == number:
                contents.append(content)
            children[name] = Node(content, 0)
    return tree


def _number(content: Content) -> int:
    return content.number

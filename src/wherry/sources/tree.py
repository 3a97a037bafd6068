"""A build context as a tree whose files can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from wherry.errors import WherryError
from wherry.layers.source import File, Read
from wherry.layers.tree import Content, Node, Tree
from wherry.sources.context import ContextFile, Memory, Stamp, content_hashes, many_values


class ContextTree:
    """The files of a context that were found by :func:`~wherry.sources.context.walk`, sorted.

    Names of one file (hard links) share a content.
    """

    def __init__(self, files: Sequence[ContextFile], memory: Memory | None = None) -> None:
        self._files = files
        self._memory = memory
        self.tree = _tree(files)

    def know(self, files: Sequence[File]) -> None:
        """Hash what was not hashed before, or has changed since."""
        unknown = [content for content, _ in files if not content.hash]
        if unknown:
            hashes = content_hashes([self._files[content.number] for content in unknown], self._memory)
            for content, found in zip(unknown, hashes, strict=True):
                content.hash = found

    def check(self, files: Sequence[File]) -> None:
        """Raise an error if a file was changed since it was found."""
        for content, _ in files:
            file = self._files[content.number]
            if file.changed():
                raise WherryError(
                    f"{file.row[0]} was changed while it was being read", hint="Build again when it is at rest."
                )

    def read(self, files: Sequence[File]) -> Read:
        """The data of ``files`` in the order of their paths."""
        for content in sorted((content for content, _ in files), key=_number):
            yield content, self._files[content.number].read()

    def open(self, file: File) -> AbstractContextManager[BinaryIO]:
        """The file on the disk."""
        found = self._files[file[0].number]
        try:
            return Path(found.path).open("rb")
        except OSError as error:
            raise WherryError(f"cannot read {found.row[0]}: {error.strerror}") from error


def _tree(files: Sequence[ContextFile]) -> Tree:
    tree = Tree()
    folders: dict[str, Node] = {"": tree.root}
    names: dict[Stamp, Content] = {}
    with many_values():
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
            children[name] = Node(content, 0)
    return tree


def _number(content: Content) -> int:
    return content.number

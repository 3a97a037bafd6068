"""The build context: a directory's files as a layer holds them, and one digest for all of it.

Symbolic links stay links and are never followed. Sockets, pipes and devices are passed over. The digest
covers names, kinds, modes, contents and link targets, not times or owners: a checkout made anew is the
same context.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from wherry.errors import UsageError, WherryError
from wherry.image.digest import Digest
from wherry.layers.entry import Entry
from wherry.sources.ignore import Patterns, State
from wherry.store.files import write_atomic

_PIECE = 1 << 18
_RACY = 2_000_000_000  # nanoseconds; a file changed that shortly ago may change again within its timestamp
_WORTH_FILES = 200
_WORTH_BYTES = 4 << 20

Stamp = tuple[int, int, int, int]
"""A file's size, modification time and status change time (nanoseconds), and inode."""


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A file, directory or link: as a layer holds it, and where it is on this machine."""

    entry: Entry
    path: str
    stamp: Stamp = (0, 0, 0, 0)

    def changed(self) -> bool:
        """Whether the file is another one than when it was seen: its size, times or inode differ."""
        if self.entry.kind != "file":
            return False
        try:
            return _stamp(os.lstat(self.path)) != self.stamp
        except OSError:
            return True

    def read(self) -> Iterator[bytes]:
        """A file's content in pieces. Raises :class:`WherryError` that names it if it cannot be read."""
        try:
            with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123  (a str: 100,000 Paths cost a second)
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as error:
            raise _unreadable(self.entry.path, error) from error


def walk(
    root: Path, patterns: Patterns | None = None, *, epoch: int | None = None, normalise: bool = True
) -> tuple[ContextFile, ...]:
    """Everything below ``root`` that ``patterns`` do not leave out, sorted by path.

    ``normalise`` sets modes to 0755 (directories, and files that their owner may execute) or 0644;
    ``epoch`` sets every time; without them they are the file's own. Owners are 0. A directory that is left
    out is there all the same if something in it is not. Raises :class:`UsageError` if ``root`` is not a
    directory, :class:`WherryError` if something below it cannot be read.
    """
    if not root.is_dir():
        problem = "is not a directory" if root.exists() else "does not exist"
        raise UsageError(f"the build context {root} {problem}")
    files = list(_walk(os.fspath(root), patterns or Patterns(), epoch, normalise))
    files.sort(key=lambda file: file.entry.path)
    return tuple(files)


def _walk(root: str, patterns: Patterns, epoch: int | None, normalise: bool) -> Iterator[ContextFile]:
    waiting: list[tuple[str, str, State, tuple[ContextFile, ...]]] = [(root, "", patterns.top, ())]
    kept: set[str] = set()  # directories that were left out, and came back for what is in them
    while waiting:
        folder, prefix, state, above = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                found = list(listing)
        except OSError as error:
            raise _unreadable(prefix or ".", error) from error
        for item in found:
            path = prefix + item.name
            left_out, inner = patterns.step(path, item.name, state)
            is_dir = item.is_dir(follow_symlinks=False)
            if left_out and not (is_dir and patterns.may_return(path)):
                continue
            try:
                file = _context_file(item, path, epoch, normalise)
            except FileNotFoundError:  # gone since the directory was listed
                continue
            except OSError as error:
                raise _unreadable(path, error) from error
            if file is None:
                continue
            if is_dir:
                waiting.append((item.path, path + "/", inner, (*above, file) if left_out else above))
            if not left_out:
                for directory in above:
                    if directory.entry.path not in kept:
                        kept.add(directory.entry.path)
                        yield directory
                yield file


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _context_file(item: os.DirEntry[str], path: str, epoch: int | None, normalise: bool) -> ContextFile | None:
    status = item.stat(follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    mtime = int(status.st_mtime) if epoch is None else epoch
    if stat.S_ISREG(status.st_mode):
        if normalise:
            mode = 0o755 if mode & 0o100 else 0o644
        entry = Entry(path, "file", mode, status.st_size, mtime=mtime)
        return ContextFile(entry, item.path, _stamp(status))
    if stat.S_ISDIR(status.st_mode):
        return ContextFile(Entry(path, "dir", 0o755 if normalise else mode, mtime=mtime), item.path)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(item.path).replace(os.sep, "/")  # noqa: PTH115  (a Path would drop "./")
        return ContextFile(Entry(path, "symlink", 0o777, mtime=mtime, link=target), item.path)
    return None


def _unreadable(path: str, error: OSError) -> WherryError:
    return WherryError(
        f"cannot read {path}: {error.strerror}",
        hint="Make it readable, or leave it out in .dockerignore (or exclude in [tool.wherry]).",
    )


def digest(files: Iterable[ContextFile], memory: Memory | None = None) -> Digest:
    """One digest of all ``files``: equal for equal names, kinds, modes, contents and link targets.

    With ``memory``, a file that was hashed before and did not change since is not read again.
    """
    whole = sha256()
    known = memory.recall() if memory else {}
    hashed: dict[str, tuple[Stamp, str]] = {}
    for file in files:
        entry = file.entry
        content = entry.link
        if entry.kind == "file":
            before = known.get(entry.path)
            if before is not None and before[0] == file.stamp:
                content = before[1]
            else:
                content = _hash(file)
                hashed[entry.path] = (file.stamp, content)
        line = f"{entry.kind}\0{entry.mode:o}\0{entry.path}\0{content}\0"
        whole.update(line.encode("utf-8", "surrogateescape"))
    if memory:
        memory.keep(known, hashed)
    return Digest("sha256:" + whole.hexdigest())


def _hash(file: ContextFile) -> str:
    content = sha256()
    for piece in file.read():
        content.update(piece)
    return content.hexdigest()


class Memory:
    """The hashes of a context's files, kept in the store from one build to the next.

    A file counts as unchanged while size, times and inode are the same. As in git, one that was changed in
    the last two seconds is not remembered, since it could change again unseen. Small contexts are never
    written: hashing them costs less than remembering.
    """

    def __init__(self, store: Path, root: Path, scratch: Path) -> None:
        name = sha256(os.fsencode(root.absolute())).hexdigest()
        self._path = store / "contexts" / name
        self._scratch = scratch

    def recall(self) -> Mapping[str, tuple[Stamp, str]]:
        """What is remembered, by path. A damaged file is an empty one."""
        try:
            records = self._path.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        except OSError:
            return {}
        known: dict[str, tuple[Stamp, str]] = {}
        with suppress(ValueError):
            for record in records[:-1]:
                size, mtime, ctime, inode, content, path = record.split(" ", 5)
                if len(content) == 64:
                    known[path] = (int(size), int(mtime), int(ctime), int(inode)), content
        return known

    def keep(self, known: Mapping[str, tuple[Stamp, str]], hashed: Mapping[str, tuple[Stamp, str]]) -> None:
        """Add what was ``hashed`` to what was ``known``, if that is worth a file."""
        if len(hashed) < _WORTH_FILES and sum(stamp[0] for stamp, _ in hashed.values()) < _WORTH_BYTES:
            return
        newest = time.time_ns() - _RACY
        fresh = {path: item for path, item in hashed.items() if max(item[0][1:3]) < newest}
        if not fresh:
            return
        lines = (
            f"{size} {mtime} {ctime} {inode} {content} {path}\0"
            for path, ((size, mtime, ctime, inode), content) in {**known, **fresh}.items()
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path, "".join(lines).encode("utf-8", "surrogateescape"), self._scratch)

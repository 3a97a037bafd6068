"""The build context: a directory's files as a layer holds them, and one digest for all of it.

Symbolic links stay links and are never followed. The digest covers names, kinds, modes, contents and link targets, not
times or owners: a checkout made anew is the same context.
"""

# Paths are strings and values plain tuples here: a context may hold 100,000 files, and one step of each costs 0.1 s.
# ruff: noqa: PTH115

from __future__ import annotations

import errno
import marshal
import os
import stat
import struct
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import cast

from wherry.errors import UsageError, WherryError
from wherry.image.digest import Digest
from wherry.layers.entry import CAPABILITY, Entry, Kind
from wherry.layers.garbage import uncollected
from wherry.layers.records import Row, entry_of, row_of
from wherry.sources.ignore import Patterns, State
from wherry.store.files import write_atomic

_PIECE = 1 << 18
_SMALL = 1 << 20  # bytes of a file that is read in one piece to be hashed
_RACY = 2_000_000_000  # nanoseconds; a file changed that shortly ago may change again within its timestamp
_WORTH_FILES = 200
_WORTH_BYTES = 4 << 20
_THREADS_FROM = 4 << 20  # bytes to hash in all; with less, threads cost more than they bring
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)
_OPEN = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | _NO_FOLLOW
_MAGIC = b"wherry context 3\n"

Stamp = bytes
"""A file's size, modification time and status change time (nanoseconds), and inode, packed: only ever compared."""

_NO_STAMP: Stamp = bytes(32)
_STAMP = struct.Struct("=qqqQ")


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file of which the system says ``status``."""
    return _STAMP.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_older(stamp: Stamp, time_ns: int) -> bool:
    _, mtime, ctime, _ = _STAMP.unpack(stamp)
    return bool(mtime < time_ns and ctime < time_ns)


class ContextFile:
    """A file, directory or link: as a layer holds it, and where it is on this machine.

    ``row`` are the plain values that :attr:`entry` is made from when it is asked for. A file that is ``linked`` has
    more names, with the same ``stamp``.
    """

    __slots__ = ("linked", "path", "row", "stamp")

    def __init__(self, entry: Entry | Row, path: str, stamp: Stamp = _NO_STAMP, linked: bool = False) -> None:
        self.row: Row = entry if isinstance(entry, tuple) else row_of(entry)
        self.path = path
        self.stamp = stamp
        self.linked = linked

    @property
    def entry(self) -> Entry:
        """What a layer holds of it."""
        return entry_of(self.row)

    @property
    def kind(self) -> Kind:
        """What kind of file it is."""
        return self.row[1]

    def changed(self) -> bool:
        """Whether the file is another one than when it was seen: its size, times or inode differ."""
        if self.row[1] != "file":
            return False
        try:
            return stamp_of(os.lstat(self.path)) != self.stamp
        except OSError:
            return True

    def read(self) -> Iterator[bytes]:
        """A file's content in pieces. Raises :class:`WherryError` that names it if it cannot be read."""
        try:
            handle = os.open(self.path, _OPEN)
            try:
                while piece := os.read(handle, _PIECE):
                    yield piece
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno == errno.ENXIO and not self.row[3]:
                return  # a socket, which is an empty file
            raise _unreadable(self.row[0], error) from error

    def read_unchanged(self) -> Iterable[bytes]:
        """As :meth:`read`; a file that was changed since it was found is an error."""
        data = self._at_once(_PIECE, unchanged=True)
        return self._read_checked() if data is None else (data,)

    def _read_checked(self) -> Iterator[bytes]:
        yield from self.read()
        if self.changed():
            hint = "Build again when it is at rest."
            raise WherryError(f"{self.row[0]} was changed while it was being read", hint=hint)

    def _at_once(self, limit: int, *, unchanged: bool = False) -> bytes | None:
        """All of a file below ``limit`` bytes with few calls, as there may be many; None where :meth:`read` must do.

        ``unchanged``: also where the file is not any more what it was when it was found.
        """
        size = self.row[3]
        if size >= limit:
            return None
        try:
            handle = os.open(self.path, _OPEN)
            try:
                data = os.read(handle, size + 1)
                same = not unchanged or stamp_of(os.fstat(handle)) == self.stamp
            finally:
                os.close(handle)
        except OSError:
            return None  # the long way finds it too, and says so
        return data if same and len(data) == size else None

    def hash(self) -> str:
        """The SHA-256 (hex) of a file's content. Raises :class:`WherryError` that names it if it cannot be read."""
        data = self._at_once(_SMALL)
        if data is not None:
            return sha256(data).hexdigest()
        content = sha256()
        for piece in self.read():
            content.update(piece)
        return content.hexdigest()


def walk(
    root: Path, patterns: Patterns | None = None, *, epoch: int | None = None, normalise: bool = True
) -> tuple[ContextFile, ...]:
    """Everything below ``root`` that ``patterns`` do not leave out, sorted by path.

    ``normalise`` sets modes to 0755 (directories, and files that their owner may execute) or 0644, and passes over
    sockets, pipes and devices; ``epoch`` sets every time. Without them modes and times are the file's own, executables
    keep their capabilities, and special files are what Docker makes of them: a socket is an empty file. Owners are 0. A
    directory that is left out is there all the same if something in it is not. Raises :class:`UsageError` if ``root``
    is not a directory, :class:`WherryError` if something below it cannot be read.
    """
    if not root.is_dir():
        problem = "is not a directory" if root.exists() else "does not exist"
        raise UsageError(f"the build context {root} {problem}")
    with uncollected():
        files = _walk(os.fspath(root), patterns or Patterns(), epoch, normalise)
        files.sort(key=_path)
    return tuple(files)


def _path(file: ContextFile) -> str:
    return file.row[0]


def _walk(  # noqa: PLR0912  (a function of its own for each file would cost a tenth of the whole)
    root: str, patterns: Patterns, epoch: int | None, normalise: bool
) -> list[ContextFile]:
    files: list[ContextFile] = []
    waiting: list[tuple[str, State, tuple[ContextFile, ...]]] = [("", patterns.top, ())]
    kept: set[str] = set()  # directories that were left out, and came back for what is in them
    step = patterns.step if patterns.patterns else None
    left_out, inner = False, patterns.top
    while waiting:
        prefix, state, above = waiting.pop()
        with _listed(root, prefix) as found:
            for item in found:
                name = item.name
                path = prefix + name
                if step is not None:
                    left_out, inner = step(path, name, state)
                    if left_out and not (item.is_dir(follow_symlinks=False) and patterns.may_return(path)):
                        continue
                try:
                    status = item.stat(follow_symlinks=False)
                    mode = status.st_mode
                    if mode & 0o170000 != 0o100000:
                        file = _special(f"{root}/{path}", path, status, epoch, normalise)
                    else:
                        mode &= 0o7777
                        if normalise:
                            mode = 0o755 if mode & 0o100 else 0o644
                        size, changed = status.st_size, status.st_mtime_ns
                        mtime = changed // 1_000_000_000 if epoch is None else epoch
                        real = f"{root}/{path}"
                        xattrs = _capabilities(real) if mode & 0o111 and not normalise else ()
                        stamp = _STAMP.pack(size, changed, status.st_ctime_ns, status.st_ino)
                        row: Row = (path, "file", mode, size, 0, 0, mtime, "", 0, 0, xattrs, "")
                        file = ContextFile(row, real, stamp, status.st_nlink > 1)
                except FileNotFoundError:  # gone since the directory was listed
                    continue
                except OSError as error:
                    raise _unreadable(path, error) from error
                if file is None:
                    continue
                if file.row[1] == "dir":
                    waiting.append((path + "/", inner, (*above, file) if left_out else above))
                    if left_out:
                        continue
                if above:
                    files += [directory for directory in above if directory.row[0] not in kept]
                    kept.update(directory.row[0] for directory in above)
                files.append(file)
    return files


@contextmanager
def _listed(root: str, prefix: str) -> Iterator[list[os.DirEntry[str]]]:
    """What the directory ``prefix`` holds. It stays open: files are found sooner so."""
    path = f"{root}/{prefix}" if prefix else root
    handle = -1
    try:
        if os.scandir in os.supports_fd:
            handle = os.open(path.rstrip("/") or "/", _DIRECTORY | (_NO_FOLLOW if prefix else 0))
        with os.scandir(handle if handle >= 0 else path) as listing:
            found = list(listing)
    except OSError as error:
        if handle >= 0:
            os.close(handle)
        raise _unreadable(prefix.rstrip("/") or ".", error) from error
    try:
        yield found
    finally:
        if handle >= 0:
            os.close(handle)


def _special(real: str, path: str, status: os.stat_result, epoch: int | None, normalise: bool) -> ContextFile | None:
    """What is no regular file, or nothing if it is passed over."""
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    mtime = status.st_mtime_ns // 1_000_000_000 if epoch is None else epoch
    row: Row
    if kind == stat.S_IFDIR:
        row = (path, "dir", 0o755 if normalise else mode, 0, 0, 0, mtime, "", 0, 0, (), "")
    elif kind == stat.S_IFLNK:
        target = os.readlink(real).replace(os.sep, "/")
        row = (path, "symlink", 0o777, 0, 0, 0, mtime, target, 0, 0, (), "")
    elif normalise:
        return None
    elif kind == stat.S_IFSOCK:
        row = (path, "file", mode, 0, 0, 0, mtime, "", 0, 0, (), "")
        return ContextFile(row, real, stamp_of(status))
    elif kind == stat.S_IFIFO:
        row = (path, "fifo", mode, 0, 0, 0, mtime, "", 0, 0, (), "")
    elif kind in {stat.S_IFCHR, stat.S_IFBLK}:
        device: Kind = "char" if kind == stat.S_IFCHR else "block"
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        row = (path, device, mode, 0, 0, 0, mtime, "", major, minor, (), "")
    else:
        return None
    return ContextFile(row, real)


def _capabilities(path: str) -> tuple[tuple[str, bytes], ...]:
    """The one extended attribute that an image keeps (as in Docker); only an executable has any use for it."""
    if sys.platform != "linux":
        return ()
    with suppress(OSError):
        if CAPABILITY in os.listxattr(path, follow_symlinks=False):
            return ((CAPABILITY, os.getxattr(path, CAPABILITY, follow_symlinks=False)),)
    return ()


def _unreadable(path: str, error: OSError) -> WherryError:
    return WherryError(
        f"cannot read {path}: {error.strerror}",
        hint="Make it readable, or leave it out in .dockerignore (or exclude in [tool.wherry]).",
    )


def digest(files: Iterable[ContextFile], memory: Memory | None = None) -> Digest:
    """One digest of all ``files``: equal for equal names, kinds, modes, contents and link targets.

    With ``memory``, a file that was hashed before and did not change since is not read again.
    """
    every = list(files)
    regular = [file for file in every if file.row[1] == "file"]
    hashes = memory.recall(regular) if memory else [""] * len(regular)
    if hash_missing(regular, hashes) and memory:
        memory.keep(regular, hashes)
    contents = iter(hashes)
    whole = sha256()
    for file in every:
        row = file.row
        content = next(contents) if row[1] == "file" else row[7]
        line = f"{row[1]}\0{row[2]:o}\0{row[0]}\0{content}\0"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return Digest("sha256:" + whole.hexdigest())


def seen_as(root: Path, files: Sequence[ContextFile]) -> str:
    """What tells ``files``, found in ``root``, from all others: their names, attributes and stamps; nothing is read.

    It is empty where one was changed so shortly ago that it may change again unseen, as in :class:`Memory`, and where
    to remember something of so few costs more than to find it out again.
    """
    if not _worth(files):
        return ""
    stamps = b"".join([file.stamp for file in files])
    numbers = memoryview(stamps).cast("q")
    if max(max(numbers[at::4]) for at in (1, 2)) >= time.time_ns() - _RACY:
        return ""
    names = [f"{root.absolute()}\0{len(files)}", *(file.row[0] for file in files), ""]
    whole = sha256("\0".join(names).encode("utf-8", "surrogateescape"))
    whole.update(stamps)
    # Whatever else a regular file is, its status change time tells it; what has no stamp, its attributes.
    others = [(*file.row[:6], *file.row[7:]) for file in files if file.row[1] != "file"]
    whole.update(repr(others).encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _worth(files: Sequence[ContextFile]) -> bool:
    """Whether to remember what ``files`` hold costs less than to read them again."""
    return len(files) >= _WORTH_FILES or sum(file.row[3] for file in files) >= _WORTH_BYTES


def hash_missing(files: Sequence[ContextFile], hashes: list[str]) -> bool:
    """Put the hashes of regular ``files`` into ``hashes`` where there is none; whether that is worth remembering."""
    missing = [number for number, content in enumerate(hashes) if not content]
    for number, content in _hashed(missing, files):
        hashes[number] = content
    return _worth([files[number] for number in missing])


def _hashed(numbers: Sequence[int], files: Sequence[ContextFile]) -> Iterator[tuple[int, str]]:
    """Hash some of ``files``. Large ones are hashed side by side: that takes no turns with other threads."""
    cores = min(os.cpu_count() or 1, 8)
    large = [number for number in numbers if files[number].row[3] >= _SMALL]
    if cores == 1 or len(large) < 2 or sum(files[number].row[3] for number in large) < _THREADS_FROM:
        for number in numbers:
            yield number, files[number].hash()
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(cores)
    try:
        by_size = sorted(large, key=lambda number: files[number].row[3], reverse=True)
        waiting = [(number, pool.submit(files[number].hash)) for number in by_size]
        for number in numbers:
            if files[number].row[3] < _SMALL:
                yield number, files[number].hash()
        for number, result in waiting:
            yield number, result.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Memory:
    """The hashes of a context's files, kept in the store from one build to the next.

    A file counts as unchanged while size, times and inode are the same. As in git, one that was changed in
    the last two seconds is not remembered, since it could change again unseen. Small contexts should not be
    remembered: hashing them costs less.

    The file holds three columns: names, stamps and hashes, in the order of the names. Where nothing was changed at all,
    each is compared in one go, and that is ten times as fast as file by file.
    """

    def __init__(self, store: Path, root: Path, scratch: Path) -> None:
        name = sha256(os.fsencode(root.absolute())).hexdigest()
        self._path = store / "contexts" / name
        self._scratch = scratch

    def recall(self, files: Sequence[ContextFile]) -> list[str]:
        """The hash (hex) of each of ``files``, which are regular and sorted; an empty one where it is not known.

        A damaged memory is an empty one.
        """
        kept = self._read()
        if kept is None:
            return [""] * len(files)
        names, stamps, hashes = kept
        if names == "\0".join([file.row[0] for file in files]) and stamps == b"".join([file.stamp for file in files]):
            return [hashes[at : at + 64] for at in range(0, len(hashes), 64)]
        known = _by_name(names, stamps, hashes)
        nothing = (_NO_STAMP, "")
        found = (known.get(file.row[0], nothing) for file in files)
        return [content if stamp == file.stamp else "" for file, (stamp, content) in zip(files, found, strict=True)]

    def keep(self, files: Sequence[ContextFile], hashes: Sequence[str], *, whole: bool = False) -> None:
        """Remember the ``hashes`` of regular ``files``; an empty one says nothing.

        ``whole``: these are all that the context has, and others are forgotten.
        """
        newest = time.time_ns() - _RACY
        known: dict[str, tuple[Stamp, str]] = {}
        kept = None if whole else self._read()
        if kept is not None:
            known.update(_by_name(*kept))
        known.update(
            (file.row[0], (file.stamp, content))
            for file, content in zip(files, hashes, strict=True)
            if content and _is_older(file.stamp, newest)
        )
        every = sorted(known.items())
        if not every:
            return
        stamps = b"".join(stamp for _, (stamp, _) in every)
        names = "\0".join(name for name, _ in every).encode("utf-8", "surrogateescape")
        data = marshal.dumps((names, stamps, bytes.fromhex("".join(content for _, (_, content) in every))))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path, _MAGIC + zlib.crc32(data).to_bytes(4, "little") + data, self._scratch)

    def _read(self) -> tuple[str, bytes, str] | None:
        try:
            data = memoryview(self._path.read_bytes())
        except OSError:
            return None
        start = len(_MAGIC) + 4
        if data[: len(_MAGIC)] != _MAGIC or zlib.crc32(data[start:]).to_bytes(4, "little") != data[len(_MAGIC) : start]:
            return None
        with suppress(ValueError, EOFError, TypeError):
            names, stamps, hashes = cast("tuple[bytes, bytes, bytes]", marshal.loads(data[start:]))
            if len(stamps) == len(hashes) == 32 * (names.count(b"\0") + 1):
                return names.decode("utf-8", "surrogateescape"), stamps, hashes.hex()
        return None


def _by_name(names: str, stamps: bytes, hashes: str) -> Mapping[str, tuple[Stamp, str]]:
    every = (stamps[at : at + 32] for at in range(0, len(stamps), 32))
    contents = (hashes[at : at + 64] for at in range(0, len(hashes), 64))
    with uncollected():
        return dict(zip(names.split("\0"), zip(every, contents, strict=True), strict=True))

"""What a differential case is: a Dockerfile, a context as plain data, and how it is built."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import zstandard

OLD = 1_000_000_000  # the time of all files in contexts, bases and archives; what is younger was made by a build


@dataclass(frozen=True)
class File:
    """A regular file."""

    data: str | bytes = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The data as bytes."""
        return self.data.encode() if isinstance(self.data, str) else self.data


@dataclass(frozen=True)
class Dir:
    """A directory; those that only hold something need not be named."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Symlink:
    """A symbolic link to ``target``, which need not exist."""

    target: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Hardlink:
    """Another name of the file at ``path``, which comes before it."""

    path: str


@dataclass(frozen=True)
class Fifo:
    """A named pipe."""

    mode: int = 0o644


@dataclass(frozen=True)
class Device:
    """A character device; only in archives."""

    major: int
    minor: int
    mode: int = 0o644


Compression = Literal["", "gz", "bz2", "xz", "zst"]


@dataclass(frozen=True)
class Archive:
    """A tar archive as a file; names in it are written as they are (``/a``, ``./a`` and ``../a`` too)."""

    members: Mapping[str, Entry | str | bytes]
    compression: Compression = ""
    mode: int = 0o644

    @property
    def content(self) -> bytes:
        """The file's bytes, always the same."""
        return compressed(tar(self.members), self.compression)


Entry = File | Dir | Symlink | Hardlink | Fifo | Device | Archive
Tree = Mapping[str, Entry | str | bytes]
"""Paths to what is there; text and bytes are files of mode 644. Names that are not UTF-8 have surrogate escapes."""


@dataclass(frozen=True)
class Case:
    """One build. ``name`` is unique in its module.

    In ``dockerfile`` and ``options`` the word ``@SERVER@`` stands for the address of the test's HTTP server.
    """

    name: str
    dockerfile: str | bytes
    context: Tree = field(default_factory=dict)
    args: tuple[str, ...] = ()
    """Build arguments, ``NAME=VALUE``."""
    target: str = ""
    file: str = "Dockerfile"
    """Where the Dockerfile is in the context; ``file`` and not the default is given as ``-f``."""
    contexts: Mapping[str, Tree | str] = field(default_factory=dict)
    """Named contexts: folders, or text as it stands."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secrets by ID, given as files."""
    options: tuple[str, ...] = ()
    """More words of the command line."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables of the command's environment."""
    words: tuple[str, ...] = ()
    """For a build that is refused: what the message must hold, in Docker as in wherry."""
    refused: bool = False
    """The build must fail."""
    by_hand: bool = False
    """No engine at hand knows it: the expectation is written by hand, and never recorded."""
    elsewhere: bool = False
    """For a build that is refused: the message may point to another line than Docker's."""
    unlisted: tuple[str, ...] = ()
    """Paths whose contents are not compared, since they depend on other programs."""


def write(tree: Tree, root: Path) -> None:
    """Make ``tree`` at ``root``, with modes, links and old times."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    made = [(root / name, as_entry(value)) for name, value in tree.items()]
    for path, entry in made:
        for above in reversed(path.relative_to(root).parents):
            if not (root / above).is_dir():
                (root / above).mkdir()
                (root / above).chmod(0o755)
        _make(path, entry, root)
    for path, entry in made:  # last: a closed directory may be filled until then
        if not isinstance(entry, Symlink | Hardlink | Device):
            path.chmod(entry.mode)
    for folder, directories, files in os.walk(root, topdown=False):
        for item in (*directories, *files):
            os.utime(Path(folder) / item, (OLD, OLD), follow_symlinks=False)


def _make(path: Path, entry: Entry, root: Path) -> None:
    match entry:
        case File() | Archive():
            path.write_bytes(entry.content)
        case Dir():
            path.mkdir(exist_ok=True)
        case Symlink(target):
            path.symlink_to(target)
        case Hardlink(other):
            path.hardlink_to(root / other)
        case Fifo():
            os.mkfifo(path)
        case Device():
            raise TypeError("devices are only in archives")


def as_entry(value: Entry | str | bytes) -> Entry:
    """Text and bytes as files."""
    return File(value) if isinstance(value, str | bytes) else value


def tar(members: Tree) -> bytes:
    """A pax archive of ``members`` in their order, nothing added."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for name, value in members.items():
            info, data = _member(name, as_entry(value))
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _member(name: str, entry: Entry) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mtime = OLD
    data = b""
    match entry:
        case File():
            data = entry.content
            info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
            info.pax_headers = {
                f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in entry.xattrs.items()
            }
        case Archive():
            data, info.mode = entry.content, entry.mode
        case Dir():
            info.type = tarfile.DIRTYPE
            info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
        case Symlink():
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
            info.uid, info.gid = entry.uid, entry.gid
        case Hardlink(other):
            info.type, info.linkname = tarfile.LNKTYPE, other
        case Fifo(mode):
            info.type, info.mode = tarfile.FIFOTYPE, mode
        case Device():
            info.type, info.mode = tarfile.CHRTYPE, entry.mode
            info.devmajor, info.devminor = entry.major, entry.minor
    info.size = len(data)
    return info, data


def compressed(data: bytes, compression: Compression) -> bytes:
    """``data`` compressed, always to the same bytes with the same library."""
    match compression:
        case "gz":
            return gzip.compress(data, mtime=0)
        case "bz2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zst":
            return zstandard.ZstdCompressor().compress(data)
        case _:
            return data

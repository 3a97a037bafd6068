"""What is to be built, as a folder: an sdist or archive unpacked, a repository checked out, a project copied."""

from __future__ import annotations

import gzip
import lzma
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wherry.errors import WherryError
from wherry.events import Task
from wherry.plan import Git
from wherry.solve.work import Work
from wherry.store.files import remove_tree, storing
from wherry.wheels import tree
from wherry.wheels.distribution import Buildable, Project, Source

_LARGEST = 8 << 30
"""Bytes that an archive may unpack to: nothing that is built from source comes near."""
_MOST = 500_000
"""Files that it may hold."""


@contextmanager
def opened(source: Buildable, work: Work, task: Task) -> Iterator[tuple[Path, str]]:
    """A folder to build ``source`` in, which may be written to, and where in it the project lies.

    Raises :class:`WherryError` if it cannot be had, or is an archive that wants to be elsewhere than in its folder.
    """
    place = work.store.scratch() / f"source-{os.urandom(8).hex()}"
    with storing(place):
        place.mkdir(parents=True)
    try:
        match source:
            case Project():
                root = (work.context / source.path).resolve()
                with storing(place):
                    copy = tree.copy(root, place, epoch=work.plan.epoch, without=work.store.path.resolve())
                yield place, copy.relative_to(place).as_posix()
            case Source(archive=None):
                from wherry.sources.git import checked_out

                git = Git(source.repository, source.commit, keep_git=True)
                found = checked_out(git, source.commit, store=work.store, fetcher=work.fetcher, task=task)
                with found as folder:
                    yield folder, source.subdirectory or "."
            case Source():
                assert source.archive is not None
                if not work.fetcher.cached(source.archive):
                    task.expect(source.archive.size or 0)
                path = work.fetcher.get(source.archive, task.advance)
                with storing(place):
                    _unpack(path, place, source)
                yield _top(place), source.subdirectory or "."
    finally:
        with storing(place):
            remove_tree(place)


def _unpack(path: Path, place: Path, source: Source) -> None:
    try:
        if zipfile.is_zipfile(path):
            _unpack_zip(path, place)
        else:
            _unpack_tar(path, place)
    except _BROKEN as error:
        raise WherryError(f"the archive of {source} cannot be unpacked: {error}") from None


class _Refused(Exception):
    """An archive holds what nobody should unpack."""


_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),  # one member in place of another's folder
    *(RuntimeError, NotImplementedError),  # a zip archive with a password, or compressed in a way of its own
    _Refused,
)


def _unpack_tar(path: Path, place: Path) -> None:
    """Files and folders, and last of all links, so that nothing can be written through one."""
    links: list[tuple[Path, str]] = []
    size = 0
    with tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            _check(number, size + member.size)
            target = _inside(place, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.issym():
                _inside(place, posixpath.join(posixpath.dirname(member.name), member.linkname))
                links.append((target, member.linkname))
            elif member.isfile() or member.islnk():
                try:
                    data = archive.extractfile(member)  # of a hard link, what it links to
                except KeyError:
                    raise _Refused(f"{member.name!r} is a link to {member.linkname!r}, which is not in it") from None
                if data is not None:
                    size = _write(target, data, executable=bool(member.mode & 0o111), number=number, size=size)
            else:
                raise _Refused(f"{member.name!r} is neither a file nor a folder nor a link")
    top = os.path.realpath(place)
    for target, link in links:
        _check_link(target.parent, top)  # which may be reached by a link itself
        if not target.parent.is_dir() or target.is_symlink() or target.exists():
            continue
        target.symlink_to(link)
    for target, _ in links:
        _check_link(target, top)


def _check_link(path: Path, top: str) -> None:
    """Raise :class:`_Refused` if links, each of which seems to stay inside, lead ``path`` out of ``top`` together."""
    if not Path(os.path.realpath(path)).is_relative_to(top):
        raise _Refused(f"{path.name!r} leads out of it by links")


def _unpack_zip(path: Path, place: Path) -> None:
    size = 0
    with zipfile.ZipFile(path) as archive:
        for number, info in enumerate(archive.infolist()):
            target = _inside(place, info.filename)
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with archive.open(info) as data:
                executable = bool(info.external_attr >> 16 & 0o111)
                size = _write(target, data, executable=executable, number=number, size=size)


def _inside(place: Path, name: str) -> Path:
    """The member called ``name`` in ``place``. Raises :class:`_Refused` if it would be elsewhere."""
    normal = posixpath.normpath(name.replace("\\", "/"))
    if posixpath.isabs(normal) or normal.split("/")[0] == ".." or "\0" in normal:
        raise _Refused(f"{name!r} lies outside of it")
    return place / normal


def _write(target: Path, data: IO[bytes], *, executable: bool, number: int, size: int) -> int:
    """Write a member that comes after ``size`` bytes of others; gives the sum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while piece := data.read(1 << 20):
            size += len(piece)
            _check(number, size)
            file.write(piece)
    target.chmod(0o755 if executable else 0o644)
    return size


def _check(number: int, size: int) -> None:
    if size > _LARGEST or number > _MOST:
        raise _Refused("it holds more than any source distribution does")


def _top(place: Path) -> Path:
    """The one folder that an sdist consists of; the whole where it is otherwise."""
    found = list(place.iterdir())
    return found[0] if len(found) == 1 and found[0].is_dir() else place

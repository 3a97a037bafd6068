"""Contents files: which packages have a file. Hundreds of megabytes of text, read as a stream and searched as bytes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from wherry.debian.archive import Archive
from wherry.debian.content import placed
from wherry.errors import WherryError
from wherry.events import Task
from wherry.fetch import Fetcher, NotFound, Stopped
from wherry.layers.reader import decompressed

_PIECE = 1 << 18  # bytes; larger ones leave the processor's cache and are slower
_LONGEST = 1 << 16  # bytes of a line; Debian's longest has 331
_LONGEST_PATH = 4096  # bytes; more than Linux takes
_MANY = 8  # packages in equally good places: config.h is in a hundred, which says nothing
_TWO = re.compile(rb"[^/\s]{1,80}/[^/\s]{1,80}/")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_TRIPLET = re.compile(r"[a-z0-9_]+-linux-gnu[a-z0-9_]*")
# Compilers for other machines have headers and libraries of their own, and so have other languages.
_FOREIGN = re.compile(
    r"(?:.*/)?(?:gcc-cross|klibc|dist-packages|site-library|[^/]*-(?:mingw32[^/]*|linux-musl|eabi|elf))/.*"
)
_UNFIT = re.compile(r".*-cross(?:-.*)?|.*-dbg")

Alternatives = tuple[str, ...]
"""Paths of which one will do, the best first: without a leading slash, and with ``**`` for any folders or none, as in
``usr/include/**/libpq-fe.h``, and ``*`` for any letters of a folder. The last part is the file's name as it is."""

_Place = tuple[int, int]  # which of the alternatives, and how many folders deeper than it need be


def providers(
    archive: Archive, wanted: Iterable[Alternatives], fetcher: Fetcher, task: Task
) -> Mapping[Alternatives, tuple[str, ...]]:
    """The names of the packages of ``archive`` that have each of ``wanted``, the likeliest first; none where none has.

    Only the best places count: beside a package that has ``usr/include/zlib.h``, those with a ``zlib.h`` in a folder
    of their own are left out. A file that is in too many packages to mean one of them is found in none.

    This explains another error, and must not hide it: where the suite has no Contents files or they cannot be had
    (offline and not here yet, a mirror without them, a damaged file), nothing is found, and unless offline a note says
    why. Nothing but :class:`~wherry.fetch.Stopped` is raised. Updates and security updates are not looked at: they
    bring new versions, hardly ever new files.
    """
    searches = {alternatives: _Search(alternatives) for alternatives in wanted}
    for architecture in (archive.architecture, "all"):
        # The second file is three times as large as the first, and seldom needed.
        if unsettled := [search for search in searches.values() if not search.settled]:
            _look(archive, architecture, unsettled, fetcher, task)
    return {alternatives: search.packages for alternatives, search in searches.items()}


def lines(stream: BinaryIO, wanted: Collection[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of a Contents file, the path and the packages (as they stand there) of each file that is perhaps ``wanted``.

    What is wanted are pairs of how a path begins (with nothing, if that is not known) and a file's name. Memory does
    not grow with the file. Raises what ``stream`` raises.
    """
    names: dict[bytes, set[bytes]] = {}
    for head, name in wanted:
        names.setdefault(head.encode(), set()).add(f"/{name}".encode())
    for block in _blocks(stream):
        folder = _folder(block)
        relevant = (some for head, some in names.items() if not folder or folder.startswith(head))
        for needle in set().union(*relevant):  # each by itself is faster than one regular expression for up to ten
            yield from _hits(block, needle)


def _folder(block: bytes) -> bytes:
    """The folder, of two names (``usr/share/``), that the first and the last line of ``block`` are in, if it is one.

    As Contents files are sorted, all lines are then, and four of five blocks are of folders that nobody asks for.
    Lines in another order may not be found, which is no harm.
    """
    match = _TWO.match(block)
    last = block.rfind(b"\n", 0, -1) + 1
    return match[0] if match and block.startswith(match[0], last) else b""


def _look(archive: Archive, architecture: str, searches: Sequence[_Search], fetcher: Fetcher, task: Task) -> None:
    """Let ``searches`` see the files of ``architecture``."""
    download = archive.releases[0].contents(architecture)
    if download is None or (fetcher.offline and not fetcher.cached(download)):
        return
    try:
        if not fetcher.cached(download):
            task.expect(download.size or 0)
        path = fetcher.get(download, task.advance)
        with decompressed(path, download.name) as stream:
            for file, packages in lines(stream, {pair for search in searches for pair in search.wanted}):
                for search in searches:
                    search.see(file, packages)
    except Stopped:
        raise
    except NotFound:
        task.note(f"the mirror has not got {download.name}: it has changed since it was looked at, or is not complete")
    except WherryError as error:
        task.note(f"{download.name} cannot be read: {error.message}")
    except OSError as error:
        task.note(f"{download.name} cannot be read: {error.strerror or error}")


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The text in pieces of whole lines."""
    rest = b""
    while piece := stream.read(_PIECE):
        block = rest + piece
        end = block.rfind(b"\n") + 1
        yield block[:end]
        rest = block[end:] if len(block) - end <= _LONGEST else b""  # no path is as long as that
    yield rest


def _hits(block: bytes, needle: bytes) -> Iterator[tuple[str, str]]:
    place = -1
    while (place := block.find(needle, place + 1)) >= 0:
        after = place + len(needle)
        if block[after : after + 1] not in {b" ", b"\t"}:
            continue
        start = block.rfind(b"\n", 0, place) + 1
        end = block.find(b"\n", after)
        packages = block[after : end if end >= 0 else None].split()  # more than one, if it is a folder called "x.h y"
        if len(packages) == 1 and after - start <= _LONGEST_PATH:
            yield block[start:after].decode("utf-8", "replace"), packages[0].decode("utf-8", "replace")


class _Search:
    """What was found of one file: the packages with the best places seen so far."""

    def __init__(self, alternatives: Alternatives) -> None:
        self._patterns = [_compiled(pattern) for pattern in alternatives]
        self._best: _Place | None = None
        self._paths: dict[str, str] = {}
        self.wanted = frozenset((head, one.rpartition("/")[2]) for one in alternatives for head in _heads(one))

    @property
    def settled(self) -> bool:
        """Whether another file would hardly tell better: the place is the best there is, or good and one package's."""
        return self._best == (0, 0) or (self._best == (0, 1) and len(self._paths) == 1)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages, the likeliest first."""
        return tuple(sorted(self._paths, key=self._rank)) if len(self._paths) <= _MANY else ()

    def see(self, path: str, packages: str) -> None:
        """Take note of one line."""
        path = placed(path)
        place = self._place(path)
        if place is None or (self._best is not None and place > self._best):
            return
        names = [name.rpartition("/")[2] for name in packages.split(",")]  # before it stands the section
        good = [name for name in names if _PACKAGE.fullmatch(name) and not _UNFIT.fullmatch(name)]
        if good and place != self._best:
            self._best = place
            self._paths.clear()
        for name in good:
            self._paths.setdefault(name, path)

    def _place(self, path: str) -> _Place | None:
        if _FOREIGN.fullmatch(path):
            return None
        for number, pattern in enumerate(self._patterns):
            if match := pattern.fullmatch(path):
                folders = [folder for group in match.groups() for folder in group.split("/") if folder]
                return number, sum(not _TRIPLET.fullmatch(folder) for folder in folders)
        return None

    def _rank(self, package: str) -> tuple[bool, bool, int, int, str]:
        """Usual names first: a program's own, a library's ``-dev``, without additions that tell variants."""
        path = self._paths[package]
        own = package == path.rpartition("/")[2]
        return not own, not package.endswith("-dev"), len(package), len(path), package


def _compiled(pattern: str) -> re.Pattern[str]:
    *folders, name = pattern.split("/")
    parts = (r"((?:[^/]+/)*)" if one == "**" else re.escape(one).replace(r"\*", "[^/]*") + "/" for one in folders)
    return re.compile("".join(parts) + re.escape(name))


def _heads(pattern: str) -> tuple[str, ...]:
    """How the paths that ``pattern`` fits begin: also without /usr, where that is only a link."""
    top, _, rest = pattern.partition("/")
    folder = rest.partition("/")[0]
    if top != "usr" or "/" not in rest or "*" in folder:
        return ("",)
    return (f"usr/{folder}/", f"{folder}/") if placed(f"{folder}/") != f"{folder}/" else (f"usr/{folder}/",)

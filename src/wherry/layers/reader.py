"""A layer's blob as a stream of entries with their data."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from wherry.errors import WherryError
from wherry.layers.entry import Entry, Kind, relative

if TYPE_CHECKING:
    from typing_extensions import Buffer

_KINDS: Mapping[bytes, Kind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.LNKTYPE: "hardlink",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "dir",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 16
_LONG = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_LONGEST = 1 << 20  # bytes of names and extended attributes for one entry; tarfile holds them in memory
_OWNERS = 1 << 32
_SPARSE = 64 << 30  # bytes of sparse files in one archive: a header of 512 bytes may claim any number of them


@contextmanager
def decompressed(source: Path | BinaryIO, what: str = "file") -> Iterator[BinaryIO]:
    """A file without its compression, told by its first bytes: gzip, zstd, xz, bzip2 or none.

    ``source`` is a path, or an open file at its beginning, which stays open. Reading raises
    :class:`WherryError`, which names ``what``, if the data is damaged.
    """
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as raw:
        magic = raw.read(6)
        raw.seek(-len(magic), io.SEEK_CUR)
        with _decoder(raw, magic) as stream:
            yield _guarded(stream, what)


def _decoder(raw: BinaryIO, magic: bytes) -> AbstractContextManager[_Readable]:
    if magic.startswith(b"\x1f\x8b"):
        from isal import igzip

        return cast("AbstractContextManager[_Readable]", igzip.open(raw))  # type: ignore[no-untyped-call]
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    if magic.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lzma.LZMAFile(raw)
    if magic.startswith(b"BZh"):
        import bz2

        return bz2.BZ2File(raw)
    return nullcontext(raw)


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes:
        """At most ``size`` bytes, none at the end."""


class _Guard(io.RawIOBase):
    """Reads from a decoder; whatever goes wrong in it means that the data is damaged."""

    def __init__(self, stream: _Readable, what: str) -> None:
        self._stream = stream
        self._what = what

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            piece = self._stream.read(len(view))
        except (WherryError, MemoryError):
            raise
        except Exception as error:  # each decoder has errors of its own
            raise WherryError(f"{self._what} is damaged: {error}") from error
        view[: len(piece)] = piece
        return len(piece)


def _guarded(stream: _Readable, what: str) -> BinaryIO:
    return io.BufferedReader(_Guard(stream, what), 1 << 17)


class _Header(tarfile.TarInfo):
    """A header that is right, or an error: tarfile takes a broken one after the first for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ in {"InvalidHeaderError", "TruncatedHeaderError"}:  # not the ends of an archive
                raise tarfile.ReadError(str(error)) from error
            raise

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in _LONG and info.size > _LONGEST):
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def entries(source: Path | BinaryIO, what: str = "layer") -> Iterator[tuple[Entry, IO[bytes] | None]]:
    """The entries of a tar file in order, decompressed as need be; a regular file comes with a reader of its data.

    The reader is good until the next entry is asked for. Raises :class:`WherryError`, which names ``what``,
    if the archive is damaged or names something outside its root; so does the reader.
    """
    with decompressed(source, what) as stream:
        try:
            # Names that are not UTF-8 must survive in every locale.
            with tarfile.open(
                fileobj=stream,
                mode="r|",
                bufsize=_CHUNK,
                tarinfo=_Header,
                encoding="utf-8",
                errors="surrogateescape",
                errorlevel=2,
            ) as archive:
                sparse = 0
                for info in archive:
                    if info.issparse():
                        sparse += info.size
                        if info.size < 0 or sparse > _SPARSE:
                            raise WherryError(
                                f"{what}: {info.name!r} makes {sparse} bytes of sparse files, more than {_SPARSE}",
                                hint="No image needs that: it is damaged, or hostile.",
                            )
                    data = archive.extractfile(info) if info.isreg() else None
                    yield _entry(info, what), _guarded(data, what) if data is not None else None
        except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
            raise WherryError(f"{what} is damaged: {error}") from error


def _entry(info: tarfile.TarInfo, what: str) -> Entry:
    kind = _KINDS.get(info.type)
    if kind is None:
        raise WherryError(f"{what}: {info.name!r} is of an unknown type")
    if not all(0 <= number < _OWNERS for number in (info.uid, info.gid, info.devmajor, info.devminor)):
        raise WherryError(f"{what}: {info.name!r} has an owner or a device number that does not exist")
    if "\0" in info.linkname:
        raise WherryError(f"{what}: {info.name!r} links to {info.linkname!r}, which is no path")
    return Entry(
        path=relative(info.name),
        kind=kind,
        mode=info.mode & 0o7777,
        size=info.size if kind == "file" else 0,
        uid=info.uid,
        gid=info.gid,
        mtime=int(info.mtime),
        link=relative(info.linkname) if kind == "hardlink" else info.linkname,
        major=info.devmajor,
        minor=info.devminor,
        xattrs={
            key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
            for key, value in info.pax_headers.items()
            if key.startswith(_XATTR)
        },
    )

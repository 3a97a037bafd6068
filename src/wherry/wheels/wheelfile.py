"""A wheel as a source of files (PyPA binary distribution format), read as a stream and trusted in nothing.

The directory of the zip file is read by :mod:`zipfile`; members are inflated by ISA-L, several times faster
than zlib, in pieces, so that memory does not grow with a member's size. Content is checked against the zip
file's CRC and against RECORD while it passes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from installer.records import InvalidRecordEntry, parse_record_file
from installer.sources import WheelContentElement, WheelSource
from installer.utils import parse_metadata_file
from isal import isal_zlib

from wherry.errors import WherryError
from wherry.wheels.distribution import Distribution

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 1 << 18
_SMALL_TEXT = 32 << 20  # bytes; RECORD and other metadata are read whole
_STRONG = {"sha256", "sha384", "sha512"}  # RECORD needs "sha256 or better"
_SCHEMES = {"purelib", "platlib", "headers", "scripts", "data"}
_OURS = {"INSTALLER", "REQUESTED", "direct_url.json"}  # written by installers, never taken from wheels
_SIGNATURES = {"RECORD.jws", "RECORD.p7s"}
_DRIVE = re.compile(r"[A-Za-z]:")
_LOCAL_HEADER = 30
_INFLATE_ERROR = cast("type[Exception]", isal_zlib.error)  # its stub calls it an instance
_HINT = (
    "The wheel is damaged or was made to do harm; nothing of it was kept. Choose another version, or ask its author."
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a wheel: ``size`` and ``packed`` in bytes, ``hash`` as RECORD writes it (``sha256=…``)."""

    path: str
    size: int
    packed: int
    deflated: bool
    crc: int
    offset: int
    executable: bool
    hash: str


class WheelFile(WheelSource):
    """The wheel of ``distribution``, open for reading by one thread at a time. Made by :meth:`open`."""

    def __init__(self, file: IO[bytes], distribution: Distribution) -> None:
        self.wanted = distribution
        self._file = file
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                end = archive.start_dir
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, struct.error) as error:
            raise self.error(f"is not a zip file that can be read: {error}") from error
        self._infos = self._checked(infos, end)
        self.members: Mapping[str, Member] = {}
        dist_info = self._dist_info()
        name, _, version = dist_info.removesuffix(".dist-info").rpartition("-")
        super().__init__(name, version)
        self._data_dir = self._find_data_dir()
        self._verify_identity()
        self.members = self._members()

    @classmethod
    @contextmanager
    def open(cls, path: Path, distribution: Distribution) -> Iterator[WheelFile]:
        """Open the wheel at ``path``.

        Raises :class:`WherryError` unless it is a well-formed wheel of ``distribution`` and every member has a
        harmless path, a plain file type and a hash in RECORD.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            name = distribution.wheel.name or distribution.name
            raise WherryError(f"{name}: cannot be read: {error.strerror}", hint="Build again.") from error
        with file:
            yield cls(file, distribution)

    def error(self, message: str, hint: str = _HINT) -> WherryError:
        """An error about this wheel."""
        return WherryError(f"{self.wanted.wheel.name or self.wanted.name}: {message}", hint=hint)

    # -- installer's protocol ----------------------------------------------------------------------

    @property
    def data_dir(self) -> str:
        """The name of the .data folder, whether there is one or not."""
        return self._data_dir

    @property
    def dist_info_filenames(self) -> list[str]:
        """The names of the files in the .dist-info folder."""
        folder = f"{self.dist_info_dir}/"
        return [path.removeprefix(folder) for path in self._infos if path.startswith(folder)]

    def read_dist_info(self, filename: str) -> str:
        """The text of a file in the .dist-info folder."""
        try:
            return self._read(filename).decode()
        except UnicodeDecodeError:
            raise self.error(f"{self.dist_info_dir}/{filename} is not UTF-8") from None

    def _read(self, filename: str) -> bytes:
        path = f"{self.dist_info_dir}/{filename}"
        info = self._infos.get(path)
        if info is None:
            raise self.error(f"has no {path}")
        if info.file_size > _SMALL_TEXT:
            raise self.error(f"{path} is too large")
        # What is read to find the hashes cannot be held against them yet; it will be when it is installed.
        return b"".join(self.pieces(self.members.get(path) or _member(info, "")))

    def get_contents(self) -> Iterator[WheelContentElement]:
        """Every member that is to be installed, as a stream that reads nothing until it is asked to.

        What installers write themselves, and bytecode (which could differ from its source), is left out.
        """
        for member in self.members.values():
            folder, _, name = member.path.rpartition("/")
            if "__pycache__" in folder.split("/") or (folder == self.dist_info_dir and name in _OURS):
                continue
            stream = MemberStream(self, member)
            yield (member.path, member.hash, str(member.size)), cast("BinaryIO", stream), member.executable

    # -- content -----------------------------------------------------------------------------------

    def pieces(self, member: Member) -> Iterator[bytes]:
        """The content of ``member`` in pieces.

        Raises :class:`WherryError` after, or instead of, the last piece if it is not what the zip file's
        directory and RECORD say.
        """
        algorithm, _, expected = member.hash.partition("=")
        digest = hashlib.new(algorithm) if algorithm else None
        crc = length = 0
        for piece in self._inflated(member):
            length += len(piece)
            if length > member.size:
                break
            crc = isal_zlib.crc32(piece, crc)
            if digest:
                digest.update(piece)
            yield piece
        if length != member.size:
            raise self.error(f"{member.path} does not have the {member.size} bytes that it announces")
        if crc != member.crc:
            raise self.error(f"{member.path} is damaged: its checksum is wrong")
        if digest and _encoded(digest.digest()) != expected:
            raise self.error(f"{member.path} is not the file that RECORD describes: its hash is wrong")

    def _inflated(self, member: Member) -> Iterator[bytes]:
        left = member.packed
        position = self._data_offset(member)
        inflate = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS) if member.deflated else None
        while left:
            # Members are read in turns where wheels share a layer: find our place again.
            self._file.seek(position)
            data = self._file.read(min(_PIECE, left))
            if not data:
                raise self.error(f"{member.path} is cut off")
            position += len(data)
            left -= len(data)
            if inflate is None:
                yield data
                continue
            try:
                while data:
                    if inflate.eof:
                        raise self.error(f"{member.path} has more compressed data than content")
                    yield inflate.decompress(data, _PIECE)
                    data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            except _INFLATE_ERROR as error:
                raise self.error(f"{member.path} is damaged: {error}") from error
        if inflate is not None:
            while not inflate.eof and (rest := inflate.decompress(b"", _PIECE)):
                yield rest
            if not inflate.eof:
                raise self.error(f"{member.path} is cut off")

    def _data_offset(self, member: Member) -> int:
        self._file.seek(member.offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) != _LOCAL_HEADER or not header.startswith(b"PK\3\4"):
            raise self.error(f"{member.path} is not where the directory says")
        name_length, extra_length = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        # Two readers of one zip file must not see two different files.
        if self._file.read(name_length) != _raw_name(self._infos[member.path]):
            raise self.error(f"{member.path} has another name in its own header")
        return member.offset + _LOCAL_HEADER + name_length + extra_length

    # -- checks ------------------------------------------------------------------------------------

    def _checked(self, infos: list[zipfile.ZipInfo], end: int) -> dict[str, zipfile.ZipInfo]:
        """The files by path; directories are checked and dropped."""
        found: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            path = info.orig_filename
            self._check_path(path)
            if path in found:
                raise self.error(f"holds {path!r} twice")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise self.error(f"{path!r} is neither a file nor a directory (a symbolic link?)")
            if info.flag_bits & 0x2041:
                raise self.error(f"{path!r} is encrypted")
            if info.volume:
                raise self.error("is a part of a multi-volume archive")
            if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise self.error(f"{path!r} is compressed in a way that wheels do not use")
            if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
                raise self.error(f"{path!r} does not have the size that it announces")
            found[path] = info
        self._check_overlap(infos, end)
        return {path: info for path, info in found.items() if not path.endswith("/")}

    def _check_path(self, path: str) -> None:
        parts = path.removesuffix("/").split("/")
        if any(mark in path for mark in "\0\\") or _DRIVE.match(path) or not {"", ".", ".."}.isdisjoint(parts):
            raise self.error(f"the path {path!r} leads out of its folder or is not a clean relative path")
        if len(path) > 4000 or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
            raise self.error(f"the path {path[:80]!r}… is too long for a file system")

    def _check_overlap(self, infos: list[zipfile.ZipInfo], end: int) -> None:
        # A zip bomb's members share their data.
        position = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < position:
                raise self.error(f"{info.orig_filename!r} overlaps another member")
            position = info.header_offset + _LOCAL_HEADER + info.compress_size
        if position > end:
            raise self.error("its last member reaches into the directory")

    def _dist_info(self) -> str:
        names = sorted({path.partition("/")[0] for path in self._infos if "/" in path})
        found = [name for name in names if name.endswith(".dist-info")]
        if len(found) != 1:
            raise self.error(f"should have one .dist-info folder, and has {len(found) or 'none'}")
        return found[0]

    def _find_data_dir(self) -> str:
        # Its name may be escaped in another way than that of the .dist-info folder.
        for path in self._infos:
            top = path.partition("/")[0]
            name, _, version = top.removesuffix(".data").rpartition("-")
            if top.endswith(".data") and _same(name, version, self.wanted):
                return top
        return f"{self.distribution}-{self.version}.data"

    def _verify_identity(self) -> None:
        """Wheel-Version 1.x, and the name and version that were asked for, in the folder's name and in METADATA."""
        wheel_version = str(parse_metadata_file(self.read_dist_info("WHEEL"))["Wheel-Version"] or "")
        if wheel_version.strip().partition(".")[0] != "1":
            raise self.error(
                f"has Wheel-Version {wheel_version or 'nothing'}; wherry knows 1.x",
                hint="A newer wherry may know it; or choose another version of the distribution.",
            )
        # Old wheels describe themselves in other encodings; names and versions are ASCII.
        head = self._read("METADATA").decode("utf-8", "replace").partition("\n\n")[0]
        metadata = parse_metadata_file(head)
        for name, version, where in (
            (self.distribution, self.version, self.dist_info_dir),
            (str(metadata["Name"]), str(metadata["Version"]), "METADATA"),
        ):
            if not _same(name, version, self.wanted):
                raise self.error(
                    f"{where} says {name} {version} where {self.wanted.name} {self.wanted.version} was asked for"
                )

    def _members(self) -> dict[str, Member]:
        hashes = self._record()
        record = f"{self.dist_info_dir}/RECORD"
        members = {}
        for path, info in self._infos.items():
            parts = path.split("/")
            if parts[0] == self.data_dir and (len(parts) < 3 or parts[1] not in _SCHEMES):
                raise self.error(f"{path} is not in a folder that a wheel's .data may have")
            if path == record or (parts[0] == self.dist_info_dir and len(parts) == 2 and parts[1] in _SIGNATURES):
                continue
            if path not in hashes:
                raise self.error(f"{path} is not in RECORD")
            hash_, size = hashes[path]
            if size and size != str(info.file_size):
                raise self.error(f"{path} has {info.file_size} bytes, RECORD says {size}")
            members[path] = _member(info, self._strong(path, hash_))
        return members

    def _record(self) -> dict[str, tuple[str, str]]:
        """RECORD: path to (hash, size)."""
        rows = io.StringIO(self.read_dist_info("RECORD"), newline="")
        try:
            return {path: (hash_, size) for path, hash_, size in parse_record_file(rows)}
        except (InvalidRecordEntry, csv.Error) as error:
            raise self.error(f"RECORD is malformed: {error}") from error

    def _strong(self, path: str, text: str) -> str:
        algorithm, _, value = text.partition("=")
        if algorithm not in _STRONG or not value:
            raise self.error(f"RECORD has no hash of {path} that can be trusted")
        return f"{algorithm}={value.rstrip('=')}"


class MemberStream(io.RawIOBase):
    """A member as a binary stream that opens when it is first read."""

    def __init__(self, wheel: WheelFile, member: Member) -> None:
        super().__init__()
        self.member = member
        self._pieces = wheel.pieces(member)
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` with what comes next; 0 at the end."""
        view = memoryview(buffer)
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def record_hash(digest: bytes) -> str:
    """A sha256 as RECORD writes it."""
    return f"sha256={_encoded(digest)}"


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _member(info: zipfile.ZipInfo, hash_: str) -> Member:
    return Member(
        info.orig_filename,
        info.file_size,
        info.compress_size,
        info.compress_type == zipfile.ZIP_DEFLATED,
        info.CRC,
        info.header_offset,
        bool(info.external_attr >> 16 & 0o111),
        hash_,
    )


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")


def _same(name: str, version: str, wanted: Distribution) -> bool:
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    try:
        # A folder's name holds "_" where a version has "-" (PyPA binary distribution format, "Escaping").
        same_version = Version(version.replace("_", "-")) == Version(wanted.version)
    except InvalidVersion:
        same_version = version == wanted.version
    return same_version and canonicalize_name(name) == canonicalize_name(wanted.name)

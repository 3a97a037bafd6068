"""Tar headers, the same for the same entry on every machine (POSIX.1-2001: ustar, pax where ustar ends)."""

from __future__ import annotations

from zlib import adler32

from wherry.errors import WherryError
from wherry.layers.entry import Entry, Kind

BLOCK = 512
END = bytes(2 * BLOCK)

_TYPES = {"file": b"0", "hardlink": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6"}
_PLAIN_HEAD = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0"
_PLAIN_TAIL = b"%b%bustar\x0000" + bytes(64) + b"0000000\x000000000\0" + bytes(167)
_OCTAL_7 = 0o7777777  # what fits a 7-digit field: owner, mode, device numbers
_OCTAL_11 = 0o77777777777  # what fits an 11-digit field: size, time


def padding(size: int) -> bytes:
    """The zeros that follow ``size`` bytes of data."""
    return bytes(-size % BLOCK)


def header(entry: Entry) -> bytes:
    """The header of ``entry``, with a pax header before it where ustar cannot hold a value.

    Raises :class:`WherryError` for what neither can hold.
    """
    path = (_bytes(entry.path) or b".") + (b"/" if entry.kind == "dir" else b"")
    link = _bytes(entry.link)
    if b"\0" in path or b"\0" in link:
        raise WherryError(f"{entry.path!r}: a name in a layer holds no NUL")
    if not 0 <= entry.major <= _OCTAL_7 or not 0 <= entry.minor <= _OCTAL_7:
        raise WherryError(f"{entry.path}: there is no device {entry.major}:{entry.minor}")
    size = entry.size if entry.kind == "file" else 0
    records: dict[str, bytes] = {}
    prefix, name = _split(path)
    if name is None:
        records["path"] = path
        prefix, name = b"", path[:100]
    if len(link) > 100 or not link.isascii():
        records["linkpath"] = link
    numbers = {"uid": (entry.uid, _OCTAL_7), "gid": (entry.gid, _OCTAL_7), "size": (size, _OCTAL_11)}
    numbers["mtime"] = (entry.mtime, _OCTAL_11)
    for key, (value, limit) in numbers.items():
        if not 0 <= value <= limit:
            records[key] = str(value).encode()
    for key, data in entry.xattrs.items():
        if "=" in key:
            raise WherryError(f"{entry.path}: a layer cannot hold the extended attribute {key!r}")
        records[f"SCHILY.xattr.{key}"] = data
    block = _block(
        name,
        prefix,
        _TYPES[entry.kind],
        link[:100],
        mode=entry.mode & 0o7777,
        uid=entry.uid if "uid" not in records else 0,
        gid=entry.gid if "gid" not in records else 0,
        size=size if "size" not in records else 0,
        mtime=entry.mtime if "mtime" not in records else 0,
        device=(entry.major, entry.minor) if entry.kind in {"char", "block"} else (0, 0),
    )
    return _pax(records) + block if records else block


def plain_header(
    path: str, kind: Kind, mode: int, size: int, uid: int, gid: int, mtime: int, link: str
) -> bytes | None:
    """What :func:`header` gives for a file, directory or link that a single block can hold, but sooner; or None."""
    if not (path and path.isascii() and link.isascii() and len(link) <= 100 and "\0" not in path + link):
        return None
    if kind == "dir":
        path += "/"
    elif kind in {"char", "block"}:
        return None
    if kind != "file":
        size = 0
    numbers = 0 <= uid <= _OCTAL_7 and 0 <= gid <= _OCTAL_7 and 0 <= size <= _OCTAL_11 and 0 <= mtime <= _OCTAL_11
    if len(path) > 100 or not numbers:
        return None
    head = _PLAIN_HEAD % (path.encode().ljust(100, b"\0"), mode & 0o7777, uid, gid, size, mtime)
    tail = _PLAIN_TAIL % (_TYPES[kind], link.encode().ljust(100, b"\0"))
    # The sum of all bytes, blanks for itself: ASCII is too small for Adler's sum to wrap around.
    total = (adler32(head) & 0xFFFF) + (adler32(tail) & 0xFFFF) - 2 + 8 * 32
    return head + b"%06o\0 " % total + tail


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _split(path: bytes) -> tuple[bytes, bytes | None]:
    """``path`` as ustar's prefix and name, or ``(b"", None)`` if it does not fit."""
    if not path.isascii():
        return b"", None
    if len(path) <= 100:
        return b"", path
    cut = path.rfind(b"/", 0, 156)
    while cut > 0:
        name = path[cut + 1 :]
        if len(name) > 100:
            return b"", None
        if name:
            return path[:cut], name
        cut = path.rfind(b"/", 0, cut)
    return b"", None


def _pax(records: dict[str, bytes]) -> bytes:
    body = b"".join(_record(key.encode("utf-8", "surrogateescape"), records[key]) for key in sorted(records))
    head = _block(b"././@PaxHeader", b"", b"x", b"", mode=0o644, uid=0, gid=0, size=len(body), mtime=0, device=(0, 0))
    return head + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    # The length counts its own digits: grow until it is right.
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def _block(
    name: bytes,
    prefix: bytes,
    kind: bytes,
    link: bytes,
    *,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    device: tuple[int, int],
) -> bytes:
    block = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%sustar\x0000%s%07o\0%07o\0%s" % (
        name.ljust(100, b"\0"),
        mode,
        uid,
        gid,
        size,
        mtime,
        kind,
        link.ljust(100, b"\0"),
        bytes(64),  # owner names: numbers alone count in an image
        *device,
        prefix.ljust(155, b"\0"),
    )
    block = block.ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]

"""``/etc/ld.so.cache``: where the dynamic linker, and Python's ``ctypes.util.find_library``, look for libraries.

Written as the base's own ldconfig(8) would write it, without running that: every library in the folders that
``/etc/ld.so.conf`` names and in the default ones, under its own name (SONAME). The file's format is glibc's
``glibc-ld.so.cache1.1`` (dl-cache.h). Variants for newer processors (glibc-hwcaps) are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wherry.debian.content import placed
from wherry.debian.elf import AARCH64, X86_64, shared_object
from wherry.debian.tree import Node, Tree, reader
from wherry.layers.entry import Entry

CACHE = "etc/ld.so.cache"
FILES = r"etc/ld\.so\.(?:cache|conf|conf\.d/[^/]+)"
"""The dynamic linker's own files in an image, as a regular expression for their paths."""

_CONF = "etc/ld.so.conf"
_DEFAULT = ("/lib", "/usr/lib")
_FLAGS = {X86_64: 0x0303, AARCH64: 0x0A03}  # "libc6,x86-64" and "libc6,AArch64"
_LIBRARY = re.compile(r"(?:lib|ld-).*\.so.*", re.S)
_UNFINISHED = re.compile(r".*(?:-gdb\.py|\.dpkg-(?:new|tmp))", re.S)

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20s2IB3xI12x")  # magic, entries, bytes of strings, byte order, extensions
_ENTRY = struct.Struct("<i3IQ")  # flags, name, path, unused, processor features
_LITTLE_ENDIAN = 2


@dataclass(frozen=True, slots=True)
class Library:
    """An entry of the cache: a library's own name, its kind (glibc's flags), and where it is."""

    soname: str
    flags: int
    path: str


def read_cache(data: bytes) -> tuple[Library, ...]:
    """The libraries that a cache lists; none if it is not one."""
    start = data.find(_MAGIC)  # what old releases write has a part in another format before it
    if start < 0 or len(data) < start + _HEADER.size:
        return ()
    data = data[start:]
    count = _HEADER.unpack_from(data)[1]
    entries = data[_HEADER.size : _HEADER.size + count * _ENTRY.size]
    if len(entries) != count * _ENTRY.size:
        return ()
    return tuple(
        Library(_string(data, name), flags, _string(data, path))
        for flags, name, path, _, features in _ENTRY.iter_unpack(entries)
        if not features
    )


def write_cache(libraries: Iterable[Library]) -> bytes:
    """A cache of ``libraries``; those of one name are found in the order in which they come."""
    ordered = sorted(libraries, key=lambda library: (_rank(library.soname), library.flags), reverse=True)
    position = _HEADER.size + len(ordered) * _ENTRY.size
    offsets: dict[str, int] = {}
    for text in (text for library in ordered for text in (library.soname, library.path)):
        if text not in offsets:
            offsets[text] = position
            position += len(text.encode()) + 1
    strings = b"".join(text.encode() + b"\0" for text in offsets)
    entries = [_ENTRY.pack(one.flags, offsets[one.soname], offsets[one.path], 0, 0) for one in ordered]
    return _HEADER.pack(_MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, 0) + b"".join(entries) + strings


def folders(conf: Mapping[str, bytes]) -> tuple[str, ...]:
    """Where libraries are, in order: what ``conf`` (files by path) names beginning with /etc/ld.so.conf, the defaults.

    Of several names of one folder, only the first.
    """
    named: dict[str, str] = {}
    for folder in (*_named(conf, _CONF, frozenset()), *_DEFAULT):
        named.setdefault(placed(folder.strip("/")), folder.rstrip("/"))
    return tuple(named.values())


def cache_libraries(tree: Tree, below: Mapping[str, bytes]) -> None:
    """Write the cache for ``tree`` on top of layers whose :data:`FILES` are ``below``, if it brings libraries.

    A library whose own name leads nowhere gets a link of that name.
    """
    conf = dict(below)
    for path in (path for path in tree.nodes if re.fullmatch(FILES, path)):
        if (node := tree.follow(path)) and node.entry.kind == "file":
            conf[path] = reader(node)(0, node.entry.size)
    places = folders(conf)
    there = read_cache(below.get(CACHE, b""))
    found = dict.fromkeys(there)
    found.update(dict.fromkeys(_libraries(tree, places)))
    if len(found) == len(there):
        return
    order = {folder: number for number, folder in enumerate(places)}
    data = write_cache(sorted(found, key=lambda one: order.get(one.path.rpartition("/")[0], len(order))))
    tree.put(Node(Entry(CACHE, "file", 0o644, len(data)), data))


def _libraries(tree: Tree, places: tuple[str, ...]) -> Iterator[Library]:
    names: dict[str, list[str]] = {}
    for path in tree.nodes:
        folder, _, name = path.rpartition("/")
        if _LIBRARY.fullmatch(name) and not _UNFINISHED.fullmatch(name):
            names.setdefault(folder, []).append(name)
    for place in places:
        folder = placed(place.strip("/"))
        for name in sorted(names.get(folder, ()), key=_rank, reverse=True):
            node = tree.follow(f"{folder}/{name}")
            if node is None or node.entry.kind != "file":
                continue
            found = shared_object(reader(node))
            if found is None or found.machine not in _FLAGS:
                continue
            soname = found.soname or name
            # The linker searches in the order of bytes, about whose signs processors differ beyond ASCII.
            if soname.isascii() and "/" not in soname:
                tree.put_new(Node(Entry(f"{folder}/{soname}", "symlink", 0o777, link=name)))
                yield Library(soname, _FLAGS[found.machine], f"{place}/{soname}")


def _named(conf: Mapping[str, bytes], path: str, above: frozenset[str]) -> Iterator[str]:
    """The folders that the file at ``path`` names, and those that it includes."""
    if path in above:
        return
    for line in conf.get(path, b"").decode("utf-8", "replace").splitlines():
        first, *rest = line.partition("#")[0].split() or [""]
        if first == "include":
            patterns = [pattern if pattern.startswith("/") else f"/etc/{pattern}" for pattern in rest]
            for pattern in patterns:
                for name in sorted(name for name in conf if fnmatchcase(f"/{name}", pattern)):
                    yield from _named(conf, name, above | {path})
        elif first.startswith("/"):
            yield first


def _rank(name: str) -> tuple[tuple[bool, int], ...]:
    """The order of names in the cache: numbers by their value, and after all else."""
    parts = re.findall(r"[0-9]+|[^0-9]", name)
    return tuple((True, int(part)) if part[0] in "0123456789" else (False, ord(part)) for part in parts)


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.find(b"\0", offset)].decode("utf-8", "surrogateescape")

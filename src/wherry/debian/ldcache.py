"""``/etc/ld.so.cache``: where the dynamic linker, and Python's ``ctypes.util.find_library``, look for libraries.

Written as the base's own ldconfig(8) would write it, without running that: every library in the folders that
``/etc/ld.so.conf`` names and in the default ones, under its own name (SONAME). The file's format is glibc's
``glibc-ld.so.cache1.1`` (dl-cache.h). Variants for newer processors (glibc-hwcaps) are left out.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from wherry.debian.content import placed
from wherry.debian.elf import AARCH64, X86_64, shared_object
from wherry.debian.tree import Node, Tree, content, reader
from wherry.layers.entry import Entry
from wherry.layers.reader import entries

CACHE = "etc/ld.so.cache"
FILES = r"etc/ld\.so\.(?:cache|conf|conf\.d/[^/]+)"
"""The dynamic linker's own files in an image, as a regular expression for their paths."""

_CONF = "etc/ld.so.conf"
_LAST = "etc/ld.so~"  # after all of these
_DEFAULT = ("/lib", "/usr/lib")
_FLAGS = {X86_64: 0x0303, AARCH64: 0x0A03}  # "libc6,x86-64" and "libc6,AArch64"
_LIBRARY = re.compile(r"(?:lib|ld-).*\.so.*", re.S)
_NAME = re.compile(r"(?!\.\.?$)[!-.0-~]+")  # beyond ASCII, processors differ about the order

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20s2IB3xI12x")  # magic, entries, bytes of strings, byte order, extensions
_ENTRY = struct.Struct("<i3IQ")  # flags, name, path, unused, processor features
_LITTLE_ENDIAN = 2
_LONGEST = 4096  # bytes of a path


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
    rows = data[_HEADER.size : _HEADER.size + count * _ENTRY.size]
    if len(rows) != count * _ENTRY.size:
        return ()
    return tuple(
        Library(_string(data, name), flags, _string(data, path))
        for flags, name, path, _, features in _ENTRY.iter_unpack(rows)
        if not features
    )


def write_cache(libraries: Iterable[Library]) -> bytes:
    """A cache of ``libraries``; those of one name are found in the order in which they come."""
    ordered = sorted(libraries, key=lambda library: (_rank(library.soname), library.flags), reverse=True)
    offsets: dict[str, int] = {}
    strings = bytearray()
    for text in (text for library in ordered for text in (library.soname, library.path)):
        if text not in offsets:
            offsets[text] = _HEADER.size + len(ordered) * _ENTRY.size + len(strings)
            strings += text.encode("utf-8", "surrogateescape") + b"\0"
    rows = [_ENTRY.pack(one.flags, offsets[one.soname], offsets[one.path], 0, 0) for one in ordered]
    return _HEADER.pack(_MAGIC, len(ordered), len(strings), _LITTLE_ENDIAN, 0) + b"".join(rows) + strings


def folders(conf: Mapping[str, bytes]) -> tuple[str, ...]:
    """Where libraries are, in order: what ``conf`` (files by path) names beginning with /etc/ld.so.conf, the defaults.

    Of several names of one folder, only the first.
    """
    named: dict[str, str] = {}
    for folder in (*_named(conf, _CONF, set()), *_DEFAULT):
        named.setdefault(placed(folder.strip("/")), folder.rstrip("/"))
    return tuple(named.values())


def cache_libraries(tree: Tree, below: Mapping[str, bytes]) -> None:
    """Write the cache for ``tree`` on top of layers whose :data:`FILES` are ``below``, if it brings libraries.

    A library that has no file or link of its own name gets a link.
    """
    conf = dict(below)
    for path in (path for path in tree.nodes if re.fullmatch(FILES, path)):
        node = tree.nodes.get(tree.resolve(path))
        if node and node.entry.kind == "file":
            conf[path] = content(node)
    places = folders(conf)
    known = dict.fromkeys(read_cache(below.get(CACHE, b"")))
    added: dict[Library, str] = {}
    for library, name in _libraries(tree, places, known):
        if library not in known:
            added.setdefault(library, name)
    if not added:
        return
    for library, name in added.items():
        tree.put_new(Node(Entry(placed(library.path[1:]), "symlink", 0o777, link=name)))
    order = {folder: number for number, folder in enumerate(places)}
    data = write_cache(sorted([*known, *added], key=lambda one: order.get(one.path.rpartition("/")[0], len(order))))
    tree.put(Node(Entry(CACHE, "file", 0o644, len(data)), data))


def linker_files(layer: Path) -> dict[str, bytes]:
    """The linker's :data:`FILES` in the layer of a base at ``layer``, whose entries are in the order of their paths."""
    found: dict[str, bytes] = {}
    for entry, data in entries(layer):
        if entry.path > _LAST:
            break
        if data and re.fullmatch(FILES, entry.path):
            found[entry.path] = data.read()
    return found


def _libraries(tree: Tree, places: Iterable[str], known: Iterable[Library]) -> Iterator[tuple[Library, str]]:
    """Each library in the folders ``places``, and the name of a file or link there that leads to it."""
    names: dict[str, list[str]] = {}
    for path in tree.nodes:
        folder, _, name = path.rpartition("/")
        if _LIBRARY.fullmatch(name):
            names.setdefault(folder, []).append(name)
    for place in places:
        folder = placed(place.strip("/"))
        for name in sorted(names.get(folder, ()), key=_rank, reverse=True):
            found = _library(tree, f"{folder}/{name}", known)
            if found is None:
                continue
            soname, flags = found
            is_link = tree.nodes[f"{folder}/{name}"].entry.kind == "symlink"
            if not soname or (is_link and name.endswith(".so") and soname.startswith(name)):
                soname = name  # a link for compilers has an entry of its own
            if _NAME.fullmatch(soname):
                yield Library(soname, flags, f"{place}/{soname}"), name


def _library(tree: Tree, path: str, known: Iterable[Library]) -> tuple[str, int] | None:
    """Own name and flags of the library that ``path`` leads to; None if it is none.

    A link may lead to one of those that are ``known``, below the tree.
    """
    target = tree.resolve(path)
    if target not in tree.nodes:
        for library in known:
            there = placed(library.path[1:])
            if target == there or target.startswith(f"{there}."):
                return library.soname, library.flags
        return None
    node = tree.nodes[target]
    found = shared_object(reader(node)) if node.entry.kind == "file" else None
    return (found.soname, _FLAGS[found.machine]) if found and found.machine in _FLAGS else None


def _named(conf: Mapping[str, bytes], path: str, seen: set[str]) -> Iterator[str]:
    """The folders that the file at ``path`` names, and those that it includes."""
    if path in seen:
        return
    seen.add(path)
    for line in conf.get(path, b"").decode("utf-8", "surrogateescape").splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] == "include":
            patterns = [posixpath.join("/", posixpath.dirname(path), word) for word in words[1:]]
            for name in (name for pattern in patterns for name in sorted(conf) if fnmatchcase(f"/{name}", pattern)):
                yield from _named(conf, name, seen)
        elif words and words[0].startswith("/"):
            yield words[0]


def _rank(name: str) -> tuple[tuple[bool, int], ...]:
    """The order of names in the cache: numbers by their value, and after all else."""
    parts = re.findall(r"[0-9]+|[^0-9]", name)
    return tuple((True, int(part)) if part[0] in "0123456789" else (False, ord(part)) for part in parts)


def _string(data: bytes, offset: int) -> str:
    return data[offset : offset + _LONGEST].partition(b"\0")[0].decode("utf-8", "surrogateescape")

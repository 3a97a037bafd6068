"""Finding shared libraries in a root filesystem as its own dynamic linker would (ld.so(8); musl, ldso/dynlink.c).

glibc's linker reads /etc/ld.so.cache, which ldconfig(8) makes of the folders that /etc/ld.so.conf names: we look in
those. Variants for newer processors (glibc-hwcaps) are left out.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from wherry.wheels.elf import Elf, Family, Machine, libc_of, read_elf
from wherry.wheels.libraries import Needed
from wherry.wheels.root import Root
from wherry.wheels.rpath import TRIPLETS, expanded, search, triplet

CONF = r"etc/ld\.so\.conf|etc/ld\.so\.conf\.d/[^/]+|etc/ld-musl-[^/]+\.path"
"""The files that say where libraries are, as a regular expression for their paths in an image."""

_MUSL_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "armhf", 243: "riscv64", 21: "powerpc64le", 22: "s390x"}
_LARGEST_CONF = 1 << 16  # bytes
_MERGED = re.compile(r"/usr/lib(?:32|64|x32)?(?:/|$)")


@dataclass(frozen=True, slots=True)
class Found:
    """A shared library in a root, needed by ``by``.

    ``name`` is the path by which it is loaded, ``path`` that of the file itself, links followed; both are relative.
    """

    soname: str
    name: str
    path: str
    elf: Elf
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closure:
    """All that was needed, directly or not: what was found, by name, and what was not."""

    found: Mapping[str, Found]
    missing: tuple[Needed, ...]


class Linker:
    """The dynamic linker of ``root``, whose C library is of ``family``."""

    def __init__(self, root: Root, family: Family) -> None:
        self._root = root
        self._family = family
        self._conf = dict(_read_conf(root))
        self._elves: dict[str, Elf | None] = {}

    def find(self, soname: str, machine: Machine, folders: Iterable[str] = ()) -> Found | None:
        """The library that is loaded for ``soname``, looked for in ``folders`` before the system's own; or None.

        What is for another machine is passed over.
        """
        if "/" in soname:
            candidates = [soname] if soname.startswith("/") else []
        else:
            system = library_folders(machine, self._family, self._conf)
            candidates = [f"{folder}/{soname}" for folder in (*folders, *system)]
        for candidate in candidates:
            path = self._root.resolve(candidate)
            elf = self._elf(path) if path else None
            if path and elf and elf.machine == machine:
                return Found(soname, candidate.lstrip("/"), path, elf)
        return None

    def resolve(self, needs: Iterable[Needed]) -> Closure:
        """Find what ``needs`` name, what that needs in turn, and so on; C libraries' own parts are left out."""
        found: dict[tuple[str, Machine], Found] = {}
        missing: dict[tuple[str, Machine], Needed] = {}
        queue = deque(need for need in needs if not need.libc)
        while queue:
            need = queue.popleft()
            key = need.soname, need.machine
            if key in found:
                found[key] = replace(found[key], by=_joined(found[key].by, need.by))
                continue
            library = self.find(need.soname, need.machine, need.folders)
            if library is None:
                known = missing.setdefault(key, need)
                missing[key] = replace(known, by=_joined(known.by, need.by))
                continue
            missing.pop(key, None)
            found[key] = replace(library, by=need.by)
            queue += self._needs_of(library, need.inherited)
        return Closure({soname: one for (soname, _), one in sorted(found.items())}, tuple(missing.values()))

    def _needs_of(self, library: Found, above: tuple[str, ...]) -> Iterator[Needed]:
        origin = "/" + posixpath.dirname(library.path)
        folders = search(library.elf, origin, above, self._family)
        versions = dict(library.elf.versions)
        for name in (name for name in library.elf.needed if not libc_of(name)):
            yield Needed(
                expanded(name, origin, library.elf.machine) or name,
                library.elf.machine,
                by=(library.soname,),
                versions=versions.get(name, ()),
                folders=folders.own,
                inherited=folders.inherited,
            )

    def _elf(self, path: str) -> Elf | None:
        if path not in self._elves:
            file = self._root.open(path)
            if file is None:
                self._elves[path] = None
            else:
                with file:
                    self._elves[path] = read_elf(file)
        return self._elves[path]


def provided(
    paths: Iterable[str], machine: Machine, family: Family, conf: Mapping[str, bytes] | None = None
) -> frozenset[str]:
    """The names of the libraries that an image has where its dynamic linker looks; ``paths`` are all its files.

    Paths are relative. ``conf`` are the files among them that :data:`CONF` matches. What is at a path is not read.
    """
    folders = {_merged(folder) for folder in library_folders(machine, family, conf or {})}
    found = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if ".so" in name and _merged(f"/{folder}") in folders:
            found.add(name)
    return frozenset(found)


def library_folders(machine: Machine, family: Family, conf: Mapping[str, bytes]) -> tuple[str, ...]:
    """The absolute folders in which a system's libraries are, in order; ``conf`` are its :data:`CONF` files by path."""
    if family == "musl":
        path = f"etc/ld-musl-{_MUSL_MACHINES.get(machine.number, '')}.path"
        text = conf.get(path, b"/lib:/usr/local/lib:/usr/lib").decode("utf-8", "backslashreplace")
        named = [part.strip() for part in re.split(r"[:\n]", text)]
        return tuple(dict.fromkeys(folder for folder in named if folder.startswith("/")))
    own = triplet(machine)
    others = TRIPLETS - {own}
    multiarch = [f"/lib/{own}", f"/usr/lib/{own}"] if own else []
    wide = ["/lib64", "/usr/lib64"] if machine.bits == 64 else []
    named = [*_named(conf, "etc/ld.so.conf", set()), *multiarch, *wide, "/lib", "/usr/lib"]
    return tuple(dict.fromkeys(folder for folder in named if posixpath.basename(folder) not in others))


def _named(conf: Mapping[str, bytes], path: str, seen: set[str]) -> Iterator[str]:
    """The folders that the file at ``path`` names, and those that it includes (ldconfig(8))."""
    if path in seen:
        return
    seen.add(path)
    for line in conf.get(path, b"").decode("utf-8", "backslashreplace").splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] == "include":
            patterns = [posixpath.join("/", posixpath.dirname(path), word) for word in words[1:]]
            for name in (name for pattern in patterns for name in sorted(conf) if fnmatchcase(f"/{name}", pattern)):
                yield from _named(conf, name, seen)
        elif words and words[0].startswith("/"):
            yield posixpath.normpath(words[0])


def _read_conf(root: Root) -> Iterator[tuple[str, bytes]]:
    paths = [f"etc/ld.so.conf.d/{name}" for name in root.names("etc/ld.so.conf.d")]
    paths += [f"etc/{name}" for name in root.names("etc")]
    for path in paths:
        if re.fullmatch(CONF, path) and (text := root.read(path, _LARGEST_CONF)):
            yield path, text


def _merged(folder: str) -> str:
    """One name for both of /lib and /usr/lib: with a merged /usr they are the same, else the linker looks in both."""
    return folder.removeprefix("/usr") if _MERGED.match(folder) else folder


def _joined(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))

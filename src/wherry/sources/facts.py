"""What the files of a base image tell of it: its Pythons, its packages, its C library. Nothing of it is run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherry.image import Image
from wherry.layers.entry import relative
from wherry.sources.base import Facts
from wherry.sources.files import Files, files
from wherry.store import Store
from wherry.target import Interpreter, Libc

_USUAL = ("usr/local/bin", "usr/bin", "bin")
_PYTHON = r"python(3(\.\d+)?)?"
_MUSL = r"(?:.*/)?ld-musl-[^/]+\.so\.1"
_GLIBC = r"(?:.*/)?(?:libc\.so\.6|libc-2\.\d+\.so)"
TELLING = (
    rf"{_MUSL}|{_GLIBC}|(?:.*/)?include/python3\.\d+/patchlevel\.h"
    r"|var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|lib/apk/db/installed|usr/lib/apk/db/installed"
    r"|etc/os-release|usr/lib/os-release"
)
"""The files whose bytes tell something, as a regular expression for their paths."""


def read_facts(found: Files, image: Image, store: Store) -> Facts:
    """The facts that ``found``, the files of ``image``, tell."""
    interpreters = []
    for path, executable, minor in _pythons(found, image.config.runtime.environment().get("PATH", "")):
        version = _version(found, image, path, minor) or _embedded_version(image, store, path, minor) or f"{minor}.0"
        interpreters.append(Interpreter(version, f"/{executable}"))
    return Facts(_libc(found, image, store), tuple(interpreters))


# -- Python --------------------------------------------------------------------------------------------


def _pythons(found: Files, path: str) -> Iterator[tuple[str, str, str]]:
    """Real path, path to call it by, and minor version of each CPython on ``path`` or in the usual folders."""
    folders = [relative(folder) for folder in path.split(":") if folder.startswith("/") and ".." not in folder]
    names: dict[str, list[str]] = {}
    for candidate in found.entries:
        folder, _, name = candidate.rpartition("/")
        if re.fullmatch(_PYTHON, name):
            names.setdefault(folder, []).append(name)
    seen = set()
    for folder in dict.fromkeys([*folders, *_USUAL]):
        real_folder = found.resolve(folder)
        for name in sorted(names.get(real_folder or "", ()), key=_preference):
            real = found.resolve(f"{folder}/{name}")
            if real is None or real in seen or found.entries[real].kind not in {"file", "hardlink"}:
                continue
            if minor := _minor(found, real) or _minor(found, name):
                seen.add(real)
                versioned = f"{folder}/python{minor}"
                yield real, versioned if found.resolve(versioned) == real else f"{folder}/{name}", minor


def _preference(name: str) -> tuple[int, int]:
    """``python3`` before ``python`` before ``python3.14`` before ``python3.9``."""
    order = {"python3": 0, "python": 1}
    return order.get(name, 2), -int(name.rpartition(".")[2]) if "." in name else 0


def _minor(found: Files, real: str) -> str | None:
    """The minor version of the interpreter at ``real``: its name tells, or the standard library beside it."""
    if match := re.search(r"python(3\.\d+)[^/]*$", real):
        return match[1]
    prefix = real.rpartition("/")[0].rpartition("/")[0]
    for path in found.entries:
        if match := re.fullmatch(rf"{re.escape(prefix)}/lib/python(3\.\d+)/os\.py", path):
            return match[1]
    return None


def _version(found: Files, image: Image, real: str, minor: str) -> str | None:
    """The full version of the interpreter at ``real``, as packages, headers or the environment tell it."""
    if real.startswith("usr/bin/"):
        for package, version in (*dpkg(found), *_apk(found)):
            if package in {f"python{minor}-minimal", f"python{minor}", "python3"} and (
                match := re.match(rf"(?:\d+:)?({re.escape(minor)}\.\d+)(?:~?((?:a|b|rc)\d+))?", version)
            ):
                return match[1] + (match[2] or "")
    prefix = real.rpartition("/")[0].rpartition("/")[0]
    header = found.read(f"{prefix}/include/python{minor}/patchlevel.h")
    if header and (match := re.search(r'#define\s+PY_VERSION\s+"([^"+]+)', header.decode("utf-8", "replace"))):
        return match[1]
    declared = image.config.runtime.environment().get("PYTHON_VERSION", "")
    if real.startswith("usr/local/") and re.fullmatch(rf"{re.escape(minor)}\.\d+(?:(?:a|b|rc)\d+)?", declared):
        return declared
    return None


def _embedded_version(image: Image, store: Store, real: str, minor: str) -> str | None:
    """The version that the interpreter, or its library, holds as a string."""
    folder = real.rpartition("/")[0].rpartition("/")[0]
    library = rf"{re.escape(folder)}/lib(?:/[^/]+)?/libpython{re.escape(minor)}\.so\.1\.0"
    held = files(image, store, rf"{re.escape(real)}|{library}").data
    text = re.compile(rb"\0(%s\.\d+(?:(?:a|b|rc)\d+)?)\+?\0" % re.escape(minor.encode()))
    for data in held.values():
        if match := text.search(data):
            return match[1].decode()
    return None


# -- packages ------------------------------------------------------------------------------------------


def dpkg(found: Files) -> Iterator[tuple[str, str]]:
    """Name and version of each installed Debian package."""
    for stanza in dpkg_stanzas(found):
        fields = dict(re.findall(r"^(Package|Version): *(\S+)", stanza, re.M))
        if "Package" in fields and "Version" in fields:
            yield fields["Package"], fields["Version"]


def dpkg_stanzas(found: Files) -> Iterator[str]:
    """The control paragraph of each installed Debian package, from dpkg's status file or from status.d."""
    for path, data in found.data.items():
        if path == "var/lib/dpkg/status" or (
            path.startswith("var/lib/dpkg/status.d/") and not path.endswith(".md5sums")
        ):
            for stanza in data.decode("utf-8", "replace").split("\n\n"):
                status = re.search(r"^Status: *(.*)", stanza, re.M)
                if stanza.strip() and (status is None or status[1].endswith(" installed")):
                    yield stanza.strip("\n")


def os_release(found: Files) -> dict[str, str]:
    """The fields of os-release(5)."""
    text = (found.read("etc/os-release") or found.read("usr/lib/os-release") or b"").decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _apk(found: Files) -> Iterator[tuple[str, str]]:
    for path in ("lib/apk/db/installed", "usr/lib/apk/db/installed"):
        for stanza in (found.read(path) or b"").decode("utf-8", "replace").split("\n\n"):
            fields = dict(re.findall(r"^([PV]):(\S+)", stanza, re.M))
            if len(fields) == 2:
                yield fields["P"], fields["V"]


# -- the C library -------------------------------------------------------------------------------------


def _libc(found: Files, image: Image, store: Store) -> Libc | None:
    libraries: dict[str, Libc] = {}
    for path, data in found.data.items():
        if re.fullmatch(_MUSL, path) and (match := re.search(rb"\0(1)\.(\d+)\.\d+[^\0\s]*\0", data)):
            libraries.setdefault("musl", Libc("musl", int(match[1]), int(match[2])))
        elif re.fullmatch(_GLIBC, path) and (version := _glibc(data)):
            libraries.setdefault("glibc", version)
    if len(libraries) == 2:
        return libraries[_loader_family(found, image, store)]
    return next(iter(libraries.values()), None)


def _glibc(data: bytes) -> Libc | None:
    """The version in glibc's banner, or the newest that its symbols have."""
    if match := re.search(rb"GNU C Library [^\n\0]*version (\d+)\.(\d+)", data):
        return Libc("glibc", int(match[1]), int(match[2]))
    minors = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)\0", data)]
    return Libc("glibc", 2, max(minors)) if minors else None


def _loader_family(found: Files, image: Image, store: Store) -> str:
    """Which of two C libraries the image's first Python is linked to: its ELF header names the loader."""
    path = image.config.runtime.environment().get("PATH", "")
    for real, _, _ in _pythons(found, path):
        head = files(image, store, re.escape(real)).data.get(real, b"")
        if match := re.search(rb"\0(/[^\0]*/ld-[^\0]+)\0", head[:4096]):
            return "musl" if b"ld-musl" in match[1] else "glibc"
    return "glibc"

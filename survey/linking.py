"""Whether an image's extension modules can be loaded, as far as their headers tell."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from survey.images import Contents
from wherry.wheels.elf import libc_of

FOREIGN = " is for "
"""What remarks on files for another machine have in them."""

MACHINES = {"amd64": 62, "arm64": 183}
_NAMES = {3: "x86", 40: "32-bit Arm", 62: "x86-64", 183: "AArch64"}
_EXTENSION = re.compile(r"\.(cpython-\d+[^/]*|abi3)\.so")
_LIBC = re.compile(r"(ld-|libc\.musl-|libc\.so|linux-vdso)")


def extensions(contents: Contents) -> int:
    """How many extension modules there are, by their names."""
    return sum(1 for path in contents.elves if _EXTENSION.search(path))


def wrong(contents: Contents, architecture: str, libc: str) -> Iterator[str]:
    """What cannot be: files for another machine, for the other C library, or that need what is nowhere in the image.

    A library counts as found if it is in a folder of the system, or anywhere in the environment: there the package's
    own paths, or its code, have to lead to it.
    """
    known = {posixpath.basename(path) for path in contents.elves}
    known |= {elf.soname for elf in contents.elves.values()} | contents.libraries
    lacking: dict[str, list[str]] = {}
    for path, elf in sorted(contents.elves.items()):
        name = posixpath.basename(path)
        if elf.machine.number != MACHINES[architecture]:
            machine = _NAMES.get(elf.machine.number, str(elf.machine.number))
            yield f"{name}{FOREIGN}{machine}"
            continue
        for needed in (*elf.needed, *([posixpath.basename(elf.interp)] if elf.interp else [])):
            if libc_of(needed) not in {"", libc}:
                yield f"{name} needs {needed}"
            elif posixpath.basename(needed) not in known and not _LIBC.match(needed):
                lacking.setdefault(needed, []).append(name)
    for needed, names in sorted(lacking.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{needed} is not there for {names[0]}{more}"

"""Images read from the store's files alone: what a dynamic linker would find, and what was installed."""

from __future__ import annotations

import json
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import HeaderParser
from functools import cached_property, lru_cache
from pathlib import Path

from wherry.wheels.elf import MAGIC, Elf, read_elf

ENVIRONMENT = "opt/venv"
_IN_MEMORY = 64 << 20
_SYSTEM = ("lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib")


@dataclass(frozen=True)
class Installed:
    """A distribution in the environment: its version, and the tags of the wheel that it came from."""

    version: str
    tags: tuple[str, ...]


@dataclass
class Contents:
    """What an image holds: names of all files, the ELF files of the environment, and distributions by name."""

    size: int = 0
    paths: set[str] = field(default_factory=set)
    elves: dict[str, Elf] = field(default_factory=dict)
    distributions: dict[str, Installed] = field(default_factory=dict)

    @cached_property
    def libraries(self) -> frozenset[str]:
        """Names of the files that are where a dynamic linker looks by itself."""
        return frozenset(posixpath.basename(path) for path in self.paths if _is_system(posixpath.dirname(path)))


def contents(store: Path, digest: str) -> Contents:
    """Read all layers of the image whose manifest is ``digest``."""
    manifest = json.loads(_blob(store, digest).read_text())
    found = Contents()
    for layer in manifest["layers"]:
        found.size += layer["size"]
        one = _layer(store, layer["digest"])
        found.paths |= one.paths
        found.elves |= one.elves
        found.distributions |= one.distributions
    return found


def _is_system(folder: str) -> bool:
    parent, _, last = folder.rpartition("/")
    return folder in _SYSTEM or (parent in _SYSTEM and last.endswith(("-linux-gnu", "-linux-musl")))


def _blob(store: Path, digest: str) -> Path:
    return store / "blobs" / "sha256" / digest.partition(":")[2]


@lru_cache(maxsize=32)
def _layer(store: Path, digest: str) -> Contents:
    found = Contents()
    texts: dict[str, dict[str, str]] = {}
    with tarfile.open(_blob(store, digest), "r|*") as archive:
        for member in archive:
            path = member.name.strip("./")
            found.paths.add(path)
            if not member.isfile() or not path.startswith(f"{ENVIRONMENT}/"):
                continue
            folder, _, name = path.rpartition("/")
            if folder.endswith(".dist-info") and name in {"METADATA", "WHEEL"}:
                file = archive.extractfile(member)
                assert file is not None
                texts.setdefault(folder, {})[name] = file.read().decode("utf-8", "replace")
            elif (elf := _elf(archive, member)) is not None:
                found.elves[path] = elf
    found.distributions = dict(_installed(texts))
    return found


def _elf(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Elf | None:
    file = archive.extractfile(member)
    assert file is not None
    if (start := file.read(len(MAGIC))) != MAGIC:
        return None
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
        copy.write(start)
        shutil.copyfileobj(file, copy, 1 << 20)
        return read_elf(copy)


def _installed(texts: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, Installed]]:
    parser = HeaderParser()
    for files in texts.values():
        if "METADATA" not in files or "WHEEL" not in files:
            continue
        metadata, wheel = parser.parsestr(files["METADATA"]), parser.parsestr(files["WHEEL"])
        name = str(metadata["Name"]).lower().replace("_", "-").replace(".", "-")
        yield name, Installed(str(metadata["Version"]), tuple(map(str, wheel.get_all("Tag", []))))

"""Wheels that were built here: kept among the store's files, and as blobs, from which other machines can get them."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import WherryError
from wherry.fetch import Download
from wherry.image import Digest
from wherry.image.json import Json, JsonObject, as_int, as_list, as_str
from wherry.store import Store
from wherry.store.files import storing
from wherry.wheels.distribution import Distribution


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library that a wheel needs from elsewhere: its SONAME, and the package that it came from, if one did."""

    soname: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Built:
    """A wheel that was built, its file, and the libraries that it takes from the system."""

    distribution: Distribution
    path: Path
    libraries: tuple[Library, ...] = ()


def keep(wheel: Path, store: Store, *, what: object, libraries: Iterable[Library] = ()) -> JsonObject:
    """Move ``wheel`` into the store; gives what :func:`recall` needs to find it. ``what`` it is of, for errors."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise WherryError(f"the backend of {what} made a wheel with a bad name: {error}") from None
    with wheel.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    size = wheel.stat().st_size
    with wheel.open("rb") as file, store.blobs.writer() as blob:
        shutil.copyfileobj(file, blob)
        blob.commit()
    path = _path(digest, store)
    path.parent.mkdir(parents=True, exist_ok=True)
    wheel.replace(path)
    listed: list[Json] = [[one.soname, one.package] for one in libraries]
    found: JsonObject = {"name": str(name), "version": str(version), "file": wheel.name, "sha256": digest, "size": size}
    return {**found, "libraries": listed} if listed else found


def needs(value: JsonObject) -> list[Digest]:
    """The blobs that :func:`recall` will want."""
    return [Digest(f"sha256:{as_str(value['sha256'], 'sha256')}")]


def recall(value: JsonObject | None, store: Store, *, direct_url: str = "") -> Built | None:
    """What ``value`` says was built, with its file, if that can still be had."""
    if value is None:
        return None
    what = "a built wheel"
    digest = as_str(value.get("sha256"), what)
    path = _path(digest, store)
    if not path.is_file():
        blob = Digest(f"sha256:{digest}")
        store.blobs.bring((blob,))
        if not store.blobs.has(blob):
            return None
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            copy = store.scratch() / f"wheel-{os.urandom(8).hex()}"
            shutil.copyfile(store.blobs.path(blob), copy)
            copy.replace(path)
    name = as_str(value.get("file"), what)
    download = Download(path.as_uri(), {"sha256": digest}, as_int(value.get("size"), what), name)
    pairs = [as_list(item, what) for item in as_list(value.get("libraries", []), what)]
    return Built(
        Distribution(as_str(value.get("name"), what), as_str(value.get("version"), what), download, direct_url),
        path,
        tuple(Library(as_str(soname, what), as_str(package, what)) for soname, package in pairs),
    )


def metadata(path: Path) -> dict[str, tuple[str, ...]]:
    """The core metadata of the wheel at ``path``: each field's values, by its name in small letters."""
    from email.parser import HeaderParser

    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            message = HeaderParser().parsestr(archive.read(name).decode(errors="replace"))
    except (zipfile.BadZipFile, StopIteration, KeyError):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for field, text in message.items():
        found[field.lower()] = (*found.get(field.lower(), ()), str(text))
    return found


def _path(digest: str, store: Store) -> Path:
    return store.files / "sha256" / digest

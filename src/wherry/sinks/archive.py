"""Images as one file: an OCI image layout in a tar, and the same with Docker's manifest.json.

The files in it are always the same for the same image and names: fixed order, no times, no owners.
OCI image-spec, image-layout.md; Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from wherry.errors import StoreError
from wherry.image import Descriptor, Digest, Image, Index, Reference
from wherry.image.digest import encoded
from wherry.image.json import Json, dump
from wherry.image.mediatype import OCI_INDEX
from wherry.layers import tar
from wherry.layers.entry import Entry
from wherry.sources.content import Content
from wherry.store.blobs import Blobs
from wherry.store.names import REF_NAME

IMAGE_NAME = "io.containerd.image.name"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

_PIECE = 1 << 20

Advance = Callable[[int], None]
Data = bytes | Path


def files(parts: Iterable[Descriptor], blobs: Blobs) -> dict[Digest, Path]:
    """The files that hold ``parts``, fetched if need be. Raises :class:`StoreError`."""
    wanted = {part.digest: part for part in parts}
    blobs.bring(wanted)
    return {digest: blob_file(part, blobs) for digest, part in wanted.items()}


def blob_file(part: Descriptor, blobs: Blobs) -> Path:
    """The file that holds ``part``. Raises :class:`StoreError` if it is not there as it should be."""
    path = blobs.file(part.digest)
    if not path.is_file() or path.stat().st_size != part.size:
        raise StoreError(f"blob {part.digest} is missing from the store, or damaged there", hint="Build again.")
    return path


def entries(image: Image | Index, names: Sequence[str]) -> list[Descriptor]:
    """What index.json lists: the image once for each name, with the name as containerd and BuildKit note it."""
    return [image.descriptor.annotated(_named(name)) for name in names] or [image.descriptor]


def _named(name: str) -> dict[str, str]:
    reference = Reference.parse(name)
    return {IMAGE_NAME: str(reference), REF_NAME: reference.tag} if reference.tag else {IMAGE_NAME: str(reference)}


def index_json(manifests: Iterable[Json]) -> bytes:
    """The text of an index.json."""
    return dump({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)})


def write_oci_archive(
    file: IO[bytes], content: Content, listed: Sequence[Descriptor], blobs: Blobs, advance: Advance
) -> None:
    """Write ``content`` to ``file`` as an OCI image layout in a tar, whose index.json has ``listed``."""
    documents = {"index.json": index_json(one.to_json() for one in listed), "oci-layout": LAYOUT}
    _write(file, documents, files(content.parts, blobs), advance)


def write_docker_archive(
    file: IO[bytes], image: Image, content: Content, names: Sequence[str], blobs: Blobs, advance: Advance
) -> None:
    """Write ``image``, which is ``content``, to ``file`` in the form that ``docker load`` of any age reads.

    It is an OCI archive, too.
    """
    documents = {
        "index.json": index_json(one.to_json() for one in entries(image, names)),
        "manifest.json": dump([_docker_manifest(image, names)]),
        "oci-layout": LAYOUT,
    }
    _write(file, documents, files(content.parts, blobs), advance)


def _docker_manifest(image: Image, names: Sequence[str]) -> Json:
    return {
        "Config": _path(image.id),
        "RepoTags": [Reference.parse(name).familiar for name in names],
        "Layers": [_path(layer.descriptor.digest) for layer in image.layers],
    }


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{encoded(digest)}"


def _write(file: IO[bytes], documents: Mapping[str, bytes], blobs: Mapping[Digest, Data], advance: Advance) -> None:
    # The documents come first: who reads a stream knows what to look for before it goes by.
    for name, data in documents.items():
        _add(file, name, data, advance)
    for directory in ("blobs", "blobs/sha256"):
        file.write(tar.header(Entry(directory, "dir", 0o755)))
    for digest in sorted(blobs):
        _add(file, _path(digest), blobs[digest], advance)
    file.write(tar.END)


def _add(file: IO[bytes], name: str, content: Data, advance: Advance) -> None:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    file.write(tar.header(Entry(name, "file", size=size)))
    written = copy(content, file, advance)
    if written != size:
        raise StoreError(f"{name} changed while it was read")
    file.write(tar.padding(size))


def copy(content: Data, file: IO[bytes], advance: Advance) -> int:
    """Write ``content`` to ``file``; gives the number of bytes."""
    if isinstance(content, bytes):
        file.write(content)
        return len(content)
    count = 0
    with content.open("rb", buffering=0) as source:
        while piece := source.read(_PIECE):
            file.write(piece)
            advance(len(piece))
            count += len(piece)
    return count

"""Images as a directory: an OCI image layout (OCI image-spec, image-layout.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.errors import UsageError
from wherry.image import Descriptor, Digest
from wherry.image.digest import encoded
from wherry.image.json import Json, as_list, as_object, load_object
from wherry.sinks.archive import LAYOUT, Advance, Data, copy, files, index_json
from wherry.sinks.destination import opened, write_file, writing
from wherry.sources.content import Content
from wherry.store.blobs import Blobs
from wherry.store.names import REF_NAME


def write_layout(root: Path, content: Content, listed: Sequence[Descriptor], blobs: Blobs, advance: Advance) -> int:
    """Add ``content`` to the layout in the directory ``root``, whose index.json will have ``listed``.

    Gives the bytes that were written; what the layout has is not fetched. See :func:`add_to_layout`.
    """
    lacking = [part for part in content.parts if not _has(root, part.digest, part.size)]
    advance(sum(part.size for part in content.parts) - sum(part.size for part in lacking))
    return add_to_layout(root, files(lacking, blobs), [one.to_json() for one in listed], advance)


def add_to_layout(
    root: Path, blobs: Mapping[Digest, Data], listed: Sequence[Mapping[str, Json]], advance: Advance
) -> int:
    """Add ``blobs`` to the layout in the directory ``root``, made if it is not there, and ``listed`` to its index.json.

    Other images in it stay; those of the same tags are replaced. The new ones show when all of them is there.
    Gives the bytes that were written. Raises :class:`UsageError` if the directory holds something else.
    """
    expect_layout(root)
    folder = root / "blobs" / "sha256"
    with writing(root):
        folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for digest, data in blobs.items():
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        if _has(root, digest, size):
            advance(size)
            continue
        with opened(str(folder / encoded(digest))) as file:
            written += copy(data, file, advance)
    write_file(root / "oci-layout", LAYOUT)
    write_file(root / "index.json", index_json(_with(_listed(root / "index.json"), listed)))
    return written


def expect_layout(root: Path) -> None:
    """Raise :class:`UsageError` if what is at ``root`` is no place for a layout."""
    with writing(root):
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file", hint="Name a directory.")
        if root.is_dir() and not (root / "oci-layout").exists() and any(root.iterdir()):
            raise UsageError(f"{root} is neither empty nor an image layout", hint="Name a new directory.")


def _has(root: Path, digest: Digest, size: int) -> bool:
    path = root / "blobs" / "sha256" / encoded(digest)
    return path.is_file() and path.stat().st_size == size


def _listed(path: Path) -> list[Json]:
    if not os.path.lexists(path):
        return []
    with writing(path):
        return list(as_list(load_object(path.read_bytes(), str(path)).get("manifests"), f"{path}: manifests"))


def _with(there: list[Json], added: Sequence[Mapping[str, Json]]) -> list[Json]:
    """``there`` without what ``added`` takes the place of (the same tag, or none), then ``added``."""
    taken = {_tag(item) for item in added}
    return [item for item in there if _tag(item) not in taken] + list(added)


def _tag(item: Json) -> Json:
    annotations = as_object(as_object(item, "a manifest").get("annotations"), "annotations")
    return annotations.get(REF_NAME)

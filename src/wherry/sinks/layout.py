"""Images as a directory: an OCI image layout (OCI image-spec, image-layout.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wherry.errors import UsageError
from wherry.image import Digest, Image, Index
from wherry.image.digest import encoded
from wherry.image.json import Json, as_list, as_object, load_object
from wherry.sinks.archive import LAYOUT, Advance, Content, contents, copy, descriptors, index_json
from wherry.sinks.destination import opened, write_file, writing
from wherry.store.blobs import Blobs
from wherry.store.names import REF_NAME


def write_layout(dest: str, image: Image | Index, names: Sequence[str], blobs: Blobs, advance: Advance) -> None:
    """Add ``image`` to the layout in the directory ``dest``, made if it is not there.

    Other images in it stay; those of the same tags are replaced. The new image shows when all of it is there.
    Raises :class:`UsageError` if the directory holds something else.
    """
    add_to_layout(Path(dest), contents(image, blobs), descriptors(image, names), advance)


def add_to_layout(
    root: Path, blobs: Mapping[Digest, Content], listed: Sequence[Mapping[str, Json]], advance: Advance
) -> None:
    """As :func:`write_layout`, for any ``blobs``; ``listed`` are the descriptors that index.json gets."""
    dest = str(root)
    with writing(dest):
        if root.exists() and not root.is_dir():
            raise UsageError(f"{dest} is a file", hint="Name a directory.")
        if root.is_dir() and not (root / "oci-layout").exists() and any(root.iterdir()):
            raise UsageError(f"{dest} is neither empty nor an image layout", hint="Name a new directory.")
        folder = root / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
    for digest, content in blobs.items():
        path = folder / encoded(digest)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if path.is_file() and path.stat().st_size == size:
            advance(size)
            continue
        with opened(str(path)) as file:
            copy(content, file, advance)
    write_file(root / "oci-layout", LAYOUT)
    write_file(root / "index.json", index_json(_with(_listed(root / "index.json"), listed)))


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

"""The names of the images in a layout: its index.json (OCI image-spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wherry.image.descriptor import Descriptor
from wherry.image.json import Json, as_list, as_object, dump, load_object
from wherry.image.mediatype import OCI_INDEX
from wherry.store.files import storing, write_atomic

REF_NAME = "org.opencontainers.image.ref.name"


def read_index(path: Path) -> tuple[Descriptor, ...]:
    """The descriptors in the index.json at ``path``; none if there is no such file."""
    with storing(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
    manifests = as_list(load_object(data, str(path)).get("manifests"), f"{path}: manifests")
    return tuple(Descriptor.from_json(as_object(item, f"{path}: manifest")) for item in manifests)


def write_index(path: Path, descriptors: Iterable[Descriptor], scratch: Path) -> None:
    """Replace the index.json at ``path``."""
    manifests: Json = [descriptor.to_json() for descriptor in descriptors]
    value: dict[str, Json] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    write_atomic(path, dump(value), scratch)


def name_of(descriptor: Descriptor) -> str:
    """The name that an index gives to ``descriptor``, or an empty one."""
    return descriptor.annotations.get(REF_NAME, "")

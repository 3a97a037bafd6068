"""Image index (OCI image-spec, image-index.md): one name for the images of several platforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest, digest_of
from wherry.image.image import Image
from wherry.image.json import Json, dump
from wherry.image.mediatype import OCI_INDEX


@dataclass(frozen=True)
class Index:
    """Images of one application, one for each platform.

    ``source`` is the index as it was read; without it, it is written by us.
    """

    images: tuple[Image, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    source: tuple[str, bytes] | None = None
    """(media type, index), byte for byte as read."""
    descriptor_annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the descriptor that names the index."""

    @cached_property
    def manifest_bytes(self) -> bytes:
        """The index's JSON text."""
        if self.source:
            return self.source[1]
        value: dict[str, Json] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [image.descriptor.to_json() for image in self.images],
        }
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        return dump(value)

    @cached_property
    def descriptor(self) -> Descriptor:
        """The index's own descriptor."""
        media_type = self.source[0] if self.source else OCI_INDEX
        data = self.manifest_bytes
        return Descriptor(media_type, digest_of(data), len(data), self.descriptor_annotations)

    @property
    def id(self) -> Digest:
        """What stands for an image ID where there are several: the index's digest."""
        return self.digest

    @property
    def digest(self) -> Digest:
        """The index's digest."""
        return self.descriptor.digest

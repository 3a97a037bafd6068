"""An image for one platform, as a value: configuration and layers; its manifest follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from wherry.image.config import ImageConfig
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest, digest_of, parse_digest
from wherry.image.json import Json, JsonObject, as_int, as_object, as_str, dump
from wherry.image.mediatype import DOCKER_LAYER_GZIP, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the blob as it is stored, the digest of its tar stream, and that stream's length in bytes.

    ``size`` is 0 where nobody has read the stream yet (a layer of a base made by somebody else).
    """

    descriptor: Descriptor
    diff_id: Digest
    size: int = 0

    def to_json(self) -> dict[str, Json]:
        """The form that a cache entry holds."""
        return {"descriptor": self.descriptor.to_json(), "diffId": self.diff_id, "size": self.size}

    @classmethod
    def from_json(cls, value: JsonObject) -> Layer:
        """Read what :meth:`to_json` wrote."""
        return cls(
            Descriptor.from_json(as_object(value.get("descriptor"), "a layer's descriptor")),
            parse_digest(as_str(value.get("diffId"), "a layer's diff ID")),
            as_int(value.get("size"), "a layer's size"),
        )


@dataclass(frozen=True)
class Image:
    """An image. ``config.diff_ids`` and ``layers`` always agree (build one with :meth:`of`).

    ``source`` is the manifest that the image was read from; without it, it is written by us.
    """

    config: ImageConfig
    layers: tuple[Layer, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    source: tuple[str, bytes, bytes] | None = None
    """(media type, manifest, config), byte for byte as read."""
    descriptor_annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the descriptor that names the manifest in an index."""

    @classmethod
    def of(cls, config: ImageConfig, layers: tuple[Layer, ...], annotations: Mapping[str, str]) -> Image:
        """An image of ``layers`` whose configuration lists just those."""
        return cls(replace(config, diff_ids=tuple(layer.diff_id for layer in layers)), layers, dict(annotations))

    def rewritten(
        self, *, layers: tuple[Layer, ...] | None = None, annotations: Mapping[str, str] | None = None
    ) -> Image:
        """The same image with another (OCI) manifest; the configuration, and so the image ID, stays as it is.

        ``layers`` are the same layers compressed in another way.
        """
        layers = self.layers if layers is None else layers
        annotations = self.annotations if annotations is None else dict(annotations)
        source = None
        if self.source:
            layers = tuple(_oci(layer) for layer in layers)
            source = (OCI_MANIFEST, _manifest(self.config_bytes, layers, annotations), self.config_bytes)
        return replace(self, layers=layers, annotations=annotations, source=source)

    @cached_property
    def config_bytes(self) -> bytes:
        """The configuration's JSON text."""
        return self.source[2] if self.source else self.config.to_bytes()

    @cached_property
    def manifest_bytes(self) -> bytes:
        """The manifest's JSON text (OCI image-spec, manifest.md)."""
        if self.source:
            return self.source[1]
        return _manifest(self.config_bytes, self.layers, self.annotations)

    @cached_property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor, with the platform."""
        media_type = self.source[0] if self.source else OCI_MANIFEST
        data = self.manifest_bytes
        return Descriptor(
            media_type, digest_of(data), len(data), self.descriptor_annotations, platform=self.config.platform
        )

    @property
    def digest(self) -> Digest:
        """The manifest's digest: what ``name@digest`` refers to."""
        return self.descriptor.digest

    @property
    def id(self) -> Digest:
        """The configuration's digest: what ``docker images`` calls the image ID."""
        return digest_of(self.config_bytes)


def _manifest(config_bytes: bytes, layers: tuple[Layer, ...], annotations: Mapping[str, str]) -> bytes:
    config = Descriptor(OCI_CONFIG, digest_of(config_bytes), len(config_bytes))
    value: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.descriptor.to_json() for layer in layers],
    }
    if annotations:
        value["annotations"] = dict(sorted(annotations.items()))
    return dump(value)


def _oci(layer: Layer) -> Layer:
    """``layer`` with OCI's media type for what Docker's says: an OCI manifest holds no other."""
    if layer.descriptor.media_type != DOCKER_LAYER_GZIP:
        return layer
    return replace(layer, descriptor=replace(layer.descriptor, media_type=OCI_LAYER_GZIP))

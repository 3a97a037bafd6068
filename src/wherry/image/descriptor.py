"""Content descriptors (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wherry.errors import WherryError
from wherry.image.digest import Digest, parse_digest
from wherry.image.json import Json, JsonObject, as_int, as_object, as_str, as_string_map
from wherry.image.platform import Platform


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a piece of content is (media type), which (digest) and how large (bytes)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    def annotated(self, annotations: Mapping[str, str]) -> Descriptor:
        """The same descriptor with ``annotations`` added."""
        return replace(self, annotations={**self.annotations, **annotations})

    def to_json(self) -> dict[str, Json]:
        """The JSON form, fields in the specification's order."""
        value: dict[str, Json] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform:
            value["platform"] = self.platform.to_json()
        return value

    @classmethod
    def from_json(cls, value: JsonObject) -> Descriptor:
        """Read a descriptor. Raises :class:`WherryError` if a field is missing or of a wrong type."""
        size = as_int(value.get("size"), "a descriptor's size")
        if size < 0:
            raise WherryError("a descriptor's size is negative")
        platform = as_object(value.get("platform"), "a descriptor's platform")
        return cls(
            as_str(value.get("mediaType"), "a descriptor's mediaType"),
            parse_digest(as_str(value.get("digest"), "a descriptor's digest")),
            size,
            as_string_map(value.get("annotations"), "a descriptor's annotations"),
            Platform.from_json(platform) if platform else None,
        )

"""What a build made, in the two files that docker buildx writes: ``--iidfile`` and ``--metadata-file``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wherry.image import Digest, Image, Index, Platform, Reference
from wherry.image.json import Json


def image_id(image: Image | Index) -> Digest:
    """What buildx calls the image ID: the config's digest; for several platforms the index's."""
    return image.id if isinstance(image, Image) else image.digest


def write_image_id(path: Path, image: Image | Index) -> None:
    """Write the image ID to ``path``, without a newline."""
    from wherry.sinks.destination import write_file

    write_file(path, image_id(image).encode())


def metadata(
    image: Image | Index, names: Sequence[str] = (), bases: Iterable[tuple[str, Platform, str]] = ()
) -> Mapping[str, Json]:
    """Digests and names under buildx's keys. ``image.name`` holds the full names, comma-separated.

    ``bases`` are the images that the build began with: name, platform and digest of each, under ``wherry.bases``.
    """
    value: dict[str, Json] = {}
    if isinstance(image, Image):
        value["containerimage.config.digest"] = image.id
    value["containerimage.descriptor"] = image.descriptor.to_json()
    value["containerimage.digest"] = image.digest
    if names:
        value["image.name"] = ",".join(str(Reference.parse(name)) for name in names)
    if listed := [{"name": name, "platform": str(platform), "digest": digest} for name, platform, digest in bases]:
        value["wherry.bases"] = list[Json](listed)
    return value


def write_metadata(
    path: Path, image: Image | Index, names: Sequence[str] = (), bases: Iterable[tuple[str, Platform, str]] = ()
) -> None:
    """Write :func:`metadata` to ``path`` as JSON."""
    from wherry.sinks.destination import write_file

    write_file(path, (json.dumps(metadata(image, names, bases), indent=2) + "\n").encode())

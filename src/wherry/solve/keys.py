"""Cache keys: what a result was made from, as one short string."""

from __future__ import annotations

import hashlib

from wherry.image import Image
from wherry.image.json import Json, dump

_FORMAT = 1
"""Raised when the same inputs come to give another layer."""


def cache_key(kind: str, **parts: Json) -> str:
    """A key for the result of ``kind`` of work on ``parts``; the order of the parts does not matter."""
    ordered: Json = {name: parts[name] for name in sorted(parts)}
    return f"{kind}:{hashlib.sha256(dump([_FORMAT, ordered])).hexdigest()}"


def content_of(image: Image) -> Json:
    """What an image's files are, as part of a cache key.

    The digests of its blobs, and not its diff IDs: a base made by somebody else may claim another's.
    """
    return [layer.descriptor.digest for layer in image.layers]

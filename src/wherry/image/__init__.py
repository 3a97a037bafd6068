"""Values of the OCI image-spec: digest, descriptor, platform, reference, config, manifest, image.

Nothing here reads or writes anything; everything is immutable and compares by value.
"""

from wherry.image.config import History, ImageConfig, RuntimeConfig
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest, digest_of, parse_digest
from wherry.image.image import Image, Layer
from wherry.image.index import Index
from wherry.image.platform import Platform
from wherry.image.reference import Reference

__all__ = [
    "Descriptor",
    "Digest",
    "History",
    "Image",
    "ImageConfig",
    "Index",
    "Layer",
    "Platform",
    "Reference",
    "RuntimeConfig",
    "digest_of",
    "parse_digest",
]

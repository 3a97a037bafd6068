"""Results shared between machines (``--cache-to``, ``--cache-from``): by key, with the blobs that they are about.

A machine that has never seen a project learns from them what steps come to. The blobs stay where they are until
somebody reads them: a layer that is at the registry already need not come here to be in the next image.
"""

from wherry.sharing.exports import annotated, export_cache
from wherry.sharing.imports import borrowing
from wherry.sharing.place import CachePlace, parse_cache_from, parse_cache_to

__all__ = ["CachePlace", "annotated", "borrowing", "export_cache", "parse_cache_from", "parse_cache_to"]

"""The local store: an OCI image layout with a cache index beside it.

Blobs by digest, names in index.json, results by key, downloads by hash. Every write is atomic; any number
of processes may use one store at once.
"""

from wherry.store.store import Store

__all__ = ["Store"]

"""What a shared cache says: results by key, and the blobs that each is about; one compressed document.

The document is JSON in zstd: ``{"version": 1, "blobs": [descriptor …], "entries": [[key, value, [index of a blob …]]
…]}``. The keys are those of the store's cache index, hashes of all that a result depends on: whoever has the same key
would come to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wherry.errors import WherryError
from wherry.image import Descriptor, Digest
from wherry.image.json import Json, JsonObject, as_int, as_list, as_object, as_str, as_strings, dump, load_object
from wherry.store import Store
from wherry.store.cache import PARTS

DOCUMENT = "application/vnd.wherry.cache.v1+json+zstd"
ARTIFACT = "application/vnd.wherry.cache.v1"
PLAIN = "application/octet-stream"
"""What a blob that is no layer says of itself, such as the wheel of a project."""
ANNOTATION = "vnd.wherry.cache.v1"
"""Where a manifest holds the document of an image's own cache, in Base64."""

SHARED = (
    "claims ",
    "copy-content:",
    "copy-files:",
    "copy:",
    "debian-base:",
    "facts:",
    "install:",
    "lacking:",
    "layer of wheels ",
    "packages:",
    "project:",
    "resolve:",
    "run:",
    "stdlib:",
    "virtualenv:",
    "wheel:",
    "wheel-of:",
    "workdir:",
)
"""The kinds of results that mean the same on another machine.

Others speak of this one's folders, cost little, or are asked for only if one of these is missing: a build that has
found everything shares the same as one that has made it.
"""

_VERSION = 1
_LARGEST = 256 << 20  # bytes of a document as JSON
_LEVEL = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One result: what the store's cache index has under ``key``, and the blobs that it needs."""

    key: str
    value: JsonObject
    needs: tuple[Descriptor, ...]


def entries_of(keys: Iterable[str], store: Store) -> Iterator[Entry]:
    """The results under ``keys`` that another machine can use, and those that they were made of."""
    waiting = sorted(keys, reverse=True)
    seen: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key in seen or not key.startswith(SHARED):
            continue
        seen.add(key)
        value = store.cache.get(key)
        if value is not None:
            known = {one.digest: one for one in _descriptors(value)}
            needs = [known.get(digest) or _plain(digest, store) for digest in store.cache.needs(key)]
            yield Entry(key, value, tuple(needs))
            waiting += as_strings(value.get(PARTS), key)


def write_entries(entries: Iterable[Entry]) -> bytes:
    """The document of ``entries``; equal for equal ones."""
    import zstandard

    listed = sorted(entries, key=lambda entry: entry.key)
    blobs = {blob.digest: blob for entry in listed for blob in entry.needs}
    order = {digest: number for number, digest in enumerate(sorted(blobs))}
    rows: list[Json] = [[entry.key, dict(entry.value), [order[one.digest] for one in entry.needs]] for entry in listed]
    value: Json = {
        "version": _VERSION,
        "blobs": [blobs[digest].to_json() for digest in sorted(blobs)],
        "entries": rows,
    }
    return zstandard.ZstdCompressor(level=_LEVEL).compress(dump(value))


def read_entries(data: bytes, what: str) -> Mapping[str, Entry]:
    """The entries of a document, by key. Raises :class:`WherryError`, which calls it ``what``, if it is none."""
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as stream:
            text = stream.read(_LARGEST + 1)
    except zstandard.ZstdError as error:
        raise WherryError(f"{what} is damaged: {error}") from error
    if len(text) > _LARGEST:
        raise WherryError(f"{what} is larger than {_LARGEST} bytes")
    document = load_object(text, what)
    if as_int(document.get("version"), what) != _VERSION:
        raise WherryError(f"{what} is of a version that is not understood", hint="Write it anew with --cache-to.")
    blobs = [Descriptor.from_json(as_object(one, what)) for one in as_list(document.get("blobs"), what)]
    found: dict[str, Entry] = {}
    for row in as_list(document.get("entries"), what):
        items = as_list(row, what)
        if len(items) != 3:
            raise WherryError(f"{what} is damaged: an entry has {len(items)} parts")
        numbers = [as_int(number, what) for number in as_list(items[2], what)]
        if not all(0 <= number < len(blobs) for number in numbers):
            raise WherryError(f"{what} is damaged: an entry needs a blob that is not listed")
        key = as_str(items[0], what)
        if key.startswith(SHARED):
            found[key] = Entry(key, as_object(items[1], what), tuple(blobs[number] for number in numbers))
    return found


def _descriptors(value: Json) -> Iterator[Descriptor]:
    """All descriptors somewhere in a result."""
    if isinstance(value, Mapping):
        if {"mediaType", "digest", "size"} <= value.keys():
            yield Descriptor.from_json(value)
        for inner in value.values():
            yield from _descriptors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _descriptors(inner)


def _plain(digest: Digest, store: Store) -> Descriptor:
    """The descriptor of a blob that is no layer."""
    path = store.blobs.path(digest)
    size = path.stat().st_size if path.is_file() else store.origins.of(digest)[0].size
    return Descriptor(PLAIN, digest, size)

"""``--cache-from``: what a shared cache knows, for the length of a build."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import UsageError, WherryError
from wherry.events import Reporter
from wherry.fetch.attempts import Stopped
from wherry.image import Descriptor, Digest
from wherry.image.digest import digest_of, encoded
from wherry.image.json import JsonObject, as_list, as_object, as_str, as_string_map, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.sharing.entries import ANNOTATION, ARTIFACT, Entry, read_entries
from wherry.sharing.place import CachePlace
from wherry.sources.supply import LAYOUT, REPOSITORY
from wherry.store import Store
from wherry.store.names import name_of
from wherry.store.origins import Origin

if TYPE_CHECKING:
    from wherry.registry.registries import Registries
    from wherry.registry.repository import Repository

_LARGEST = 64 << 20  # bytes of a document as it is stored
_MOST_IMAGES = 32  # of an index, whose own caches are read


@contextmanager
def borrowing(places: Sequence[CachePlace], store: Store, registries: Registries, reporter: Reporter) -> Iterator[None]:
    """Within the block, the store's cache index also knows what ``places`` know; what is used is kept.

    A cache that is not there, or cannot be read, is told of and stops nothing.
    """
    with ExitStack() as stack:
        for place in places:
            with reporter.step(f"read the cache in {place}") as task:
                try:
                    found = _read(place, store, registries)
                except (Stopped, UsageError):
                    raise
                except WherryError as error:
                    reporter.note(f"no cache from {place}: {error.message}")
                    continue
                task.detail = f"{len(found.entries)} results"
            stack.enter_context(store.cache.borrowing(found))
        yield


class _Borrowed:
    """The entries of one place. A blob of one that is asked for is then known to be there."""

    def __init__(self, entries: Mapping[str, Entry], place: str, store: Store) -> None:
        self.entries = entries
        self._place = place
        self._store = store
        self._lent: set[Digest] = set()

    def __call__(self, key: str) -> tuple[JsonObject, Sequence[Digest]] | None:
        """The result under ``key``, and the blobs that it needs."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        missing = [one for one in entry.needs if not self._store.obtainable(one.digest)]
        if any(one.digest in self._lent for one in missing):
            return None  # it was said to be there, and was not
        self._lent |= {one.digest for one in missing}
        self._store.origins.add(Origin(one.digest, self._place, one.size) for one in missing)
        return entry.value, [one.digest for one in entry.needs]


def _read(place: CachePlace, store: Store, registries: Registries) -> _Borrowed:
    if place.kind == "local":
        return _Borrowed(_of_layout(place), f"{LAYOUT}{place.folder}", store)
    assert place.reference is not None
    reference = registries.hosts.resolve(place.reference.familiar)
    return _Borrowed(
        _of_registry(place, registries.places(reference), store),
        f"{REPOSITORY}{reference.host}/{reference.path}",
        store,
    )


def _of_registry(place: CachePlace, places: Sequence[Repository], store: Store) -> Mapping[str, Entry]:
    from wherry.registry.download import download

    assert place.reference is not None
    at = places[-1]  # a mirror may have an older one
    top = at.manifest(place.reference.digest or place.reference.tag)
    if top.media_type in INDEXES:
        listed = as_list(load_object(top.data, str(place)).get("manifests"), str(place))
        below = [Descriptor.from_json(as_object(one, str(place))) for one in listed]
        manifests = [at.manifest(one.digest).data for one in below[:_MOST_IMAGES] if one.media_type in MANIFESTS]
    else:
        manifests = [top.data]
    found: dict[str, Entry] = {}
    for data in manifests:
        manifest = load_object(data, str(place))
        document = _document(manifest, str(place))
        if document is not None:
            download([at], document, store, lambda size: None)
            found |= read_entries(store.blobs.read(document.digest), str(place))
        else:
            found |= _inline(manifest, str(place))
    return found


def _of_layout(place: CachePlace) -> Mapping[str, Entry]:
    index = load_object(_file(place.folder / "index.json"), f"{place.folder}: index.json")
    listed = [Descriptor.from_json(as_object(one, str(place))) for one in as_list(index.get("manifests"), str(place))]
    chosen = [one for one in listed if (one.digest == place.digest if place.digest else name_of(one) == place.tag)]
    if not chosen:
        tags = ", ".join(sorted(name_of(one) for one in listed)) or "none"
        raise WherryError(f"{place.folder} has no {place.digest or place.tag!r}; it has: {tags}")
    manifest = load_object(_blob(place.folder, chosen[0].digest), str(place))
    document = _document(manifest, str(place))
    if document is None:
        return _inline(manifest, str(place))
    return read_entries(_blob(place.folder, document.digest), str(place))


def _document(manifest: JsonObject, what: str) -> Descriptor | None:
    """The descriptor of the document in the manifest of a cache; None for that of an image."""
    if as_str(manifest.get("artifactType"), what) != ARTIFACT:
        return None
    layers = as_list(manifest.get("layers"), what)
    if not layers:
        raise WherryError(f"{what} is damaged: its manifest names nothing")
    document = Descriptor.from_json(as_object(layers[0], what))
    if document.size > _LARGEST:
        raise WherryError(f"{what} is larger than {_LARGEST} bytes")
    return document


def _inline(manifest: JsonObject, what: str) -> Mapping[str, Entry]:
    text = as_string_map(manifest.get("annotations"), what).get(ANNOTATION)
    if text is None:
        raise WherryError(f"{what} is an image without a cache in it")
    try:
        return read_entries(base64.b64decode(text, validate=True), what)
    except binascii.Error as error:
        raise WherryError(f"{what} is damaged: {error}") from error


def _blob(layout: Path, digest: Digest) -> bytes:
    data = _file(layout / "blobs" / "sha256" / encoded(digest))
    if digest_of(data) != digest:
        raise WherryError(f"{layout} is damaged: what should be {digest} is {digest_of(data)}")
    return data


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise WherryError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise WherryError(f"{path} is larger than {_LARGEST} bytes")
    return data

"""``--cache-to``: what a build has used and made, for other machines."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.events import Reporter, Task
from wherry.fetch.attempts import Stopped
from wherry.image import Descriptor, Image, Index
from wherry.image.digest import digest_of
from wherry.image.json import Json, dump
from wherry.image.mediatype import OCI_MANIFEST
from wherry.sharing.entries import ANNOTATION, ARTIFACT, DOCUMENT, PLAIN, Entry, entries_of, write_entries
from wherry.sharing.place import CachePlace
from wherry.store import Store
from wherry.store.names import REF_NAME

if TYPE_CHECKING:
    from wherry.registry.registries import Registries
    from wherry.sources.supply import Supply

_EMPTY = "application/vnd.oci.empty.v1+json"
_SMALL = 1 << 20  # bytes; a blob that is no layer of the image goes along all the same, such as the project's wheel


def export_cache(
    keys: Iterable[str],
    images: Sequence[Image],
    places: Sequence[CachePlace],
    *,
    store: Store,
    registries: Registries,
    supply: Supply,
    reporter: Reporter,
) -> None:
    """Write the results under ``keys``, which the build of ``images`` has used, to ``places``.

    An inline cache is written by :func:`annotated`. Raises :class:`~wherry.errors.WherryError`; then the place has
    what it had.
    """
    everything = list(entries_of(keys, store))
    for place in places:
        if place.kind == "inline":
            continue
        with reporter.step(f"write the cache to {place}") as task:
            entries = everything if place.mode == "max" else _of_images(everything, images)
            task.detail = f"{len(entries)} results"
            try:
                _write(entries, place, store, registries, supply, task)
            except Stopped:
                raise
            except WherryError as error:
                if not place.ignore_error:
                    raise
                reporter.note(f"the cache is not in {place}: {error.message}")


def annotated(image: Image | Index, keys: Iterable[str], store: Store) -> Image | Index:
    """``image`` with its own cache in its manifest: the results under ``keys`` whose layers are its."""
    entries = list(entries_of(keys, store))

    def one(image: Image) -> Image:
        text = base64.b64encode(write_entries(_of_images(entries, [image]))).decode()
        return image.rewritten(annotations={**image.annotations, ANNOTATION: text})

    if isinstance(image, Index):
        return replace(image, images=tuple(map(one, image.images)), source=None)
    return one(image)


def _of_images(entries: Iterable[Entry], images: Sequence[Image]) -> list[Entry]:
    """Those that need no other blobs than the images do: others would be sent for nobody but a cache."""
    layers = {layer.descriptor.digest for image in images for layer in image.layers}

    def goes(blob: Descriptor) -> bool:
        return blob.digest in layers or (blob.media_type == PLAIN and blob.size <= _SMALL)

    return [entry for entry in entries if all(map(goes, entry.needs))]


def _write(
    entries: Sequence[Entry],
    place: CachePlace,
    store: Store,
    registries: Registries,
    supply: Supply,
    task: Task,
) -> None:
    data = write_entries(entries)
    document = Descriptor(DOCUMENT, store.blobs.add(data), len(data))
    empty = Descriptor(_EMPTY, store.blobs.add(b"{}"), 2)
    needs = list({blob.digest: blob for entry in entries for blob in entry.needs}.values())
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": empty.to_json(),
        # What the results need is named here so that the registry keeps it.
        "layers": [document.to_json(), *(blob.to_json() for blob in needs)],
    }
    blobs = [document, empty, *needs]
    if place.kind == "local":
        _write_layout(dump(manifest), blobs, place, store, task)
        return
    from wherry.registry.repository import Manifest
    from wherry.sinks.registry import send_blobs

    assert place.reference is not None
    repository = registries.destination(registries.hosts.resolve(place.reference.familiar))
    send_blobs(blobs, repository, store, supply, task)
    repository.put_manifest(place.reference.tag, Manifest(OCI_MANIFEST, dump(manifest)))


def _write_layout(manifest: bytes, blobs: Sequence[Descriptor], place: CachePlace, store: Store, task: Task) -> None:
    from wherry.sinks.layout import add_to_layout

    store.blobs.bring(blob.digest for blob in blobs)
    top = Descriptor(OCI_MANIFEST, digest_of(manifest), len(manifest))
    contents = {blob.digest: store.blobs.file(blob.digest) for blob in blobs}
    task.expect(sum(blob.size for blob in blobs))
    add_to_layout(
        place.folder, {**contents, top.digest: manifest}, [top.annotated({REF_NAME: place.tag}).to_json()], task.advance
    )

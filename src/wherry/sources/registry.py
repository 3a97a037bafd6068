"""Images from registries into the store: for one platform, all of it checked before it has a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherry.errors import NetworkError, WherryError
from wherry.events import Task
from wherry.image import Descriptor, Image, ImageConfig, Platform, Reference
from wherry.image.json import as_list, as_object, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.registry.client import Client
from wherry.registry.download import download
from wherry.registry.hosts import Hosts
from wherry.registry.repository import Manifest, Repository
from wherry.sources.layout import fits, of_images, unfit
from wherry.store import Store

_DEPTH = 4  # indexes within indexes
_LARGEST_CONFIG = 16 << 20


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that has come: ``digest`` is what the reference means there, that of an index where it is one."""

    image: Image
    digest: str
    bytes: int
    """How many were fetched."""


def pull_image(
    reference: Reference, platform: Platform, client: Client, hosts: Hosts, store: Store, task: Task
) -> Pulled:
    """Fetch the image for ``platform`` that ``reference`` means, as far as it is not in ``store``.

    Mirrors are asked first; one that fails is passed over. Raises :class:`UsageError` if there is none for the
    platform, :class:`~wherry.errors.NetworkError` for what the registry refuses or does not do right.
    """
    places = [Repository(client, endpoint) for endpoint in hosts.pull_endpoints(reference)]
    wanted = reference.digest or reference.tag
    top = _manifest(places, wanted)
    manifest = _fitting(top, platform, places, reference)
    value = load_object(manifest.data, f"manifest {manifest.descriptor.digest}")
    config = Descriptor.from_json(as_object(value.get("config"), "config"))
    layers = [Descriptor.from_json(as_object(item, "a layer")) for item in as_list(value.get("layers"), "layers")]
    if config.size > _LARGEST_CONFIG:
        raise NetworkError(f"{reference.familiar}: a config of {config.size} bytes")
    fetched = config.size if download(places, config, store, _unwatched) else 0
    have = ImageConfig.from_bytes(store.blobs.read(config.digest)).platform
    if not fits(have, platform):
        raise unfit(reference.familiar, platform, of_images([have]))
    parts = list({layer.digest: layer for layer in layers}.values())
    fetched += _download_all(parts, places, store, task)
    store.blobs.add(manifest.data)
    image = store.load(manifest.descriptor)
    assert isinstance(image, Image)
    return Pulled(image, top.descriptor.digest, fetched)


def _download_all(parts: Sequence[Descriptor], places: Sequence[Repository], store: Store, task: Task) -> int:
    missing = [part for part in parts if not store.blobs.has(part.digest)]
    task.expect(sum(part.size for part in missing))
    done = places[0].client.at_once(lambda part: download(places, part, store, task.advance), missing)
    return sum(part.size for part, was_fetched in zip(missing, done, strict=True) if was_fetched)


def _fitting(top: Manifest, platform: Platform, places: Sequence[Repository], reference: Reference) -> Manifest:
    """The manifest for ``platform``, in ``top`` or that itself."""
    if top.media_type in MANIFESTS:
        return top
    have: list[Platform] = []
    for descriptor in _listed(top, places, _DEPTH):
        if descriptor.platform is None or fits(descriptor.platform, platform):
            return _manifest(places, descriptor.digest)
        have.append(descriptor.platform)
    raise unfit(reference.familiar, platform, of_images(have))


def _listed(index: Manifest, places: Sequence[Repository], depth: int) -> Iterator[Descriptor]:
    """The manifests in an index, and in the indexes in it."""
    value = load_object(index.data, f"index {index.descriptor.digest}")
    for item in as_list(value.get("manifests"), "manifests"):
        descriptor = Descriptor.from_json(as_object(item, "a manifest"))
        if descriptor.media_type in MANIFESTS:
            yield descriptor
        elif descriptor.media_type in INDEXES and depth:
            yield from _listed(_manifest(places, descriptor.digest), places, depth - 1)


def _manifest(places: Sequence[Repository], reference: str) -> Manifest:
    """The manifest that the first of ``places`` has, of those that have it; the last one's error if none does."""
    for place in places[:-1]:
        try:
            return place.manifest(reference)
        except WherryError:
            continue  # a mirror that does not have it, or is not there
    return places[-1].manifest(reference)


def _unwatched(size: int) -> None:
    """Progress of what is small."""

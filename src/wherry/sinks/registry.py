"""Images to a registry: blobs first, then what names them, so that no tag ever means half an image."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.events import Task
from wherry.image import Descriptor, Image, Index
from wherry.image.digest import digest_of
from wherry.image.mediatype import OCI_CONFIG
from wherry.registry.repository import Manifest, Repository
from wherry.registry.upload import upload
from wherry.store.blobs import Blobs


def push_image(image: Image | Index, repository: Repository, tags: Sequence[str], blobs: Blobs, task: Task) -> int:
    """Send ``image``, whose blobs are in ``blobs``, and let each of ``tags`` mean it; gives the bytes that were sent.

    What the registry has is not sent. Raises :class:`~wherry.errors.NetworkError` for what it refuses, and
    :class:`~wherry.errors.StoreError` for a blob that is missing; then no tag has been changed.
    """
    images = image.images if isinstance(image, Index) else (image,)
    wanted = {part.digest: part for one in images for part in _parts(one)}
    task.expect(sum(part.size for part in wanted.values()))

    def send(part: Descriptor) -> int:
        return upload(repository, part, blobs.path(part.digest), task.advance)

    # The largest first: what is left at the end is short.
    sent = sum(repository.client.at_once(send, sorted(wanted.values(), key=lambda part: -part.size)))
    if isinstance(image, Index):
        for one in images:
            repository.put_manifest(one.digest, _manifest(one))
    for tag in tags or (image.digest,):
        repository.put_manifest(tag, _manifest(image))
    return sent


def _parts(image: Image) -> tuple[Descriptor, ...]:
    """The blobs that an image consists of, beside its manifest."""
    config = image.config_bytes
    return Descriptor(OCI_CONFIG, digest_of(config), len(config)), *(layer.descriptor for layer in image.layers)


def _manifest(image: Image | Index) -> Manifest:
    return Manifest(image.descriptor.media_type, image.manifest_bytes)

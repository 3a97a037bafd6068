"""Images to a registry: blobs first, then what names them, so that no tag ever means half an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wherry.events import Task
from wherry.image import Descriptor, Image, Index
from wherry.image.digest import digest_of
from wherry.image.mediatype import OCI_CONFIG
from wherry.registry.repository import Manifest, Repository
from wherry.registry.upload import mount, upload
from wherry.sources.supply import REPOSITORY, Supply
from wherry.store import Store
from wherry.store.origins import Origin


def push_image(
    image: Image | Index, repository: Repository, tags: Sequence[str], store: Store, supply: Supply, task: Task
) -> int:
    """Send ``image``, and let each of ``tags`` mean it; gives the bytes that were sent.

    What the registry has is not sent; what another repository of it has, it takes from there; and only what is not in
    ``store`` and at another registry comes here first. Raises :class:`~wherry.errors.NetworkError` for what is refused,
    :class:`~wherry.errors.StoreError` for a blob that cannot be had; then no tag has been changed.
    """
    images = image.images if isinstance(image, Index) else (image,)
    sent = send_blobs([part for one in images for part in _parts(one)], repository, store, supply, task)
    if isinstance(image, Index):
        for one in images:
            repository.put_manifest(one.digest, _manifest(one))
    for tag in tags or (image.digest,):
        repository.put_manifest(tag, _manifest(image))
    return sent


def send_blobs(parts: Iterable[Descriptor], repository: Repository, store: Store, supply: Supply, task: Task) -> int:
    """See to it that ``repository`` has these blobs, as :func:`push_image` does; gives the bytes that were sent."""
    wanted = {part.digest: part for part in parts}
    task.expect(sum(part.size for part in wanted.values()))

    def send(part: Descriptor) -> int:
        origins = store.origins.of(part.digest)
        neighbours = [path for origin in origins if (path := _neighbour(origin, repository))]
        if not store.blobs.has(part.digest):
            if repository.has(part.digest) or any(mount(repository, part.digest, path) for path in neighbours):
                task.advance(part.size)
                return 0
            supply.fetch((part.digest,), task)
        neighbour = neighbours[0] if neighbours else ""
        return upload(repository, part, store.blobs.file(part.digest), task.advance, neighbour=neighbour)

    # The largest first: what is left at the end is short.
    sent = sum(repository.client.at_once(send, sorted(wanted.values(), key=lambda part: -part.size)))
    place = f"{REPOSITORY}{repository.name}"
    store.origins.add(Origin(part.digest, place, part.size) for part in wanted.values())  # to be mounted from there
    return sent


def _neighbour(origin: Origin, repository: Repository) -> str:
    """The path of the repository that ``origin`` is, if it is another one of the same registry."""
    host, _, path = origin.place.removeprefix(REPOSITORY).partition("/")
    same = origin.place.startswith(REPOSITORY) and host == repository.endpoint.registry
    return path if same and path != repository.endpoint.path else ""


def _parts(image: Image) -> tuple[Descriptor, ...]:
    """The blobs that an image consists of, beside its manifest."""
    config = image.config_bytes
    return Descriptor(OCI_CONFIG, digest_of(config), len(config)), *(layer.descriptor for layer in image.layers)


def _manifest(image: Image | Index) -> Manifest:
    return Manifest(image.descriptor.media_type, image.manifest_bytes)

"""Images to a registry: blobs first, then what names them, so that no tag ever means half an image."""

from __future__ import annotations

from collections.abc import Iterable

from wherry.events import Reporter, Task
from wherry.image import Descriptor, Reference
from wherry.registry.registries import Registries
from wherry.registry.repository import Manifest, Repository
from wherry.registry.upload import mount, upload
from wherry.sources.content import Content
from wherry.sources.supply import REPOSITORY, Supply
from wherry.store import Store
from wherry.store.origins import Origin


def push(
    content: Content,
    references: Iterable[Reference],
    registries: Registries,
    store: Store,
    supply: Supply,
    work: Reporter | Task,
) -> int:
    """Send ``content``, and let each of ``references`` mean it; gives the bytes that were sent.

    Several tags of a repository are one transfer, a part of ``work``; a reference without a tag names nothing: its
    image is for whoever knows the digest.
    What the registry has is not sent; what another repository of it has, it takes from there; and only what is not in
    ``store`` and at another registry comes here first. Raises :class:`~wherry.errors.NetworkError` for what is refused,
    :class:`~wherry.errors.StoreError` for a blob that cannot be had; then no tag of that repository has been changed.
    """
    tags: dict[Reference, list[str]] = {}
    for reference in references:
        tags.setdefault(Reference(reference.host, reference.path), []).append(reference.tag or content.top.digest)
    sent = 0
    for place, names in tags.items():
        repository = registries.destination(place)
        with work.step(f"push to {repository.name}") as task:
            sent += send_blobs(content.blobs, repository, store, supply, task)
            for one in content.manifests[:-1]:
                repository.put_manifest(one.digest, _manifest(one, store))
            for name in dict.fromkeys(names):
                repository.put_manifest(name, _manifest(content.top, store))
    return sent


def send_blobs(parts: Iterable[Descriptor], repository: Repository, store: Store, supply: Supply, task: Task) -> int:
    """See to it that ``repository`` has these blobs, as :func:`push` does; gives the bytes that were sent."""
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


def _manifest(descriptor: Descriptor, store: Store) -> Manifest:
    return Manifest(descriptor.media_type, store.blobs.read(descriptor.digest))

"""Images at registries, found by their manifests and configs; their layers stay there until somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Task
from wherry.fetch.attempts import Stopped
from wherry.fetch.transfer import HashMismatch
from wherry.image import Descriptor, Digest, Image, ImageConfig, Platform, Reference
from wherry.image.digest import digest_of
from wherry.image.json import Json, as_object, as_str, dump
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.sources.content import Content, Read, config_of, content_of, fits, fitting, of_images, unfit
from wherry.sources.supply import REPOSITORY, Supply
from wherry.store import Store
from wherry.store.origins import Origin

if TYPE_CHECKING:
    from wherry.registry.registries import Registries
    from wherry.registry.repository import Manifest, Repository

Answer = TypeVar("Answer")

_LARGEST_CONFIG = 16 << 20
_SHOWN = 10  # tags in a hint


@dataclass(frozen=True, slots=True)
class Found:
    """An image at a registry: ``digest`` is what the reference means there, that of an index where it is one."""

    image: Image
    digest: Digest


def find_image(reference: Reference, platform: Platform, registries: Registries, store: Store) -> Found:
    """The image for ``platform`` that ``reference`` means now; of its blobs only manifest and config are fetched.

    It is one request if a tag means what it meant the last time, and none for a digest that is known. Mirrors are asked
    first; one that fails is passed over. Raises :class:`UsageError` if there is none for the platform,
    :class:`~wherry.errors.NetworkError` for what the registry refuses or does not do right.
    """
    known = known_image(reference, platform, store)
    if known is not None and (reference.digest or _digest(registries, reference) == known.digest):
        return known
    top, content, read = _find(reference, platform, registries, store)
    manifest = content.top
    config = config_of(read(manifest), manifest)
    have = ImageConfig.from_bytes(read(config)).platform
    if not fits(have, platform):
        raise unfit(reference.familiar, platform, of_images([have]))
    image = store.load(manifest)
    assert isinstance(image, Image)
    found = Found(image, top.digest)
    remembered: dict[str, Json] = {"digest": found.digest, "manifest": manifest.to_json()}
    store.cache.put(_key(reference, platform), remembered, [found.digest, *(part.digest for part in content.parts)])
    return found


def find_content(reference: Reference, platform: Platform | None, registries: Registries, store: Store) -> Content:
    """All that ``reference`` means now, or of it the image for ``platform``; only manifests are fetched.

    Mirrors are asked first. Raises :class:`UsageError` if there is none for the platform,
    :class:`~wherry.errors.NetworkError` for what the registry refuses or does not do right.
    """
    return _find(reference, platform, registries, store)[1]


def _find(
    reference: Reference, platform: Platform | None, registries: Registries, store: Store
) -> tuple[Descriptor, Content, Read]:
    """What ``reference`` means; all of that, or of it the image for ``platform``; and what reads the parts of it."""
    places = registries.places(reference)
    top = _top(reference, places)
    store.blobs.add(top.data)
    read = _reading(places, store)
    chosen = top.descriptor if platform is None else fitting([top.descriptor], platform, read, reference.familiar)
    content = content_of(chosen, read, places[-1].client.at_once)
    place = f"{REPOSITORY}{reference.host}/{reference.path}"
    store.origins.add(Origin(part.digest, place, part.size) for part in content.blobs)
    return top.descriptor, content, read


def known_image(reference: Reference, platform: Platform, store: Store) -> Found | None:
    """What :func:`find_image` found the last time, if all of it can still be had."""
    value = store.cache.get(_key(reference, platform))
    if value is None:
        return None
    manifest = Descriptor.from_json(as_object(value.get("manifest"), "a known image"))
    if not store.blobs.has(manifest.digest):
        return None
    image = store.load(manifest)
    assert isinstance(image, Image)
    return Found(image, Digest(as_str(value.get("digest"), "a known image")))


def pull_image(
    reference: Reference, platform: Platform, registries: Registries, store: Store, supply: Supply, task: Task
) -> tuple[Found, int]:
    """As :func:`find_image`, with all layers; and the number of bytes of them that were fetched."""
    found = find_image(reference, platform, registries, store)
    return found, supply.fetch([layer.descriptor.digest for layer in found.image.layers], task)


def _key(reference: Reference, platform: Platform) -> str:
    return f"registry:{digest_of(dump([str(reference), str(platform)]))}"


def _digest(registries: Registries, reference: Reference) -> Digest | None:
    """What a tag means now; None if nobody says it in one request."""
    try:
        return _first(registries.places(reference), lambda place: place.find(reference.tag) or _absent(reference))
    except Stopped:
        raise
    except WherryError:
        return None  # the whole manifest will do, or say what is wrong


def _absent(reference: Reference) -> Digest:
    raise NetworkError(f"there is no {reference.familiar}")


def _top(reference: Reference, places: Sequence[Repository]) -> Manifest:
    """What ``reference`` means. An error for a tag that is not there says which ones are."""
    from wherry.registry.errors import Absent

    try:
        return _first(places, lambda place: place.manifest(reference.digest or reference.tag))
    except Absent as error:
        if not reference.digest and not error.hint:
            error.hint = _tags(reference.tag, places[-1])
        raise


def _tags(wanted: str, place: Repository) -> str | None:
    """A hint that names some of the tags that there are, the most similar first."""
    try:
        tags = [tag for tag in place.tags() if tag.isprintable()]
    except Stopped:
        raise
    except WherryError:  # it is not that which the user wants to hear of
        return None
    near = get_close_matches(wanted, tags, n=_SHOWN)
    shown = list(dict.fromkeys((*near, *reversed(tags))))[:_SHOWN]
    more = f" and {len(tags) - len(shown)} more" if len(tags) > len(shown) else ""
    return f"It has the tags {', '.join(shown)}{more}." if tags else None


def _reading(places: Sequence[Repository], store: Store) -> Read:
    """Reads manifests and configs in the store, or else at the registry, from where they come into the store."""

    def read(descriptor: Descriptor) -> bytes:
        from wherry.registry.download import download

        if not store.blobs.has(descriptor.digest):
            if descriptor.media_type in MANIFESTS | INDEXES:
                store.blobs.add(_first(places, lambda place: place.manifest(descriptor.digest)).data)
            elif descriptor.size > _LARGEST_CONFIG:
                raise NetworkError(f"{places[-1].name}: a config of {descriptor.size} bytes")
            else:
                download(places, descriptor, store, lambda size: None)
        return store.blobs.read(descriptor.digest)

    return read


def _first(places: Sequence[Repository], ask: Callable[[Repository], Answer]) -> Answer:
    """The answer of the first of ``places`` that has one; the last one's error if none does."""
    for place in places[:-1]:
        try:
            return ask(place)
        except (NetworkError, HashMismatch):
            continue  # a mirror that does not have it, or is not there
    return ask(places[-1])


class NamedImage:
    """An image by its name: in the local store, or at its registry.

    ``pull`` says when the registry is asked: ``missing``, if the store does not know the name; ``always``; ``never``.
    """

    def __init__(self, name: str, store: Store, registries: Registries, pull: str) -> None:
        self._name = name
        self._store = store
        self._registries = registries
        self._pull = pull

    def image(self, platform: Platform, task: Task) -> Image:
        """The image for ``platform``; its layers may still be at the registry.

        Raises :class:`UsageError` if there is none of that name or platform.
        """
        from wherry.sources.layout import choose, find_name, unknown_name

        stored = find_name(self._name, self._store)
        unfitting: UsageError | None = None
        if self._pull != "always" and stored is not None:
            task.cached()
            try:
                return choose(self._store.load(stored), platform, self._name)
            except UsageError as error:  # the registry may have it for further platforms
                unfitting = error
        reference = self._registries.hosts.resolve(self._name)
        if self._pull != "always" and (known := known_image(reference, platform, self._store)) is not None:
            task.cached()
            return known.image
        if self._pull == "never":
            raise unfitting or unknown_name(self._name, self._store)
        try:
            self._registries.places(reference)
        except UsageError as error:  # blocked
            raise unfitting or unknown_name(self._name, self._store, error) from error
        try:
            found = find_image(reference, platform, self._registries, self._store)
        except (NetworkError, HashMismatch) as error:
            if unfitting:
                raise unfitting from error
            if stored is not None and _is_refused(error):
                task.note(f"{self._name}: the registry has none, that of the store serves")
                task.cached()
                return choose(self._store.load(stored), platform, self._name)
            raise unknown_name(self._name, self._store, error) from error
        task.detail = found.digest[:19]
        return found.image


def _is_refused(error: WherryError) -> bool:
    from wherry.registry.errors import Absent, Denied

    return isinstance(error, Absent | Denied)


def pinned(name: str, platform: Platform, image: Image, store: Store) -> Digest:
    """The digest to write behind ``name`` for the same ``image`` in all its platforms; its own if nobody knows more."""
    try:
        reference = Reference.parse(name)
    except UsageError:
        return image.digest
    if reference.digest:
        return reference.digest
    known = known_image(reference, platform, store)
    return known.digest if known is not None and known.image.digest == image.digest else image.digest

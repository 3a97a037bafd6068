"""The named images of a store, for people: rows to show, and what a person's words for an image mean."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from wherry.errors import UsageError, WherryError, suggestion
from wherry.image.descriptor import Descriptor
from wherry.image.digest import Digest, encoded
from wherry.image.index import Index
from wherry.image.json import as_int
from wherry.image.platform import Platform
from wherry.image.reference import Reference, nearest_name
from wherry.store.names import name_of
from wherry.store.store import Store, unpacked_key

_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


@dataclass(frozen=True, slots=True)
class Row:
    """A name and its image. ``digest`` is the manifest's (or index's), ``id`` the config's, empty for an index.

    ``created`` is RFC 3339 or empty; ``size`` the bytes of the layers as they are stored, each once; ``unpacked``
    of their tar streams, None where nobody has counted. ``damaged`` says what is wrong with an image that cannot
    be read.
    """

    name: str
    digest: Digest
    id: str = ""
    platforms: tuple[Platform, ...] = ()
    created: str = ""
    size: int = 0
    unpacked: int | None = None
    damaged: str = ""


def rows(store: Store) -> tuple[Row, ...]:
    """All named images, by name."""
    return tuple(sorted((_row(store, one) for one in store.images()), key=lambda row: (row.name, row.digest)))


def _row(store: Store, descriptor: Descriptor) -> Row:
    name = name_of(descriptor)
    try:
        image = store.load(descriptor)
    except WherryError as error:
        return Row(name, descriptor.digest, damaged=error.message)
    images = image.images if isinstance(image, Index) else (image,)
    return Row(
        name,
        descriptor.digest,
        "" if isinstance(image, Index) else image.id,
        tuple(one.config.platform for one in images),
        max((one.config.created for one in images), default=""),
        sum({layer.descriptor.digest: layer.descriptor.size for one in images for layer in one.layers}.values()),
        _unpacked(store, tuple(one.digest for one in images)),
    )


def _unpacked(store: Store, digests: tuple[Digest, ...]) -> int | None:
    total = 0
    for digest in digests:
        entry = store.cache.get(unpacked_key(digest))
        if entry is None:
            return None
        total += as_int(entry.get("bytes"), "an unpacked size")
    return total


def find_descriptors(store: Store, text: str) -> tuple[Descriptor, ...]:
    """What ``text`` means, one descriptor for each name: a name, or the beginning of a digest or of an image ID.

    A name means one, a digest all names of its image. Raises :class:`UsageError` that names the nearest name, or the
    images that a short digest could mean.
    """
    named = store.images()
    with suppress(WherryError):
        reference = Reference.parse(text)
        if reference.digest and not reference.tag:  # name@digest: any name of that path
            path = (reference.host, reference.path)
            found = tuple(one for one in named if one.digest == reference.digest and path == _path(name_of(one)))
        else:
            found = tuple(one for one in named if name_of(one) == reference.familiar)
        if found:
            return found
    if match := _PREFIX.fullmatch(text):
        found = tuple(
            one for one in named if encoded(one.digest).startswith(match[1]) or _id(store, one).startswith(match[1])
        )
        if len({one.digest for one in found}) > 1:
            raise UsageError(
                f"{text!r} could be several images",
                hint="It begins " + ", ".join(sorted({one.digest for one in found})),
            )
        if found:
            return found
    names = [name_of(one) for one in named if name_of(one)]
    if not names:
        raise UsageError(f"there is no image {text!r}: the store {store.path} holds none", hint="Build one with -t.")
    raise UsageError(f"there is no image {text!r} in the store", hint=suggestion(nearest_name(text, names), names))


def find_descriptor(store: Store, text: str) -> Descriptor:
    """The image that ``text`` means; see :func:`find_descriptors`."""
    return find_descriptors(store, text)[0]


def find_names(store: Store, text: str) -> tuple[str, ...]:
    """The names that ``text`` means; see :func:`find_descriptors`."""
    return tuple(name_of(one) for one in find_descriptors(store, text))


def _path(name: str) -> tuple[str, str] | None:
    with suppress(WherryError):
        reference = Reference.parse(name)
        return reference.host, reference.path
    return None


def _id(store: Store, descriptor: Descriptor) -> str:
    """The hex digits of the image ID, or an empty text."""
    with suppress(WherryError):
        image = store.load(descriptor)
        if not isinstance(image, Index):
            return encoded(image.id)
    return ""

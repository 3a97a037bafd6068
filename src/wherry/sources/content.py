"""All that a name means, byte for byte: an index with whatever it lists, the manifests, their configs, their layers.

A manifest need not be that of an image: attestations, and other artifacts, have configs and layers of their own kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from wherry.errors import UsageError, WherryError
from wherry.image import Descriptor, Digest, Platform
from wherry.image.json import as_list, as_object, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.store.blobs import Blobs

_DEPTH = 4  # indexes within indexes
_BY_URL = ("foreign", "nondistributable")  # in media types of layers that no registry has to have

Read = Callable[[Descriptor], bytes]
"""Gives the bytes of an index, a manifest or a config. Raises :class:`WherryError` if they cannot be had."""

Each = Callable[[Read, Iterable[Descriptor]], Iterable[bytes]]
"""Reads several, one after the other or at once."""


@dataclass(frozen=True, slots=True)
class Content:
    """What an index or a manifest consists of.

    ``manifests`` are it and all below it, each after those that it names, so that the last is the top. ``blobs`` are
    what they name beside these: configs and layers.
    """

    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def top(self) -> Descriptor:
        """What all the rest is a part of."""
        return self.manifests[-1]

    @property
    def parts(self) -> tuple[Descriptor, ...]:
        """Everything: what nothing else is made of comes first."""
        return (*self.blobs, *self.manifests)


def content_of(top: Descriptor, read: Read, each: Each = map) -> Content:
    """All that ``top`` consists of. Raises :class:`WherryError` for what is malformed, or no manifest at all."""
    if not _is_manifest(top):
        old = "Docker's schema 1 is out of use since 2017." if "manifest.v1" in top.media_type else None
        raise WherryError(f"{top.digest} is no image that is understood: {top.media_type[:100]}", hint=old)
    levels: list[list[Descriptor]] = []
    blobs: dict[Digest, Descriptor] = {}
    level = [Descriptor(top.media_type, top.digest, top.size)]  # what names it may say more
    while level:
        if len(levels) > _DEPTH:
            raise WherryError(f"{top.digest} has indexes within indexes, more than {_DEPTH} deep")
        levels.insert(0, level)
        parts = [part for one, data in zip(level, each(read, level), strict=True) for part in _parts(data, one)]
        level = list({part.digest: part for part in parts if _is_manifest(part)}.values())
        blobs |= {part.digest: part for part in parts if not _is_manifest(part)}
    manifests = {one.digest: one for level in levels for one in level}
    return Content(tuple(manifests.values()), tuple(blobs.values()))


def config_of(data: bytes, manifest: Descriptor) -> Descriptor:
    """The config that ``manifest``, which is ``data``, names."""
    what = f"manifest {manifest.digest}"
    return Descriptor.from_json(as_object(load_object(data, what).get("config"), what))


def reading(blobs: Blobs) -> Read:
    """Reads what the store has, or can have."""

    def read(descriptor: Descriptor) -> bytes:
        blobs.bring((descriptor.digest,))
        return blobs.read(descriptor.digest)

    return read


def _is_manifest(descriptor: Descriptor) -> bool:
    return descriptor.media_type in MANIFESTS | INDEXES


def _parts(data: bytes, descriptor: Descriptor) -> Iterator[Descriptor]:
    """What a manifest or an index names, but for layers that are only at a URL."""
    what = f"manifest {descriptor.digest}"
    value = load_object(data, what)
    config = [value["config"]] if value.get("config") else []
    for item in (*as_list(value.get("manifests"), what), *config, *as_list(value.get("layers"), what)):
        part = as_object(item, what)
        found = Descriptor.from_json(part)
        if not (part.get("urls") and any(word in found.media_type for word in _BY_URL)):
            yield found


# -- platforms -------------------------------------------------------------------------------------------


def fitting(tops: Iterable[Descriptor], platform: Platform, read: Read, what: str) -> Descriptor:
    """The manifest of the image for ``platform``, of those in ``tops`` or below.

    Raises :class:`UsageError`, which calls them ``what``, and names the platforms that there are.
    """
    have: list[Platform] = []
    for manifest in _manifests(tops, read, _DEPTH):
        found = manifest.platform or _platform(manifest, read)
        if found is not None and fits(found, platform):
            return manifest
        have += [found] if found else []
    raise unfit(what, platform, of_images(have))


def _manifests(tops: Iterable[Descriptor], read: Read, depth: int) -> Iterator[Descriptor]:
    for one in tops:
        if one.media_type in MANIFESTS:
            yield one
        elif one.media_type in INDEXES and depth:
            yield from _manifests(_parts(read(one), one), read, depth - 1)


def _platform(manifest: Descriptor, read: Read) -> Platform | None:
    """What an image runs on, as its config says; None for what is no image."""
    data = read(config_of(read(manifest), manifest))
    with suppress(WherryError):
        config = load_object(data, "config")
        return Platform.from_json(config) if config.get("architecture") else None
    return None


def unfit(name: str, platform: Platform, have: Iterable[Platform]) -> UsageError:
    """The error for an image called ``name`` that there is for other platforms alone."""
    there = ", ".join(sorted({str(one) for one in have})) or "none"
    return UsageError(f"{name} has no image for {platform}", hint=f"It has: {there}. Choose with --platform.")


def of_images(platforms: Iterable[Platform]) -> list[Platform]:
    """``platforms`` without those of what is no image: attestations beside one."""
    return [one for one in platforms if one.os != "unknown"]


def fits(have: Platform, wanted: Platform) -> bool:
    """Whether an image for ``have`` is one for ``wanted``; a variant counts only if both name one."""
    same = (have.os, have.architecture) == (wanted.os, wanted.architecture)
    return same and (not have.variant or not wanted.variant or _variant(have) == _variant(wanted))


def _variant(platform: Platform) -> str:
    return "" if (platform.architecture, platform.variant) in {("arm64", "v8"), ("amd64", "v1")} else platform.variant

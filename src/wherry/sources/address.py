"""Where an image is or goes, in skopeo's words: ``docker://NAME``, ``oci:DIR:TAG``; or by its name in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wherry.errors import UsageError, nearest
from wherry.events import Task
from wherry.image import Platform
from wherry.registry.registries import Registries
from wherry.sources.content import Content, content_of, fitting, reading
from wherry.store import Store

Transport = Literal["docker", "oci", "oci-archive", "docker-archive", "docker-daemon", "store"]

_FORMS: Mapping[Transport, str] = {
    "docker": "docker://NAME[:TAG]",
    "oci": "oci:DIR[:TAG]",
    "oci-archive": "oci-archive:FILE[:TAG]",
    "docker-archive": "docker-archive:FILE[:NAME]",
    "docker-daemon": "docker-daemon:NAME[:TAG]",
}
_OTHERS = frozenset({"containers-storage", "dir", "ostree", "sif", "tarball"})  # of skopeo
_HINT = f"Write {', '.join(_FORMS.values())}, or a name in the store."


@dataclass(frozen=True, slots=True)
class Address:
    """A place that an image is in or goes to: ``rest`` is what follows the transport, ``text`` all that was written."""

    transport: Transport
    rest: str
    text: str

    def __str__(self) -> str:
        return self.text


def parse_address(text: str) -> Address:
    """Read an address. Raises :class:`UsageError` for a transport that there is none of, or one that leads nowhere.

    That an image is there is found out by :func:`content_at` alone.
    """
    kind, colon, rest = text.partition(":")
    for transport, form in _FORMS.items():
        if colon and kind == transport:
            if transport == "docker" and not rest.startswith("//"):
                hint = f"Write {form}; an image of the store that is called so, library/{text}."
                raise UsageError(f"{text!r} is no address", hint=hint)
            rest = rest.removeprefix("//") if transport == "docker" else rest
            if not rest:
                raise UsageError(f"{text!r} leads nowhere", hint=f"Write {form}.")
            return Address(transport, rest, text)
    if not text:
        raise UsageError("an address is empty", hint=_HINT)
    if colon and (kind in _OTHERS or rest.startswith(("/", "."))):
        near = nearest(kind, _FORMS)
        raise UsageError(f"unknown transport {kind!r}", hint=f"Did you mean {near!r}? {_HINT}" if near else _HINT)
    return Address("store", text, text)


def content_at(
    address: Address, platform: Platform | None, registries: Registries, store: Store, task: Task
) -> tuple[Content, int]:
    """All that ``address`` means, or of it the image for ``platform``; and the bytes that were copied into the store.

    Manifests are in the store then; blobs are, or can be had through it. An archive of Docker's has no manifest: its
    layers are compressed, and one is made for it. Raises :class:`~wherry.errors.WherryError` if there is no such image.
    """
    match address.transport:
        case "docker":
            from wherry.sources.registry import find_content

            return find_content(registries.hosts.resolve(address.rest), platform, registries, store), 0
        case "oci" | "oci-archive" as transport:
            from wherry.sources.layout import OciSource

            return OciSource(address.rest, store, archive=transport == "oci-archive").content(platform, task)
        case "docker-archive":
            return _saved(address.rest, address.rest, platform, store, task)
        case "docker-daemon":
            from wherry.image import Reference
            from wherry.sources.engine import find_engine, save

            path = store.scratch() / f"saved-{os.urandom(8).hex()}"
            try:
                # A name without a tag would mean all tags of it.
                save(find_engine(), Reference.parse(address.rest).familiar, path)
                return _saved(str(path), address.rest, platform, store, task)
            finally:
                path.unlink(missing_ok=True)
        case "store":
            return _stored(address.rest, platform, store), 0


def _saved(location: str, what: str, platform: Platform | None, store: Store, task: Task) -> tuple[Content, int]:
    from wherry.layers.compression import Compression
    from wherry.sources.layout import DockerArchive

    image = DockerArchive(location, store, Compression(), what).image(platform, task)
    content = content_of(store.add_image(image), reading(store.blobs))
    return content, sum(part.size for part in content.blobs) if task.done else 0


def _stored(name: str, platform: Platform | None, store: Store) -> Content:
    from wherry.store.listing import find_descriptor

    try:
        top = find_descriptor(store, name)
    except UsageError as error:
        hint = f"{error.hint} An image at a registry is docker://{name}."
        raise UsageError(error.message, hint=hint) from None
    read = reading(store.blobs)
    return content_of(top if platform is None else fitting([top], platform, read, name), read)

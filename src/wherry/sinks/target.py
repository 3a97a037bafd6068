"""Where a copy goes: the other end of an :class:`~wherry.sources.address.Address`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError, WherryError
from wherry.events import Listener, Reporter
from wherry.image import Digest, Platform, Reference
from wherry.image.mediatype import INDEXES
from wherry.registry.registries import Registries
from wherry.sinks.archive import files, write_oci_archive
from wherry.sinks.destination import expect_file, opened
from wherry.sinks.export import export
from wherry.sinks.layout import expect_layout, write_layout
from wherry.sinks.output import Output
from wherry.sources.address import Address, Transport, parse_address
from wherry.sources.content import Content, content_of, fitting, reading
from wherry.sources.supply import Supply
from wherry.store import Store
from wherry.store.names import REF_NAME

_TAG = re.compile(r"[A-Za-z0-9]+((?:[-._:@+/]|--)[A-Za-z0-9]+)*")  # of a layout; annotations.md of the image-spec


@dataclass(frozen=True, slots=True)
class Target:
    """A repository, layout, archive, engine or store, called ``place``, in which an image will have ``names``.

    ``texts`` are these as people write them.
    """

    transport: Transport
    place: str
    names: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What is at a target now: the digest of its manifest or index, and how many bytes had to be written for it."""

    digest: Digest
    bytes: int


def parse_targets(texts: Iterable[str]) -> tuple[Target, ...]:
    """The targets that addresses mean: what goes to one place under several names is one.

    Raises :class:`UsageError` for what makes no sense, or is a place of something else.
    """
    found: dict[tuple[Transport, str], list[tuple[str, str]]] = {}
    for text in dict.fromkeys(texts):
        place, name, shown = _parse(parse_address(text))
        found.setdefault(place, []).append((name, shown))
    targets = tuple(
        Target(transport, place, tuple(name for name, _ in names if name), tuple(shown for _, shown in names))
        for (transport, place), names in found.items()
    )
    for target in targets:
        if target.transport == "oci":
            expect_layout(Path(target.place))
        elif target.transport.endswith("-archive"):
            expect_file(target.place)
    return targets


def _parse(address: Address) -> tuple[tuple[Transport, str], str, str]:
    """The place, the name there, and what both are called together."""
    transport, rest = address.transport, address.rest
    if "@sha256:" in rest:
        raise UsageError(f"cannot copy to {address}: it has a digest", hint="Give a name and a tag; the digest stays.")
    if transport in {"docker", "docker-daemon", "store"}:
        reference = Reference.parse(rest)
        name = reference.familiar
        if transport == "docker":
            return (transport, f"{reference.host}/{reference.path}"), str(reference), name
        return (transport, ""), name, f"docker-daemon:{name}" if transport == "docker-daemon" else name
    path, name = _split(rest)
    if transport == "docker-archive":
        name = Reference.parse(name).familiar if name else ""
    elif name and not _TAG.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of an image in a layout", hint="Use letters, digits and -._:@+/."
        )
    return (transport, path), name, address.text


def _split(rest: str) -> tuple[str, str]:
    """``PATH[:NAME]``: the longest path that there is, or else up to the first colon, and what follows it."""
    parts = rest.split(":")
    cuts = [number for number in range(len(parts), 0, -1) if Path(":".join(parts[:number])).exists()] or [1]
    return ":".join(parts[: cuts[0]]), ":".join(parts[cuts[0] :])


def write(
    content: Content,
    target: Target,
    registries: Registries,
    store: Store,
    supply: Supply,
    listener: Listener | None = None,
) -> Written:
    """Bring ``content`` to ``target``; where there is room for one image alone, that for this machine's platform.

    Raises :class:`~wherry.errors.WherryError`; then the names mean what they did.
    """
    reporter = Reporter(listener)
    top = content.top
    if target.transport == "docker":
        from wherry.sinks.registry import push

        references = map(Reference.parse, target.names)
        return Written(top.digest, push(content, references, registries, store, supply, reporter))
    if target.transport in {"docker-archive", "docker-daemon"}:
        return _write_docker(content, target, store, listener)
    with reporter.step(f"write {', '.join(target.texts)}") as task:
        if target.transport == "store":
            fetched = supply.fetch([part.digest for part in content.blobs], task)
            files(content.parts, store.blobs)  # an error if one could not be had
            store.tag(target.names, top)
            return Written(top.digest, fetched)
        size = sum(part.size for part in content.parts)
        task.expect(size)
        listed = [top.annotated({REF_NAME: name}) for name in target.names] or [top]
        if target.transport == "oci":
            return Written(top.digest, write_layout(Path(target.place), content, listed, store.blobs, task.advance))
        with opened(target.place) as file:
            write_oci_archive(file, content, listed, store.blobs, task.advance)
        return Written(top.digest, size)


def _write_docker(content: Content, target: Target, store: Store, listener: Listener | None) -> Written:
    read = reading(store.blobs)
    what = target.texts[0]
    top = content.top
    if top.media_type in INDEXES:
        top = fitting([top], Platform.native(), read, f"what goes to {what}")
    part = content_of(top, read)
    files(part.blobs, store.blobs)
    try:
        image = store.load(part.top)
    except WherryError as error:
        hint = "docker-archive: and docker-daemon: hold images alone; oci: and docker:// whatever there is."
        raise UsageError(f"what goes to {what} is no image: {error.message}", hint=hint) from None
    done = export(image, Output("docker", target.place), names=target.names, store=store, listener=listener)
    return Written(done.digest, sum(part.size for part in content_of(done.descriptor, read).blobs))

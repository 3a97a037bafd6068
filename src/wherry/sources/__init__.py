"""Where a base image or a build context comes from, each behind one small interface.

``open_source`` finds the kind by how the name begins. What a base holds, :mod:`~wherry.sources.inspect` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.sources.base import Facts, Pull, Source

if TYPE_CHECKING:
    from wherry.fetch import Fetcher
    from wherry.layers.compression import Compression
    from wherry.pins import Ledger
    from wherry.registry.registries import Registries
    from wherry.store import Store

__all__ = ["Facts", "Pull", "Source", "open_source"]


def open_source(
    text: str,
    *,
    store: Store,
    fetcher: Fetcher,
    registries: Registries,
    compression: Compression,
    epoch: int,
    python: str = "",
    mirror: str = "",
    pull: Pull = "missing",
    refresh: bool = False,
    pins: Ledger | None = None,
) -> Source:
    """The source that ``text`` names: ``scratch``, ``debian://SUITE``, ``oci:DIR[:TAG]`` or ``oci-layout://DIR[:TAG]``
    (or ``@DIGEST``), ``oci-archive:FILE``, ``docker-archive:FILE``, ``context:LOCATION`` (a directory or another build
    context, whose files are the root filesystem), ``docker-image://NAME`` or NAME: an image in the local store or,
    as ``pull`` says, at its registry.

    ``python``, ``mirror``, ``epoch`` (seconds since 1970), ``refresh`` and ``pins`` concern assembled bases. Raises
    :class:`~wherry.errors.UsageError` if ``text`` means nothing; what it means is looked for by ``image`` only.
    """
    text = text.removeprefix("docker-image://")
    if text == "scratch":
        from wherry.sources.scratch import Scratch

        return Scratch()
    if text.startswith("debian://"):
        from wherry.debian.base import Recipe, Workshop
        from wherry.pins import Ledger
        from wherry.sources.debian import DebianSource

        workshop = Workshop(store, fetcher, mirror, refresh, compression, epoch, pins=pins or Ledger())
        return DebianSource(Recipe.parse(text), workshop, python)
    if text.startswith("context:"):
        from wherry.sources.folder import ContextSource

        return ContextSource(text.removeprefix("context:"), store, fetcher, compression)
    from wherry.sources.layout import DockerArchive, OciSource

    if text.startswith("oci-layout://"):
        return OciSource(text.removeprefix("oci-layout://"), store, archive=False)
    kind, _, rest = text.partition(":")
    match kind:
        case "oci" | "oci-archive" if rest:
            return OciSource(rest, store, archive=kind == "oci-archive")
        case "docker-archive" if rest:
            return DockerArchive(rest, store, compression)
    from wherry.sources.registry import NamedImage

    return NamedImage(text, store, registries, pull)

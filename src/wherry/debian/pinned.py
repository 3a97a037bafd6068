"""Debian packages as pins: written down where they came from, and found again whatever the archive has by then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from wherry.debian.archive import Archive
from wherry.debian.mirror import Mirror
from wherry.debian.package import Package
from wherry.errors import WherryError
from wherry.fetch import NotFound
from wherry.pins import Archive as Kind
from wherry.pins import PinnedPackage


def pins_of(packages: Iterable[Package], archive: Archive) -> tuple[PinnedPackage, ...]:
    """What tells ``packages`` of ``archive`` from all others."""
    urls = {release.url for release in archive.releases}
    return tuple(
        PinnedPackage(
            one.name,
            one.version,
            one.architecture,
            cast("Kind", one.archive),
            next((one.url.removeprefix(f"{url}/") for url in urls if one.url.startswith(f"{url}/")), one.url),
            one.size,
            one.sha256,
        )
        for one in packages
    )


def packages_of(pins: Iterable[PinnedPackage], mirror: Mirror) -> tuple[Package, ...]:
    """The packages that ``pins`` mean, from ``mirror``, by name."""
    found = []
    for pin in pins:
        url, *elsewhere = _places(pin, mirror)
        found.append(
            Package(
                pin.name,
                pin.version,
                pin.architecture,
                url=url,
                size=pin.size,
                sha256=pin.sha256,
                archive=pin.archive,
                elsewhere=tuple(elsewhere),
            )
        )
    return tuple(sorted(found, key=lambda package: package.name))


def _places(pin: PinnedPackage, mirror: Mirror) -> Sequence[str]:
    """Where the file may be. Security updates move to the main archive with the next point release."""
    archives = sorted(mirror.archives, key=lambda url: "debian" not in url.rpartition("/")[2])
    if pin.archive != "security":
        return [f"{url}/{pin.path}" for url in archives]
    moved = pin.path.replace("pool/updates/", "pool/", 1)
    return [*(f"{url}/{pin.path}" for url in mirror.security), *(f"{url}/{moved}" for url in archives)]


@contextmanager
def had() -> Iterator[None]:
    """Say what to do if a pinned package cannot be had any more."""
    try:
        yield
    except NotFound as error:
        raise WherryError(
            f"a Debian package that wherry.lock pins is not to be had any more: {error.message}",
            hint="`wherry lock --upgrade` pins what the archive has now; or name a mirror that keeps old packages "
            "(mirror under [tool.wherry], or WHERRY_DEBIAN_MIRROR).",
        ) from error

"""Certificates that Podman and Docker keep for single registries: certs.d (containers-certs.d(5), Docker's manual)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import Place, UsageError
from wherry.registry.configfile import user_folder

MACHINE = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
"""The machine's folders of certificates, the strongest first."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How a registry proves who it is, and how we do.

    ``ca`` are files of authorities to trust beside the system's. ``cert`` holds our certificate, and its key as well if
    there is no ``key``. Without ``verify`` any certificate is taken.
    """

    ca: tuple[Path, ...] = ()
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


def find_certificates(registry: str) -> Tls:
    """What the first folder that is there for ``registry`` (``host[:port]``) holds.

    Of several pairs of certificate and key it is the first by name. Raises :class:`UsageError` for half a pair.
    """
    for folder in _folders():
        try:
            files = {path.name: path for path in sorted((folder / registry).iterdir())}
        except OSError:  # not there, or not for us to read: Podman passes it over, too
            continue
        pairs = [_pair(files, path) for path in files.values() if path.suffix in {".cert", ".key"}]
        cert, key = pairs[0] if pairs else (None, None)
        return Tls(tuple(path for path in files.values() if path.suffix == ".crt"), cert, key)
    return Tls()


def _folders() -> Iterator[Path]:
    if own := user_folder():
        yield own / "containers" / "certs.d"
    yield from MACHINE


def _pair(files: dict[str, Path], path: Path) -> tuple[Path, Path]:
    """The certificate and the key, of which ``path`` is one."""
    cert, key = (files.get(f"{path.stem}{suffix}") for suffix in (".cert", ".key"))
    if cert and key:
        return cert, key
    wanted = f"{path.stem}.key" if cert else f"{path.stem}.cert"
    raise UsageError(
        f"there is no {wanted} beside it",
        place=Place(str(path)),
        hint="A certificate of ours is NAME.cert, with its key in NAME.key; an authority's is NAME.crt.",
    )

"""Images as a registry has them: asked by plain requests, so that no builder is its own witness."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Remote:
    """An image of one platform at a registry: its manifest's digest, and the sizes of all its blobs by digest."""

    digest: str
    blobs: dict[str, int]

    @property
    def size(self) -> int:
        """The bytes of all its blobs."""
        return sum(self.blobs.values())


def find(name: str) -> Remote:
    """What ``name`` (``HOST:PORT/PATH``, tag latest) is. The program ends if the registry lacks a part of it."""
    host, _, path = name.partition("/")
    top = f"http://{host}/v2/{path}"
    try:
        with urlopen(Request(f"{top}/manifests/latest", headers={"Accept": ", ".join(_MANIFESTS)})) as answer:
            data = answer.read()
    except HTTPError as error:
        raise SystemExit(f"{name} is not at the registry: {error}") from None
    manifest = json.loads(data)
    if manifest.get("mediaType") not in _MANIFESTS:
        raise SystemExit(f"{name} is no image: {manifest.get('mediaType')}")
    blobs = {part["digest"]: part["size"] for part in (manifest["config"], *manifest["layers"])}
    for digest, size in blobs.items():
        try:
            with urlopen(Request(f"{top}/blobs/{digest}", method="HEAD")) as answer:
                have = int(answer.headers["Content-Length"])
        except HTTPError as error:
            raise SystemExit(f"{name} is not complete: {digest}: {error}") from None
        if have != size:
            raise SystemExit(f"{name} is not complete: {digest} has {have} bytes, not {size}")
    return Remote(f"sha256:{sha256(data).hexdigest()}", blobs)


def check_layout(folder: Path, image: Remote, name: str) -> None:
    """End the program if an OCI layout does not hold all of an image."""
    for digest, size in image.blobs.items():
        path = folder / "blobs" / "sha256" / digest.partition(":")[2]
        if not path.is_file() or path.stat().st_size != size:
            raise SystemExit(f"{name} is not complete in {folder}: {digest}")

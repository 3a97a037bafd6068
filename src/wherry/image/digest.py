"""Digests as in the OCI image-spec, "Digests": ``algorithm:encoded``; we write sha256 only."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from wherry.errors import WherryError

Digest = NewType("Digest", str)

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> Digest:
    """The sha256 digest of ``data``."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """``text`` as a digest. Raises :class:`WherryError` if it is not ``sha256:`` and 64 hex digits."""
    if not _FORM.fullmatch(text):
        raise WherryError(f"{text!r} is not a digest", hint="A digest is 'sha256:' and 64 lower-case hex digits.")
    return Digest(text)


def encoded(digest: Digest) -> str:
    """The part after the colon: the file name in an image layout."""
    return digest.partition(":")[2]

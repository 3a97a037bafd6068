"""One file-system object of a layer (OCI image-spec, layer.md: "File Attributes")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from wherry.errors import WherryError

Kind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
"""What the names of whiteouts begin with, and the name of the one that hides all that lower layers have."""

CAPABILITY = "security.capability"
"""The extended attribute that holds a program's capabilities."""

NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})
"""No extended attributes: the same for the many files that have none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A path and its attributes. ``path`` is relative to the root, with ``/``, and holds no ``..``.

    ``size`` is in bytes, ``mtime`` in seconds since 1970, ``link`` the target of a symbolic or hard link.
    Names that are not UTF-8 are held with surrogate escapes, as :mod:`os` does.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: str = ""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=lambda: NO_XATTRS)


def is_an_images(attribute: str) -> bool:
    """Whether an extended attribute of this name means something in an image: others are a host's own affair."""
    return attribute == CAPABILITY or attribute.startswith("user.")


def relative(path: str) -> str:
    """``path`` without leading ``/`` and ``./`` and without ``.`` parts, as layers hold it.

    Raises :class:`WherryError` if a part is ``..`` or the path holds a NUL.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        raise WherryError(f"path {path!r} leads out of its directory")
    return "/".join(parts)


def parents(path: str) -> list[str]:
    """The directories above ``path``, outermost first: ``a/b/c`` gives ``a``, ``a/b``."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]

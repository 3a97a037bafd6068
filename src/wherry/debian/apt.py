"""The files that apt is configured with on this machine (sources.list(5), apt.conf(5)), and whether they changed."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

VARIABLE = "WHERRY_DEBIAN_MIRROR"
CHECK_VARIABLE = "WHERRY_DEBIAN_CHECK_VALID_UNTIL"


def source_files(root: Path) -> list[Path]:
    """The files under ``root`` that name archives, in the order in which apt reads them."""
    apt = root / "etc/apt"
    parts = apt / "sources.list.d"
    named = sorted(path for path in parts.glob("*") if path.suffix in {".list", ".sources"}) if parts.is_dir() else []
    main = apt / "sources.list"
    return [path for path in (main, *named) if path.is_file()]


def setting_files(root: Path) -> list[Path]:
    """The files under ``root`` that hold apt's settings, in the order in which apt reads them."""
    apt = root / "etc/apt"
    parts = apt / "apt.conf.d"
    named = sorted(parts.glob("*")) if parts.is_dir() else []
    return [path for path in (*named, apt / "apt.conf") if path.is_file() and path.suffix in {"", ".conf"}]


def read(path: Path) -> str:
    """The text of the file at ``path``; none if it cannot be read: apt, too, goes on without files that it may not."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def fingerprint(wanted: str = "", root: Path = Path("/")) -> str:
    """A short text that changes when :func:`~wherry.debian.mirror.find_mirror` may give something else.

    Files are read, but not understood: it is asked for in every build.
    """
    wanted = wanted or os.environ.get(VARIABLE, "")
    digest = sha256(repr((wanted, os.environ.get(CHECK_VARIABLE, ""))).encode())
    if not wanted:
        for path in source_files(root):
            digest.update(read(path).encode())
    return digest.hexdigest()

"""Which Debian package a file of a root filesystem belongs to, as dpkg's database there tells (dpkg-query --search).

Debian's own images have ``var/lib/dpkg/info/NAME[:ARCHITECTURE].list``; images that were made without dpkg have
``var/lib/dpkg/status.d/NAME`` with ``NAME.md5sums``, which leaves links out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from wherry.wheels.root import Root

_INFO, _STATUS = "var/lib/dpkg/info", "var/lib/dpkg/status.d"
_LARGEST = 16 << 20  # bytes of a list of one package's files
_MERGED = {"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"}


class Owners:
    """The packages of ``root``. Its database is read once, when it is first asked."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def owner(self, path: str) -> str | None:
        """The package that the file at ``path`` comes from, or else the one that ``path`` leads to; or None."""
        real = self._root.resolve(path)
        found = self._packages.get(_placed(path))
        return found or (self._packages.get(_placed(real)) if real else None)

    @cached_property
    def _packages(self) -> dict[str, str]:
        """Names of packages by the paths of their files."""
        found: dict[str, str] = {}
        for package, path in self._rows():
            found.setdefault(path, package)
        return found

    def _rows(self) -> Iterator[tuple[str, str]]:
        for folder in (_INFO, _STATUS):
            for name in self._root.names(folder):
                stem, _, kind = name.rpartition(".")
                if kind not in {"list", "md5sums"}:
                    continue
                package = stem.partition(":")[0]
                text = self._root.read(f"{folder}/{name}", _LARGEST).decode("utf-8", "surrogateescape")
                for line in text.splitlines():
                    path = line.partition("  ")[2] if kind == "md5sums" else line
                    if placed := _placed(path.strip()):
                        yield package, placed


def _placed(path: str) -> str:
    """``path`` as it is with a merged /usr, relative: packages still name their files by /lib."""
    path = path.removeprefix("./").strip("/")
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path

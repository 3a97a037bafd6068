"""Which of a package's files go into an image, and under which path.

Left out is what only people at a terminal, or only tests and debuggers, ever read:

- documentation (``/usr/share/doc`` but for ``copyright``, which licences ask for; man, info, lintian, bug, …) and
  translations of messages;
- of Python: its own test suite and test modules, IDLE, Tk's demonstrations, and the texts of ``help()``;
- of glibc: its programs but ldconfig, which ``ctypes.util.find_library`` runs (libc-bin is there for that and the
  C.UTF-8 locale), and all character set converters but those of Unicode and Western European text (Python has its own);
- time zone data in its two other forms, with leap seconds and again without.
"""

from __future__ import annotations

import re

_SHARE = (
    "apport|base-files|bash-completion|binfmts|bug|debianutils|doc-base|fish|gcc|gdb|gtk-doc|help|info|linda|lintian|"
    "libc-bin|locale|man|menu|omf|reportbug|zsh"
)
_PROGRAMS = {"libc-bin": re.compile(r"usr/s?bin/(?!ldconfig$).+")}
_CONVERTERS = r"(?!gconv-modules|UTF-|UNICODE|ISO8859-15?\.|CP1252)"
_LEFT_OUT = re.compile(
    rf"""
    usr/share/(?:{_SHARE})(?:/.*)?
    | usr/share/doc/[^/]+/(?!copyright$).*
    | usr/share/zoneinfo/(?:right|posix)(?:/.*)?
    | usr/lib/[^/]+/gconv/{_CONVERTERS}[^/]+
    | usr/lib/binfmt\.d/.*
    | usr/lib/python3\.\d+/(?:test|idlelib|turtledemo|lib2to3/tests|ctypes/test|unittest/test|sqlite3/test
        |distutils/tests|tkinter/test|pydoc_data/topics\.py)(?:/.*)?
    | usr/lib/python3\.\d+/lib-dynload/(?:_test|_ctypes_test|_xxtestfuzz|xx)[^/]*
    | (?:.*/)?__pycache__(?:/.*)?
    | etc/(?:update-motd\.d|issue|issue\.net)(?:/.*)?
    """,
    re.X | re.S,
)

_MERGED = {"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"}
_MOVED = {"var/run": "run", "var/lock": "run/lock"}


def kept(path: str, package: str) -> bool:
    """Whether ``package``'s file at ``path`` (after :func:`placed`) goes into an image."""
    if package in _PROGRAMS and _PROGRAMS[package].fullmatch(path):
        return False
    return not _LEFT_OUT.fullmatch(path)


def placed(path: str) -> str:
    """Where the file at ``path`` really goes: /bin, /lib, … are links into /usr (UsrMerge), /var/run is one to /run."""
    first, slash, rest = path.partition("/")
    if first in _MERGED:
        return f"usr/{first}{slash}{rest}"
    for old, new in _MOVED.items():
        if path == old or path.startswith(f"{old}/"):
            return new + path[len(old) :]
    return path

"""Locks: pylock.toml (PEP 751) as text and as values.

The values are packaging's own :class:`~packaging.pylock.Pylock`. Relative paths in a lock of ours are relative
to the build context.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date, time
from typing import TYPE_CHECKING, TypeVar, overload

from wherry.errors import UsageError

if TYPE_CHECKING:
    from packaging.pylock import (
        Package,
        PackageArchive,
        PackageDirectory,
        PackageSdist,
        PackageVcs,
        PackageWheel,
        Pylock,
    )

    _Located = TypeVar("_Located", PackageArchive, PackageDirectory, PackageSdist, PackageVcs, PackageWheel)

EMPTY = 'lock-version = "1.0"\ncreated-by = "wherry"\npackages = []\n'
"""The lock of a project that requires nothing."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str, what: str = "the lock") -> Pylock:
    """Read and validate a lock. Raises :class:`UsageError` that names ``what``."""
    import tomllib

    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    hint = "Write it anew with the tool that made it."
    try:
        return Pylock.from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} is not valid TOML: {error}", hint=hint) from None
    except (PylockValidationError, PylockUnsupportedVersionError) as error:
        raise UsageError(f"{what} is not a valid lock (PEP 751): {error}", hint=hint) from None


def write(lock: Pylock) -> str:
    """``lock`` as text; :func:`parse` gives it back."""
    lines = [
        f"{_key(name)} = {_value(value)}" for name, value in _items(lock) if name != "packages" or not lock.packages
    ]
    for package in lock.packages:
        lines += ["", "[[packages]]"]
        lines += [f"{_key(name)} = {_value(value)}" for name, value in _items(package)]
    return "\n".join(lines) + "\n"


def table(value: Mapping[str, object]) -> str:
    """A table of texts, numbers, lists and tables as TOML."""
    return "".join(f"{_key(name)} = {_value(item)}\n" for name, item in value.items())


def rebased(lock: Pylock, folder: str) -> Pylock:
    """``lock`` with its relative paths, which start at ``folder``, starting at the context instead."""
    if folder in {"", "."}:
        return lock
    return with_packages(lock, [_rebased(package, folder) for package in lock.packages])


def with_project(lock: Pylock, name: str, path: str) -> Pylock:
    """``lock`` with the local project at ``path`` in it, unless it, or its name, is there already."""
    from packaging.pylock import Package, PackageDirectory
    from packaging.utils import canonicalize_name

    canonical = canonicalize_name(name)
    if any(package.name == canonical for package in lock.packages):
        return lock
    return with_packages(lock, [*lock.packages, Package(name=canonical, directory=PackageDirectory(path=path))])


def with_packages(lock: Pylock, packages: Sequence[Package]) -> Pylock:
    """``lock`` with other packages."""
    return replace(lock, packages=packages)


def _rebased(package: Package, folder: str) -> Package:
    return replace(
        package,
        vcs=_moved(package.vcs, folder),
        directory=_moved(package.directory, folder),
        archive=_moved(package.archive, folder),
        sdist=_moved(package.sdist, folder),
        wheels=package.wheels and [_moved(wheel, folder) for wheel in package.wheels],
    )


@overload
def _moved(part: _Located, folder: str) -> _Located: ...
@overload
def _moved(part: None, folder: str) -> None: ...
def _moved(part: _Located | None, folder: str) -> _Located | None:
    return replace(part, path=_join(folder, part.path)) if part is not None and part.path else part


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path.replace("\\", "/")))


def _items(value: object) -> Iterator[tuple[str, object]]:
    """The keys of a dataclass or a mapping that have a value."""
    if isinstance(value, Mapping):
        yield from ((str(name), item) for name, item in value.items() if item is not None)
    elif is_dataclass(value):
        for part in fields(value):
            item = getattr(value, part.name)
            if item is not None:
                yield part.name.replace("_", "-"), item


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        inner = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in _items(value))
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return _string(str(value))  # also markers, versions and specifiers


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'

"""What a requirements file says beside its requirements, as far as uv leaves it to us (pip's file format).

``uv pip compile`` reads the hashes in a file and does not hold its result to them, so we do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.plan import Indexes
from wherry.wheels.lock import with_packages

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

_HASH = re.compile(r"--hash[=\s]\s*(\w+):([0-9A-Fa-f]+)")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_INDEX = re.compile(r"\s*(?:-i|--index-url|--pypi-url)[=\s]")
_URL = re.compile(r"\s*(?:-i|--index-url|--pypi-url|--extra-index-url|-f|--find-links)[=\s]\s*[\"']?([^\s\"']+)")
_BINARY = re.compile(r"\s*--(no|only)-binary[=\s]\s*(\S+)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """``hashes`` are those allowed for each name, as ``algorithm:digits``.

    ``hashed`` says that every file must have one of them, ``own_index`` that there is an ``--index-url``, ``urls``
    are those of all indexes and pages of files. ``no_binary`` and ``only_binary`` are the options of that name.
    """

    hashes: Mapping[str, frozenset[str]]
    hashed: bool = False
    own_index: bool = False
    urls: tuple[str, ...] = ()
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``${NAME}`` filled in, as pip and uv do; what has no value stays."""
    return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[0], text)


def read_options(texts: Iterable[str]) -> FileOptions:
    """The options in requirements files (a file, and all that it includes)."""
    hashes: dict[str, frozenset[str]] = {}
    hashed = own_index = False
    urls: list[str] = []
    named: dict[str, set[str]] = {"no": set(), "only": set()}
    for line in (line for text in texts for line in _lines(text)):
        own_index = own_index or _INDEX.match(line) is not None
        if url := _URL.match(line):
            urls.append(url[1])
        if kind := _BINARY.match(line):
            names = {_canonical(name) for name in kind[2].split(",") if name}
            named[kind[1]] = (named[kind[1]] | names) - {":none:"} if ":none:" not in names else set()
        hashed = hashed or line.strip() == "--require-hashes"
        found = {f"{algorithm.lower()}:{digits.lower()}" for algorithm, digits in _HASH.findall(line)}
        if found:
            hashed = True
            if name := _NAME.match(line):
                canonical = _canonical(name[1])
                hashes[canonical] = hashes.get(canonical, frozenset()) | found
    no_binary, only_binary = frozenset(named["no"]), frozenset(named["only"])
    return FileOptions(hashes, hashed, own_index, tuple(urls), no_binary, only_binary)


def read_indexes(texts: Iterable[str]) -> Indexes:
    """Where distributions come from, as requirements files say (a file, and all that it includes)."""
    found: dict[str, list[str]] = {"index": [], "extra": [], "links": []}
    kinds = {"-i": "index", "--index-url": "index", "--pypi-url": "index", "--extra-index-url": "extra"}
    no_index = False
    for line in (line.strip() for text in texts for line in _lines(text)):
        no_index = no_index or line == "--no-index"
        if value := _URL.match(line):
            option = re.split(r"[=\s]", line, maxsplit=1)[0]
            found[kinds.get(option, "links")].append(value[1].strip("\"'"))
    return Indexes((found["index"] or [""])[-1], tuple(found["extra"]), tuple(found["links"]), no_index)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def held_to(lock: Pylock, options: FileOptions, what: str) -> Pylock:
    """``lock`` with only those files that ``options`` allow; all of it if they name no hashes.

    As with pip, one hash means that every requirement needs one; exceptions are local projects, and repositories of
    which the commit was written: that says as much (locks' exports have them beside hashes).
    Raises :class:`WherryError` for requirements without one, or whose files all have others.
    """
    if not options.hashed:
        return lock
    checked = [package for package in lock.packages if not _is_exempt(package)]
    if bare := [str(package.name) for package in checked if package.name not in options.hashes]:
        raise WherryError(
            f"{what} has hashes, but none for: {', '.join(bare)}",
            hint="Once one requirement has a hash, every one needs it, also those that others bring in: "
            "`uv pip compile --generate-hashes` writes them all.",
        )
    packages = [
        package if _is_exempt(package) else _allowed(package, options.hashes[package.name]) for package in lock.packages
    ]
    if wrong := [f"{package.name} {package.version or ''}".strip() for package in packages if _is_empty(package)]:
        raise WherryError(
            f"no file in the index has a hash that {what} allows for: {', '.join(wrong)}",
            hint="Either the files were replaced where they are served, or the hashes are wrong.",
        )
    return with_packages(lock, packages)


def _is_exempt(package: Package) -> bool:
    vcs = package.vcs
    return package.directory is not None or (vcs is not None and vcs.requested_revision == vcs.commit_id)


def _allowed(package: Package, hashes: frozenset[str]) -> Package:
    from dataclasses import replace

    def allowed(found: Mapping[str, str]) -> bool:
        return any(f"{algorithm}:{digits.lower()}" in hashes for algorithm, digits in found.items())

    return replace(
        package,
        archive=package.archive if package.archive and allowed(package.archive.hashes) else None,
        sdist=package.sdist if package.sdist and allowed(package.sdist.hashes) else None,
        wheels=[wheel for wheel in package.wheels or () if allowed(wheel.hashes)] or None,
    )


def _is_empty(package: Package) -> bool:
    return not (package.directory or package.vcs or package.archive or package.sdist or package.wheels)


def _lines(text: str) -> Iterator[str]:
    """Logical lines: continued ones joined, comments left out."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        bare = _COMMENT.sub("", line)
        if bare.strip():
            yield bare

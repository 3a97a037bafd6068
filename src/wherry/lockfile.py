"""wherry.lock: pins as TOML, written so that a difference of two can be read, and read without trusting a word."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from wherry.errors import Place, UsageError
from wherry.image.platform import Platform
from wherry.pins import (
    Archive,
    BaseWish,
    ImageWish,
    PackagesWish,
    PinnedBase,
    PinnedPackage,
    Pins,
    ResolutionWish,
)

NAME = "wherry.lock"
_FORMAT = 1
_HEAD = "# Written by `wherry lock`: what the build of this project is made of. Keep it with the project.\n"
_ANEW = "Take it from where it was good, or remove it: `wherry lock` writes it anew."

_ARCHIVES = ("main", "updates", "security")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+")
_PATH = re.compile(r"[A-Za-z0-9+~:=@,!%._-]+(?:/[A-Za-z0-9+~:=@,!%._-]+)*")
_PYTHON = re.compile(r"3\.\d+[\w.]*")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_LARGEST = 64 << 20

Table = Mapping[str, object]
_Wish = TypeVar("_Wish")
_Answer = TypeVar("_Answer")


def read(folder: Path) -> Pins | None:
    """The pins in ``folder``; None if there is no lock. Raises :class:`UsageError`, with the place, for a bad one."""
    path = folder / NAME
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _wrong("it is no file")
        if status.st_size > _LARGEST:
            raise _wrong("it is larger than any lock")
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        if path.is_symlink():
            raise _wrong("it is a link to nothing") from None
        return None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", place=Place(NAME)) from None
    except UnicodeDecodeError:
        raise _wrong("it is not UTF-8") from None
    return parse(text)


# -- writing -------------------------------------------------------------------------------------------


def write(pins: Pins) -> str:
    """``pins`` as text; :func:`parse` gives them back."""
    return "".join(_lines(pins))


def _lines(pins: Pins) -> Iterator[str]:
    yield f"{_HEAD}version = {_FORMAT}\n\n[made-for]\n"
    for name, value in pins.made_for.items():
        yield _line(name, value)
    for image, digest in sorted(pins.images.items()):
        yield "\n[[image]]\n"
        yield _line("name", image.source)
        yield _line("platform", image.platform)
        yield _line("digest", digest)
    for base in sorted(pins.bases):
        found = pins.bases[base]
        yield "\n[[base]]\n"
        yield _line("name", base.source)
        yield _line("platform", base.platform)
        yield _line("python-wanted", base.python)
        yield _line("version", found.version)
        yield _line("python", found.python)
        yield from _packages("packages", found.packages)
        yield from _packages("included", found.included)
    for wish in sorted(pins.packages):
        yield "\n[[packages]]\n"
        yield f"names = [{', '.join(map(_string, wish.names))}]\n"
        yield _line("suite", wish.suite)
        yield _line("platform", wish.platform)
        yield _line("beyond", wish.beyond)
        yield from _packages("packages", pins.packages[wish])
    for asked in sorted(pins.resolutions):
        yield "\n[[resolution]]\n"
        yield _line("requirements", asked.requirements)
        yield _line("inputs", asked.inputs)
        yield _line("platform", asked.platform)
        yield _line("libc", asked.libc)
        yield _line("python", asked.python)
        yield f"lock = {_text(pins.resolutions[asked])}\n"


def _packages(name: str, packages: Iterable[PinnedPackage]) -> Iterator[str]:
    listed = sorted(packages)
    if not listed:
        yield f"{name} = []\n"
        return
    yield f"{name} = [\n"
    for one in listed:
        fields = {
            "name": _string(one.name),
            "version": _string(one.version),
            "architecture": _string(one.architecture),
            "archive": _string(one.archive),
            "path": _string(one.path),
            "size": str(one.size),
            "sha256": _string(one.sha256),
        }
        yield f"    {{ {', '.join(f'{key} = {value}' for key, value in fields.items())} }},\n"
    yield "]\n"


def _line(name: str, value: str) -> str:
    return f"{name if _BARE.fullmatch(name) else _string(name)} = {_string(value)}\n"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(text: str) -> str:
    """A text of several lines, as it is if TOML can hold it so."""
    if "'''" in text or text.endswith("'") or any(char < " " and char not in "\n\t" for char in text) or "\x7f" in text:
        return _string(text)
    return f"'''\n{text}'''"


# -- reading -------------------------------------------------------------------------------------------


def parse(text: str) -> Pins:
    """The pins that ``text`` holds. Raises :class:`UsageError`, with the place, if it is not what we write."""
    import tomllib

    try:
        values: Table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        place = Place(NAME, int(at[1]), int(at[2])) if at else Place(NAME, text.count("\n") + 1)
        raise UsageError(f"not valid TOML: {_AT.sub('', str(error))}", place=place, hint=_ANEW) from None
    except RecursionError:
        raise _wrong("not valid TOML: nested too deeply") from None
    version = values.get("version")
    if version != _FORMAT or isinstance(version, bool):
        if isinstance(version, int) and version > _FORMAT:
            raise UsageError(
                f"it has format {version}, and this wherry knows {_FORMAT}",
                place=Place(NAME),
                hint="It was written by a newer wherry: use that, or write it anew with `wherry lock`.",
            )
        raise _wrong("it has no version = 1")
    _only(values, "", ("version", "made-for", "image", "base", "packages", "resolution"))
    made_for = _table(values.get("made-for", {}), "made-for")
    return Pins(
        {name: _str(made_for, name, "made-for") for name in made_for},
        _unique(map(_image, *_each(values, "image")), "image"),
        _unique(map(_base, *_each(values, "base")), "base"),
        _unique(map(_set, *_each(values, "packages")), "packages"),
        _unique(map(_resolution, *_each(values, "resolution")), "resolution"),
    )


def _image(table: Table, where: str) -> tuple[ImageWish, str]:
    _only(table, where, ("name", "platform", "digest"))
    wish = ImageWish(_name(table, where), _platform(table, where))
    return wish, _matching(table, "digest", where, _DIGEST)


def _base(table: Table, where: str) -> tuple[BaseWish, PinnedBase]:
    _only(table, where, ("name", "platform", "python-wanted", "version", "python", "packages", "included"))
    wish = BaseWish(_name(table, where), _platform(table, where), _str(table, "python-wanted", where))
    packages = _listed(table, "packages", where)
    if not any(one.name == "libc6" for one in packages):
        raise _wrong(f"{where}.packages has no libc6")
    return wish, PinnedBase(
        _matching(table, "version", where, _VERSION),
        _matching(table, "python", where, _PYTHON),
        packages,
        _listed(table, "included", where),
    )


def _set(table: Table, where: str) -> tuple[PackagesWish, tuple[PinnedPackage, ...]]:
    _only(table, where, ("names", "suite", "platform", "beyond", "packages"))
    names = table.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong(f"{where}.names should be a list of strings")
    wish = PackagesWish(
        _matching(table, "suite", where, _SUITE),
        _platform(table, where),
        tuple(names),
        _matching(table, "beyond", where, _SHA256),
    )
    return wish, _listed(table, "packages", where)


def _resolution(table: Table, where: str) -> tuple[ResolutionWish, str]:
    _only(table, where, ("requirements", "inputs", "platform", "libc", "python", "lock"))
    wish = ResolutionWish(
        _str(table, "requirements", where),
        _matching(table, "inputs", where, _SHA256),
        _platform(table, where),
        _str(table, "libc", where),
        _matching(table, "python", where, _PYTHON),
    )
    return wish, _str(table, "lock", where)


def _listed(table: Table, name: str, where: str) -> tuple[PinnedPackage, ...]:
    found = tuple(map(_package, *_each(table, name, f"{where}.")))
    if len({one.name for one in found}) < len(found):
        raise _wrong(f"{where}.{name} has a package twice")
    return found


def _package(table: Table, where: str) -> PinnedPackage:
    _only(table, where, ("name", "version", "architecture", "archive", "path", "size", "sha256"))
    size = table.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _wrong(f"{where}.size should be a number of bytes")
    archive = _str(table, "archive", where)
    if archive not in _ARCHIVES:
        raise _wrong(f"{where}.archive should be one of {', '.join(_ARCHIVES)}")
    path = _matching(table, "path", where, _PATH)
    if {".", ".."} & set(path.split("/")) or "%2f" in path.lower() or "%2e" in path.lower():
        raise _wrong(f"{where}.path leads out of the archive")
    return PinnedPackage(
        _matching(table, "name", where, _PACKAGE),
        _matching(table, "version", where, _VERSION),
        _matching(table, "architecture", where, _PACKAGE),
        cast("Archive", archive),
        path,
        size,
        _matching(table, "sha256", where, _SHA256),
    )


def _each(table: Table, name: str, above: str = "") -> tuple[Sequence[Table], Sequence[str]]:
    """The tables in the list ``name``, and where each of them is."""
    value = table.get(name, [])
    if not isinstance(value, list):
        raise _wrong(f"{above}{name} should be a list of tables")
    places = [f"{above}{name}[{number}]" for number in range(len(value))]
    return [_table(item, place) for item, place in zip(value, places, strict=True)], places


def _table(value: object, where: str) -> Table:
    if not isinstance(value, dict):
        raise _wrong(f"{where} should be a table")
    return value


def _only(table: Table, where: str, known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            raise _wrong(f"unknown key {f'{where}.{name}'.lstrip('.')}")


def _str(table: Table, name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise _wrong(f"{where}.{name} should be a string")
    return value


def _name(table: Table, where: str) -> str:
    value = _str(table, "name", where)
    if not value.isprintable() or not value:
        raise _wrong(f"{where}.name should be the name of a base")
    return value


def _matching(table: Table, name: str, where: str, pattern: re.Pattern[str]) -> str:
    value = _str(table, name, where)
    if not pattern.fullmatch(value):
        raise _wrong(f"{where}.{name} is not what it should be: {value[:80]!r}")
    return value


def _platform(table: Table, where: str) -> str:
    text = _str(table, "platform", where)
    try:
        if str(Platform.parse(text)) == text:
            return text
    except UsageError:
        pass
    raise _wrong(f"{where}.platform is not a platform: {text[:80]!r}")


def _unique(pairs: Iterable[tuple[_Wish, _Answer]], what: str) -> dict[_Wish, _Answer]:
    found: dict[_Wish, _Answer] = {}
    for wish, answer in pairs:
        if wish in found:
            raise _wrong(f"it has two answers for {wish} in {what}")
        found[wish] = answer
    return found


def _wrong(message: str) -> UsageError:
    return UsageError(message, place=Place(NAME), hint=_ANEW)

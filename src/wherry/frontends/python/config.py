"""``[tool.wherry]`` of pyproject.toml, or wherry.toml: what a project says about its image.

docs/configuration.md documents every key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wherry.errors import Place, UsageError, did_you_mean
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import Words
from wherry.image.platform import Platform
from wherry.plan import NativeLibs
from wherry.sources.ignore import Patterns

FILE = "wherry.toml"

# Compiled when they are used, which for most projects is never.
_PACKAGE = r"[a-z0-9][a-z0-9+.-]+"
_PORT = r"(\d{1,5})(?:/(tcp|udp|sctp))?"
_VERSION = r"\d+(\.\d+){0,2}((a|b|rc)\d+)?"
_SPECIFIER = r"\s*(~=|===?|!=|<=?|>=?)\s*[\w.*+!-]+\s*"
_DISTRIBUTION = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?"


@dataclass(frozen=True, slots=True)
class Config:
    """A project's settings; None or empty where it says nothing. ``source`` names the table they are in."""

    source: str = ""
    base: str = ""
    python: str = ""
    entrypoint: Words | None = None
    cmd: Words | None = None
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()
    build_base: str = ""
    build_packages: tuple[str, ...] = ()
    build_env: tuple[tuple[str, str], ...] = ()
    build_constraints: tuple[str, ...] = ()
    config_settings: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    native_libs: NativeLibs | None = None
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    bytecode: bool | None = None
    platforms: tuple[Platform, ...] = ()
    mirror: str = ""
    outside: tuple[str, ...] = ()
    entrypoint_place: Place | None = None


def read(folder: Folder, pyproject: Document) -> Config:
    """The project's settings.

    Raises :class:`UsageError`, with file and line, for an unknown key, a wrong type or value, or settings
    in both files.
    """
    own = Document.read(folder, FILE)
    inner = pyproject.table("tool", "wherry")
    if folder.has(FILE):
        if "wherry" in pyproject.table("tool"):
            raise UsageError(
                f"settings are in both {FILE} and [tool.wherry] of {pyproject.file}",
                place=pyproject.place("tool", "wherry"),
                hint="Keep one of them.",
            )
        return _read(_Reader(own, ()), own.values, FILE)
    return _read(_Reader(pyproject, ("tool", "wherry")), inner, "[tool.wherry]")


def version(text: str, place: Place | None = None) -> str:
    """``text`` if it is a Python version (3.13) or a specifier set (>=3.11,<3.14); else :class:`UsageError`."""
    text = text.strip()
    if not re.fullmatch(_VERSION, text) and not all(re.fullmatch(_SPECIFIER, part) for part in text.split(",")):
        hint = "Write a version such as 3.13, or a range such as >=3.11,<3.14."
        raise UsageError(f"{text!r} is not a Python version", place=place, hint=hint)
    return text


def port(value: object, place: Place | None = None) -> str:
    """A port as images hold it: ``8080`` is ``8080/tcp``. Raises :class:`UsageError` if it is none."""
    match = re.fullmatch(_PORT, str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if not match or not 0 < int(match[1]) < 65536:
        raise UsageError(f"{value!r} is not a port", place=place, hint="Write 8080 or '8080/udp'.")
    return f"{int(match[1])}/{match[2] or 'tcp'}"


def workdir(text: str, place: Place | None = None) -> str:
    """An absolute directory, cleaned. Raises :class:`UsageError` if it is relative."""
    import posixpath

    if not text.startswith("/") or "\0" in text:
        raise UsageError(f"workdir must be an absolute path, not {text!r}", place=place)
    return "/" + posixpath.normpath(text).lstrip("/")


def user(value: object, place: Place | None = None) -> str:
    """A user, or user:group, by name or number. Raises :class:`UsageError` for anything else."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(_USER, text):
        raise UsageError(f"{value!r} is not a user", place=place, hint="Write a name or a number, or user:group.")
    return text


def package(text: str, place: Place | None = None) -> str:
    """The name of a Debian package. Raises :class:`UsageError` if it cannot be one."""
    if not re.fullmatch(_PACKAGE, text):
        hint = "A Debian package's name has lower-case letters, digits, '+', '-' and '.'; its version is the suite's."
        raise UsageError(f"{text!r} is not the name of a Debian package", place=place, hint=hint)
    return text


def distribution(text: str, place: Place | None = None) -> str:
    """A distribution's name, normalised, or ``:all:`` or ``:none:``. Raises :class:`UsageError` if it is none."""
    if text in {":all:", ":none:"}:
        return text
    if not re.fullmatch(_DISTRIBUTION, text):
        raise UsageError(f"{text!r} is not the name of a distribution", place=place, hint="Write a name, or :all:.")
    return re.sub(r"[-_.]+", "-", text).lower()


def constraint(text: str, place: Place | None = None) -> str:
    """A constraint on a distribution's version (PEP 508). Raises :class:`UsageError` for anything else."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        hint = "Write a name and versions, such as setuptools<81."
        raise UsageError(f"{text!r} is not a constraint: {error}", place=place, hint=hint) from None


def native_libs(text: str, place: Place | None = None) -> NativeLibs:
    """How the shared libraries of built wheels come along. Raises :class:`UsageError` for an unknown way."""
    if text == "packages":
        return "packages"
    if text == "vendor":
        return "vendor"
    hint = "packages: add them as Debian packages (the default). vendor: put them into the wheel."
    raise UsageError(f"native-libs cannot be {text!r}", place=place, hint=hint)


def outside(text: str, place: Place | None = None) -> str:
    """A relative path that leads out of the project, cleaned. Raises :class:`UsageError` if it is none."""
    import posixpath

    if not text.startswith("../") or "\0" in text:
        hint = "Write a path that is relative to the project, such as ../lib."
        raise UsageError(f"outside has {text!r}, which does not start with '../'", place=place, hint=hint)
    return posixpath.normpath(text)


def variable(name: str, place: Place | None = None) -> str:
    """The name of an environment variable. Raises :class:`UsageError` if it cannot be one."""
    if not name or "=" in name or "\0" in name:
        raise UsageError(f"{name!r} is not the name of a variable", place=place)
    return name


class _Reader:
    """Reads the keys of one table, strictly."""

    def __init__(self, document: Document, prefix: tuple[str, ...]) -> None:
        self._document = document
        self._prefix = prefix

    def place(self, *key: str) -> Place:
        return self._document.place(*self._prefix, *key)

    def wrong(self, key: str, what: str, hint: str | None = None) -> UsageError:
        return UsageError(f"{key} must be {what}", place=self.place(key), hint=hint)

    def text(self, key: str, value: object, hint: str | None = None) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "a string", hint)
        return value.strip()

    def flag(self, key: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def items(self, key: str, value: object, what: str = "a list of strings") -> list[object]:
        if not isinstance(value, list):
            raise self.wrong(key, what)
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        items = self.items(key, value)
        return tuple(self.text(key, item, "Each item must be a string that is not empty.") for item in items)

    def names(self, key: str, value: object) -> tuple[str, ...]:
        return tuple(distribution(item, self.place(key)) for item in self.texts(key, value))

    def words(self, key: str, value: object) -> Words:
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(str(item) for item in value)
        raise self.wrong(key, "a command: a string or a list of strings", 'Example: ["python", "main.py"].')

    def pairs(self, key: str, value: object) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a table of strings")
        pairs = []
        for name, item in value.items():
            if isinstance(item, bool) or not isinstance(item, str | int | float) or "\0" in str(item):
                hint = "Put it in quotes." if isinstance(item, bool) else None
                raise UsageError(f"{key}.{name} must be a string or a number", place=self.place(key, name), hint=hint)
            pairs.append((variable(name, self.place(key, name)), str(item)))
        return tuple(pairs)

    def settings(self, key: str, value: object) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """Settings of backends: ``name = "text"`` for all, ``distribution = { name = ["text", …] }`` for one."""
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a table")
        found: list[tuple[str, str, tuple[str, ...]]] = []
        for name, item in value.items():
            if isinstance(item, Mapping):
                of = distribution(name, self.place(key, name))
                found += [(of, inner, self._setting(key, name, one)) for inner, one in item.items()]
            else:
                found.append(("", name, self._setting(key, name, item)))
        return tuple(found)

    def _setting(self, key: str, name: str, value: object) -> tuple[str, ...]:
        if isinstance(value, bool):
            value = "true" if value else "false"
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise UsageError(f"{key}.{name} must be a string or a list of strings", place=self.place(key, name))
        return tuple(items)

    def patterns(self, key: str, value: object) -> tuple[str, ...]:
        patterns = self.texts(key, value)
        for pattern in patterns:
            if pattern.startswith("!"):
                other = "exclude" if key == "include" else "include"
                raise UsageError(f"{key} takes no '!'", place=self.place(key), hint=f"Put {pattern[1:]} into {other}.")
            try:
                Patterns([pattern])
            except UsageError as error:
                raise UsageError(f"{key}: {error.message}", place=self.place(key), hint=error.hint) from None
        return patterns

    def platform(self, key: str, text: str) -> Platform:
        try:
            return Platform.parse(text)
        except UsageError as error:
            raise UsageError(error.message, place=self.place(key), hint=error.hint) from None


def _read(reader: _Reader, values: Mapping[str, object], source: str) -> Config:
    fields: dict[str, Callable[[str, object], object]] = {
        "base": reader.text,
        "python": lambda key, value: version(
            reader.text(key, value, "Put the version in quotes: 3.10 without them is 3.1."), reader.place(key)
        ),
        "entrypoint": reader.words,
        "cmd": reader.words,
        "env": reader.pairs,
        "workdir": lambda key, value: workdir(reader.text(key, value), reader.place(key)),
        "user": lambda key, value: user(value, reader.place(key)),
        "ports": lambda key, value: tuple(
            port(item, reader.place(key)) for item in reader.items(key, value, "a list of ports")
        ),
        "labels": reader.pairs,
        "packages": lambda key, value: tuple(package(item, reader.place(key)) for item in reader.texts(key, value)),
        "build-base": reader.text,
        "build-packages": lambda key, value: tuple(
            package(item, reader.place(key)) for item in reader.texts(key, value)
        ),
        "build-env": reader.pairs,
        "build-constraints": lambda key, value: tuple(
            constraint(item, reader.place(key)) for item in reader.texts(key, value)
        ),
        "config-settings": reader.settings,
        "native-libs": lambda key, value: native_libs(reader.text(key, value), reader.place(key)),
        "no-binary": reader.names,
        "only-binary": reader.names,
        "include": reader.patterns,
        "exclude": reader.patterns,
        "bytecode": reader.flag,
        "platforms": lambda key, value: tuple(reader.platform(key, item) for item in reader.texts(key, value)),
        "mirror": reader.text,
        "outside": lambda key, value: tuple(outside(item, reader.place(key)) for item in reader.texts(key, value)),
    }
    found: dict[str, object] = {}
    for key, value in values.items():
        if key not in fields:
            hint = did_you_mean(key, fields)
            if source == FILE and key == "tool":
                hint = f"In {FILE} the keys stand at the top, without [tool.wherry]."
            raise UsageError(f"unknown key {key!r} in {source}", place=reader.place(key), hint=hint)
        found[key.replace("-", "_")] = fields[key](key, value)
    if not found:
        return Config()
    place = reader.place("entrypoint" if "entrypoint" in found else "cmd")
    return Config(source, entrypoint_place=place, **found)  # type: ignore[arg-type]  # each by its own reader above

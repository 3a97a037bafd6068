"""The configuration files of this machine's user: where they are, and TOML read without trusting its types."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import Place, UsageError, did_you_mean


def user_folder() -> Path | None:
    """XDG_CONFIG_HOME, or ``.config`` in the home folder; None where there is neither (XDG base directories)."""
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if named.is_absolute():
        return named
    try:
        return Path.home() / ".config"
    except RuntimeError:  # no HOME, and a user that the system does not know
        return None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a TOML file. What it does not hold is None; what is of another type raises :class:`UsageError`."""

    file: str
    name: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return Place(self.file)

    def string(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(key, "a string")

    def boolean(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong(key, "true or false")

    def strings(self, key: str) -> tuple[str, ...] | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong(key, "a list of strings")
        texts = tuple(item for item in value if isinstance(item, str))
        if len(texts) != len(value):
            raise self._wrong(key, "a list of strings")
        return texts

    def table(self, key: str) -> Table:
        """The table at ``key``, or an empty one."""
        return self._table(self.values.get(key, {}), key, "a table")

    def tables(self, key: str) -> tuple[Table, ...]:
        """The tables in the array at ``key``."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "an array of tables")
        return tuple(self._table(item, key, "an array of tables") for item in value)

    def expect(self, known: Collection[str], hint: str | None = None) -> None:
        """Raise :class:`UsageError` for a key that is none of ``known``, with the nearest of them or ``hint``."""
        for key in self.values:
            if key not in known:
                raise UsageError(
                    f"unknown key {self.path(key)}", place=self.place, hint=hint or did_you_mean(key, known)
                )

    def path(self, key: str) -> str:
        """``key`` as it is written from the top of the file."""
        written = key if key and all(char.isalnum() or char in "-_" for char in key) else f'"{key}"'
        return f"{self.name}.{written}" if self.name else written

    def _table(self, value: object, key: str, wanted: str) -> Table:
        if not isinstance(value, Mapping):
            raise self._wrong(key, wanted)
        return Table(self.file, self.path(key), value)

    def _wrong(self, key: str, wanted: str) -> UsageError:
        return UsageError(f"{self.path(key)} must be {wanted}", place=self.place)


def read_table(path: Path, *, named_by: str = "") -> Table | None:
    """The TOML file at ``path``; None if there is none.

    One that is not for us to read counts as none. Raises :class:`UsageError` for one that is broken, and for all that
    the variable ``named_by`` names and is not there.
    """
    import tomllib

    place = Place(str(path))
    try:
        values: Mapping[str, object] = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        if named_by:
            raise UsageError(f"{named_by} names {path}, which cannot be read: {error.strerror or error}") from None
        if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return None
        raise UsageError(f"cannot be read: {error.strerror or error}", place=place) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not valid TOML: {error}", place=place) from None
    except RecursionError:
        raise UsageError("not valid TOML: nested too deeply", place=place) from None
    return Table(str(path), values=values)

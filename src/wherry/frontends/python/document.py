"""TOML files whose keys know their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.errors import Place, UsageError
from wherry.frontends.python.folder import Folder

Toml = Mapping[str, object]

_POSITION = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_HEADER = r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$"
_KEY = r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file: its name, its text and its values. One that does not exist is empty."""

    file: str
    text: str = ""
    values: Toml = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Folder, file: str) -> Document:
        """Read ``file``. Raises :class:`UsageError` with line and column if it is not TOML."""
        if not folder.has(file):
            return cls(file)
        import tomllib

        text = folder.text(file)
        try:
            return cls(file, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            position = re.search(_POSITION, message)
            line, column = text.count("\n") + 1, 0
            if position and position[1]:
                line, column = int(position[1]), int(position[2])
            message = re.sub(_POSITION, "", message)
            raise UsageError(f"not valid TOML: {message}", place=Place(file, line, column)) from None
        except RecursionError:
            raise UsageError("not valid TOML: nested too deeply", place=Place(file)) from None

    def table(self, *path: str) -> Toml:
        """The table at ``path``, or an empty one. Raises :class:`UsageError` if it is something else."""
        value: object = self.values
        for count, name in enumerate(path, 1):
            value = value.get(name, {}) if isinstance(value, Mapping) else {}
            if not isinstance(value, Mapping):
                raise UsageError(f"{'.'.join(path[:count])} must be a table", place=self.place(*path[:count]))
        assert isinstance(value, Mapping)
        return value

    def strings(self, *path: str) -> tuple[str, ...]:
        """The array of strings at ``path``, or an empty one. Raises :class:`UsageError` for anything else."""
        value = self.table(*path[:-1]).get(path[-1], [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{'.'.join(path)} must be a list of strings", place=self.place(*path))
        return tuple(value)

    def place(self, *path: str) -> Place:
        """Where the key or table at ``path`` is written, as well as can be told; else its nearest parent."""
        best, best_depth, table = 0, 0, tuple[str, ...]()
        for number, line in enumerate(self.text.split("\n"), 1):
            if header := re.match(_HEADER, line):
                table = written = _parts(header[1])
            elif key := re.match(_KEY, line):
                written = table + _parts(key[1])
            else:
                continue
            depth = len(written) if path[: len(written)] == written else 0
            if not depth and written[: len(path)] == path:  # a key below it: [a.b.c] writes a.b, too
                depth = len(path)
            if depth > best_depth:
                best, best_depth = number, depth
        return Place(self.file, best)


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", key))

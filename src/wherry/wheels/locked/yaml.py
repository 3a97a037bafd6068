"""As much of YAML as conda-lock writes: mappings and lists in block style, texts on one line or folded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from wherry.errors import Place, UsageError

_KEY = r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#{}\[\],&*!|>%@`-][^#]*?)"""
_PAIR = re.compile(_KEY + r"\s*:(?:\s+(.*))?$")

Value = dict[str, object] | list[object] | str | None


def read(text: str, file: str) -> dict[str, object]:
    """The mapping in ``text``; every scalar is a text. Raises :class:`UsageError` at ``file`` for anything else."""
    reader = _Reader(_lines(text), file)
    value = reader.block(0)
    if reader.position < len(reader.lines) or not isinstance(value, dict):
        raise reader.broken()
    return value


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


def _lines(text: str) -> list[_Line]:
    """The lines that say something; what follows ``- `` is a line of its own, further in."""
    found: list[_Line] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.rstrip()
        if not bare or bare.lstrip().startswith("#") or bare == "---":
            continue
        indent = len(bare) - len(bare.lstrip(" "))
        rest = bare[indent:]
        while rest == "-" or rest.startswith("- "):
            found.append(_Line(number, indent, "-"))
            inner = rest[1:].lstrip(" ")
            indent += len(rest) - len(inner)
            rest = inner
        if rest:
            found.append(_Line(number, indent, rest))
    return found


@dataclass(slots=True)
class _Reader:
    lines: list[_Line]
    file: str
    position: int = 0

    def block(self, indent: int) -> Value:
        """The value whose lines begin at ``indent`` or further in."""
        if self.position >= len(self.lines) or self.lines[self.position].indent < indent:
            return None
        first = self.lines[self.position]
        if first.text == "-":
            return self.items(first.indent)
        if _PAIR.match(first.text):
            return self.pairs(first.indent)
        return self.scalar(first.indent - 1, "")

    def items(self, indent: int) -> list[object]:
        found: list[object] = []
        while self.at(indent) == "-":
            self.position += 1
            found.append(self.block(indent + 1))
        return found

    def pairs(self, indent: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while (line := self.at(indent)) and line != "-":
            pair = _PAIR.match(line)
            if not pair:
                raise self.broken()
            self.position += 1
            rest = pair[2] or ""
            if rest:
                found[_plain(pair[1])] = self.scalar(indent, rest)
            elif self.at(indent) == "-":  # lists may stand as far out as their key
                found[_plain(pair[1])] = self.items(indent)
            else:
                found[_plain(pair[1])] = self.block(indent + 1)
        return found

    def scalar(self, indent: int, begun: str) -> Value:
        """A text that may go on in the lines further in than ``indent``."""
        words = [begun] if begun else []
        while self.position < len(self.lines) and self.lines[self.position].indent > indent:
            words.append(self.lines[self.position].text)
            self.position += 1
        text = " ".join(words)
        if text in {"{}", "[]"}:
            return {} if text == "{}" else []
        if text[:1] in {"{", "[", "&", "*", "!", "|", ">"}:
            self.position -= 1
            raise self.broken()
        return _plain(text)

    def at(self, indent: int) -> str:
        """The text of the next line if it begins at ``indent``, else an empty one."""
        here = self.lines[self.position] if self.position < len(self.lines) else None
        return here.text if here is not None and here.indent == indent else ""

    def broken(self) -> UsageError:
        line = self.lines[min(self.position, len(self.lines) - 1)].number if self.lines else 0
        hint = "Only what conda-lock itself writes is read: run `conda-lock`."
        return UsageError("not in the form that conda-lock writes", place=Place(self.file, line), hint=hint)


def _plain(text: str) -> str:
    text = text.strip()
    if text[:1] == "'" and text[-1:] == "'":
        return text[1:-1].replace("''", "'")
    if text[:1] == '"' and text[-1:] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text

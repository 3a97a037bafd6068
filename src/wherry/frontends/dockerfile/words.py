"""The words of an instruction's line, before anything is expanded: flags, arguments, ``name=value`` pairs, JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from wherry.frontends.dockerfile.gotext import SPACE, quote

_BLANKS = "[\t\v\f\r ]+"
_SPACE = frozenset(SPACE)


class WordsError(ValueError):
    """A line that cannot be split into words; its text says why."""


@dataclass(frozen=True, slots=True)
class Words:
    """A line in its parts: the instruction's name as written, its flags, and the rest."""

    keyword: str
    flags: tuple[str, ...]
    rest: str


def split(line: str) -> Words:
    """The parts of an instruction's line."""
    parts = re.split(_BLANKS, line.strip(SPACE), maxsplit=1)
    flags, rest = _flags(parts[1]) if len(parts) == 2 else ((), "")
    return Words(parts[0], flags, rest.strip(SPACE))


def blanks(text: str) -> tuple[str, ...]:
    """Words between blanks, quotes meaning nothing."""
    return tuple(re.split(_BLANKS, text)) if text else ()


def quoted(text: str, escape: str) -> tuple[str, ...]:
    """Words between white space that is neither quoted nor escaped. Quotes and escapes stay in them."""
    words: list[str] = []
    word: list[str] = []
    quote_mark = ""
    present = False  # quotes make a word, though it be empty
    position = 0
    special = _special(escape)
    while position < len(text):
        found = special.search(text, position)
        end = found.start() if found else len(text)
        word.append(text[position:end])
        if not found:
            break
        char, position = text[end], end + 1
        if char == escape and quote_mark != "'":
            if position == len(text):
                quote_mark = ""
                break  # an escape at the end is dropped
            word.append(text[end : end + 2])
            position += 1
        elif quote_mark:
            word.append(char)
            if char == quote_mark:
                quote_mark = ""
        elif char in _SPACE:
            if present or any(word):
                words.append("".join(word))
            word, present = [], False
        else:
            word.append(char)
            if char in "'\"":
                quote_mark, present = char, True
    if present or any(word):
        words.append("".join(word))
    return tuple(words)


def pairs(text: str, keyword: str, escape: str) -> tuple[tuple[str, str], ...]:
    """The names and values of ENV and LABEL, in either form. Raises :class:`WordsError`."""
    words = quoted(text, escape)
    if not words:
        return ()
    if "=" not in words[0]:
        parts = re.split(_BLANKS, text, maxsplit=1)
        if len(parts) < 2:
            raise WordsError(f"{keyword} must have two arguments")
        return ((parts[0], parts[1]),)
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            shown = word if len(word) <= 200 else word[:200] + "…"
            raise WordsError(f"Syntax error - can't find = in {quote(shown)}. Must be of the form: name=value")
        found.append((name, value))
    return tuple(found)


def json_array(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None if ``text`` is not one, and so is in the shell form.

    Raises :class:`WordsError` for an array of other things than strings.
    """
    text = text.lstrip(SPACE)
    if not text.startswith("["):
        return None
    import json

    try:
        value: object = json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise WordsError("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(re.sub("[\ud800-\udfff]", "\ufffd", item) for item in value)


def _no_constant(name: str) -> object:
    raise ValueError(name)  # Go's JSON knows no NaN


def _flags(text: str) -> tuple[tuple[str, ...], str]:
    """The words at the beginning that start with ``--``, unquoted, and what follows them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _SPACE:
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        word, position = _flag(text, position)
        if word == "--":
            return tuple(flags), text[position:]
        flags.append(word)


def _flag(text: str, position: int) -> tuple[str, int]:
    """One flag from ``position`` on, without its quotes and escapes, and where it ends."""
    word: list[str] = []
    quote_mark = ""
    while position < len(text):
        char = text[position]
        position += 1
        if char == quote_mark:
            quote_mark = ""
        elif char == "\\":
            if position < len(text):
                word.append(text[position])
                position += 1
            else:
                quote_mark = ""
        elif quote_mark:
            word.append(char)
        elif char in _SPACE:
            position -= 1
            break
        elif char in "'\"":
            quote_mark = char
        else:
            word.append(char)
    return "".join(word), position


@cache
def _special(escape: str) -> re.Pattern[str]:
    return re.compile("[" + re.escape(SPACE + "'\"" + escape) + "]")

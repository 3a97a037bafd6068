"""Variables, quotes and escapes in the words of an instruction, as BuildKit's shell lexer treats them.

It looks like a shell and is none: quotes vanish, variables are replaced, words may be split; nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from wherry.frontends.dockerfile.budget import Budget
from wherry.frontends.dockerfile.gotext import SPACE, quote
from wherry.frontends.dockerfile.pattern import PatternError, replaced, without_prefix, without_suffix

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_DEEPEST = 64
_PATTERN_COST = 64
_SPACES = f"[{SPACE}]+"


class ExpansionError(ValueError):
    """A word that cannot be expanded; its text says why, as BuildKit words it."""


@dataclass(frozen=True, slots=True)
class Lexer:
    """How to read a word: the escape character, and what is left as it stands.

    ``raw_quotes`` and ``raw_escapes`` keep quotes and escapes, ``plain_quotes`` gives quotes no meaning at all,
    ``skip_unset`` keeps references to variables that are not set. ``budget`` pays for what is expanded.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    plain_quotes: bool = False
    skip_unset: bool = False
    budget: Budget = field(default_factory=Budget, compare=False, repr=False)

    def word(self, text: str, variables: Mapping[str, str]) -> str:
        """``text`` expanded, as one word. Raises :class:`ExpansionError`."""
        if not self._special.search(text):
            return text
        return self._read(text, variables, None)

    def words(self, text: str, variables: Mapping[str, str]) -> list[str]:
        """``text`` expanded, then split at white space that no quotes hold. Raises :class:`ExpansionError`."""
        words = _Words()
        if self._special.search(text):
            self._read(text, variables, words)
        else:
            words.split(text)
        words.end()
        return words.done

    @property
    def _special(self) -> re.Pattern[str]:
        return _specials(self.escape + "$" + ("" if self.plain_quotes else "'\""))

    def _read(self, text: str, variables: Mapping[str, str], words: _Words | None) -> str:
        reading = _Reading(self, text, variables)
        try:
            return reading.run(words)
        except ValueError as error:
            shown = text if len(text) <= 200 else text[:200] + "…"
            raise ExpansionError(f"failed to process {quote(shown)}: {error}") from None


@dataclass(slots=True)
class _Words:
    """Words, growing."""

    done: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def split(self, text: str) -> None:
        """Add text whose white space ends words."""
        for index, part in enumerate(re.split(_SPACES, text)):
            if index:
                self.end()
            self.parts.append(part)

    def end(self) -> None:
        """The word ends here; an empty one is none."""
        if word := "".join(self.parts):
            self.done.append(word)
        self.parts.clear()


@dataclass(slots=True)
class _Reading:
    """One text being read."""

    lexer: Lexer
    text: str
    variables: Mapping[str, str]
    position: int = 0
    depth: int = 0
    raw_escapes: bool = False

    def run(self, words: _Words | None) -> str:
        self.raw_escapes = self.lexer.raw_escapes
        return self._until("", words)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _next(self) -> str:
        char = self.text[self.position : self.position + 1]
        self.position += len(char)
        return char

    def _until(self, stop: str, words: _Words | None = None) -> str:
        """Read to ``stop``, which is consumed; an empty one is the end of the text."""
        out: list[str] = []
        specials = _specials(self.lexer.escape + "$" + stop + ("" if self.lexer.plain_quotes else "'\""))
        while self.position < len(self.text):
            found = specials.search(self.text, self.position)
            plain = self.text[self.position : found.start() if found else len(self.text)]
            if plain:
                out.append(plain)
                self.position += len(plain)
                if words is not None:
                    words.split(plain)
            if not found:
                break
            char = self._peek()
            if char == stop:
                self.position += 1
                return "".join(out)
            if char == "$":
                value = self._dollar()
                if words is not None:
                    words.split(value)
            elif not self.lexer.plain_quotes and char in "'\"":
                value = self._single() if char == "'" else self._double()
                if words is not None:
                    words.parts.append(value)
            else:
                self.position += 1
                value = (char if self.raw_escapes else "") + self._next()
                if words is not None:
                    words.parts.append(value)
            out.append(value)
        if stop:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out)

    def _single(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            self.position = len(self.text)
            raise ExpansionError("unexpected end of statement while looking for matching single-quote")
        start, self.position = self.position, end + 1
        return self.text[start : end + 1] if self.lexer.raw_quotes else self.text[start + 1 : end]

    def _double(self) -> str:
        mark = '"' if self.lexer.raw_quotes else ""
        escape = self.lexer.escape
        self.position += 1
        out = [mark]
        specials = _specials('"$' + escape)
        while found := specials.search(self.text, self.position):
            out.append(self.text[self.position : found.start()])
            self.position = found.start()
            char = self._peek()
            if char == '"':
                self.position += 1
                out.append(mark)
                return "".join(out)
            if char == "$":
                out.append(self._dollar())
                continue
            self.position += 1
            if self.raw_escapes:
                out.append(char)
            following = self._peek()
            if not following:
                break
            if following in {'"', "$", escape}:
                out.append(self._next())
            else:
                out.append(char)
        self.position = len(self.text)
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    def _dollar(self) -> str:
        self.position += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            if value is None:
                return f"${name}" if self.lexer.skip_unset else ""
            return value
        self.position += 1
        if not self._peek():
            raise ExpansionError("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        name = self._name()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpansionError("substitutions are nested too deeply")
        value = self._substitution(name)
        self.depth -= 1
        return value

    def _substitution(self, name: str) -> str:
        """What ``${name`` stands for: the operator and what follows it are still to be read."""
        operator = self._next()
        value = self._value(name)
        keep = value is None and self.lexer.skip_unset
        if operator == "}":
            return f"${{{name}}}" if keep else value or ""
        if operator == "/":
            return self._replacement(name, value, keep=keep)
        null_is_unset = operator == ":"
        if null_is_unset:
            operator += self._next()
        kind = operator[-1:]
        if operator in {"", ":"}:
            raise ExpansionError("syntax error: missing '}'")
        word = self._inner("}", raw_escapes=kind in "#%", missing="}") if null_is_unset or kind in "+-?#%" else ""
        if kind not in "+-?#%":
            raise ExpansionError(f"unsupported modifier ({operator}) in substitution")
        if keep:
            return f"${{{name}{operator}{word}}}"
        if kind in "#%":
            return self._trimmed(value or "", kind, word)
        unset = value is None or (null_is_unset and not value)
        if kind == "?" and unset:
            what = "is not allowed to be unset" if value is None else "is not allowed to be empty"
            raise ExpansionError(f"{name}: {word or what}")
        if kind == "+":
            return "" if unset else word
        return word if unset else value or ""

    def _trimmed(self, value: str, kind: str, word: str) -> str:
        longest = word.startswith(kind)
        pattern = word[longest:]
        trim = without_prefix if kind == "#" else without_suffix
        self.lexer.budget.spend(_PATTERN_COST * len(value))
        try:
            return trim(value, pattern, longest=longest)
        except PatternError as error:
            raise ExpansionError(f"invalid pattern ({pattern[:200]}) in substitution: {error}") from None

    def _replacement(self, name: str, value: str | None, *, keep: bool) -> str:
        everywhere = self._peek() == "/"
        self.position += everywhere
        pattern = self._inner("/", raw_escapes=True, missing="/")
        replacement = self._inner("}", raw_escapes=True, missing="}")
        if keep:
            return f"${{{name}/{pattern}/{replacement}}}"
        value = value or ""
        self.lexer.budget.spend(_PATTERN_COST * len(value) + len(value) * len(replacement) * everywhere)
        try:
            return replaced(value, pattern, replacement, everywhere=everywhere)
        except PatternError as error:
            raise ExpansionError(f"invalid pattern ({pattern[:200]}) in substitution: {error}") from None

    def _inner(self, stop: str, *, raw_escapes: bool, missing: str) -> str:
        """The text up to ``stop``, expanded itself."""
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        try:
            return self._until(stop)
        except ExpansionError:
            if self.position < len(self.text):
                raise
            where = "missing '/' in ${}" if missing == "/" else "missing '}'"
            raise ExpansionError(f"syntax error: {where}") from None
        finally:
            self.raw_escapes = before

    def _name(self) -> str:
        """A variable's name: letters, digits and ``_``; or a number; or one of the shell's special parameters."""
        start, text = self.position, self.text
        first = text[start : start + 1]
        end = start
        if first.isdecimal():
            while end < len(text) and text[end].isdecimal():
                end += 1
        elif first in _SPECIAL_PARAMETERS:
            end += 1
        else:
            while end < len(text) and (text[end] == "_" or text[end].isalpha() or text[end].isdecimal()):
                end += 1
        self.position = end
        return text[start:end]

    def _value(self, name: str) -> str | None:
        value = self.variables.get(name)
        if value:
            self.lexer.budget.spend(len(value))
        return value


@cache
def _specials(characters: str) -> re.Pattern[str]:
    return re.compile("[" + re.escape(characters) + "]")

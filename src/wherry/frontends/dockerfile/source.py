"""The text of a Dockerfile: parser directives, and logical lines with their comments and here-documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from wherry.frontends.dockerfile import words
from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.expansion import ExpansionError, Lexer
from wherry.frontends.dockerfile.gotext import SPACE, quote

_DIRECTIVE = r"(?a)#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(\S.*)"
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_WITH_HEREDOCS = frozenset({"add", "copy", "run"})
_HEREDOC = r"(\d*)<<(-?)([^<]*)"


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: its name, its content as it stands, whether variables are expanded in it.

    ``chomp`` says that tabs at the beginning of its lines do not belong to it (``<<-``).
    """

    name: str
    expand: bool
    chomp: bool
    content: str = ""

    @property
    def chomped(self) -> str:
        """The content without tabs at the beginning of lines, if ``chomp`` says so."""
        return re.sub(r"(?m)^\t+", "", self.content) if self.chomp else self.content


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: an instruction's text, continuation lines joined, and the here-documents below it.

    ``comments`` are those directly above it, without their ``#``.
    """

    text: str
    span: Span
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """The ``check`` directive: rules to skip (``all`` is one), experimental ones, whether findings are errors."""

    skip: tuple[str, ...] = ()
    experimental: tuple[str, ...] = ()
    error: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile: its logical lines, and what its parser directives say."""

    file: str
    lines: tuple[Line, ...]
    escape: str = "\\"
    syntax: str = ""
    check: Check = Check()
    text: tuple[str, ...] = field(default=(), repr=False)

    @property
    def span(self) -> Span:
        """The file as a whole."""
        return Span(self.file, 0, 0, 0, self.text)


def read(data: bytes, file: str) -> Source:
    """Read a Dockerfile. Raises DockerfileError for what is no text, or ends too early."""
    return _Reader(data, file).read()


def heredoc(word: str) -> Heredoc | None:
    """The here-document that ``word`` announces (``<<EOF``, ``<<-"EOF"``), without its content.

    Raises :class:`ExpansionError` if its name's quotes do not match.
    """
    found = re.fullmatch(_HEREDOC, word)
    if not found or not found[3]:
        return None
    names = Lexer(skip_unset=True).words(found[3], {})
    if len(names) != 1:
        return None
    raw = Lexer(raw_quotes=True, skip_unset=True).words(found[3], {})
    expand = len(raw) == 1 and _quotes(names[0]) == _quotes(raw[0])
    return Heredoc(names[0], expand, found[2] == "-")


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')


class _Reader:
    """Reads one file, line by line."""

    def __init__(self, data: bytes, file: str) -> None:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        lines = text.split("\n")
        self.raw = [line + "\n" for line in lines[:-1]]
        if lines[-1]:
            self.raw.append(lines[-1])
        self.file = file
        self.shown = tuple(lines)
        self.number = 0  # of the last line read
        self.directives: dict[str, str] = {}
        self.looking_for_directives = True
        self.escape = "\\"
        self.check = Check()

    def read(self) -> Source:
        if not self.raw:
            raise self._span(0, 0).error("the Dockerfile cannot be empty")
        lines = tuple(self._lines())
        if not lines:
            raise self._span(0, 0).error("file with no instructions")
        return Source(self.file, lines, self.escape, self.directives.get("syntax", ""), self.check, self.shown)

    def _span(self, start: int, end: int, column: int = 1) -> Span:
        return Span(self.file, start, end, column, self.shown)

    def _lines(self) -> Iterator[Line]:
        comments: list[str] = []
        while self.number < len(self.raw):
            whole = self._take()
            text = whole.lstrip(SPACE)
            if self.looking_for_directives:
                self._directive(text)
            if text.startswith("#"):
                comments.append(text[1:].strip(SPACE))
                continue
            start, column = self.number, len(whole) - len(text) + 1
            parts, ended = [], False
            part, ended = self._continued(text)
            if ended and not part:
                continue
            parts.append(part)
            while not ended and self.number < len(self.raw):
                following = self._take()
                stripped = following.lstrip(SPACE)
                if not stripped or stripped.startswith("#"):
                    continue
                part, ended = self._continued(following)
                parts.append(part)
            joined = "".join(parts)
            if not joined.strip(SPACE):
                continue
            self._check_text(joined, start)
            heredocs = self._heredocs(joined, start) if "<<" in joined else ()
            yield Line(joined, self._span(start, self.number, column), heredocs, tuple(comments))
            comments = []

    def _take(self) -> str:
        self.number += 1
        return self.raw[self.number - 1].rstrip("\r\n")

    def _continued(self, line: str) -> tuple[str, bool]:
        """The line without its continuation character, and whether it is the last of its instruction."""
        text = line.rstrip(" \t")
        if text.endswith(self.escape) and text[-2:-1] != self.escape:
            return text[:-1], False
        return line, True

    def _directive(self, text: str) -> None:
        found = re.match(_DIRECTIVE, text.rstrip(SPACE))
        name = found[1].lower() if found else ""
        if not found or name not in _DIRECTIVES:
            self.looking_for_directives = False
            return
        span = self._span(self.number, self.number)
        if name in self.directives:
            raise span.error(f"only one {name} parser directive can be used")
        value = self.directives[name] = found[2]
        if name == "escape":
            if value not in {"\\", "`"}:
                raise span.error(f"invalid escape token '{value}' does not match ` or \\")
            self.escape = value
        elif name == "check":
            self.check = _check(value, span)

    def _heredocs(self, text: str, start: int) -> tuple[Heredoc, ...]:
        """The here-documents that the line announces; their content is read."""
        if not self._may_have_heredocs(text):
            return ()
        try:
            found = [heredoc(word) for word in self._heredoc_words(text)]
        except ExpansionError as error:
            raise self._span(start, self.number).error(str(error)) from None
        return tuple(self._content(one, start) for one in found if one)

    def _heredoc_words(self, text: str) -> list[str]:
        try:
            return Lexer(raw_quotes=True, raw_escapes=True, skip_unset=True).words(text, {})
        except ExpansionError:
            return []

    def _may_have_heredocs(self, text: str) -> bool:
        line = words.split(text)
        if line.keyword.lower() == "onbuild" and line.rest:
            line = words.split(line.rest)
        if line.keyword.lower() not in _WITH_HEREDOCS:
            return False
        try:
            return words.json_array(line.rest) is None
        except words.WordsError:
            return False  # an error, which is told when the instruction is read

    def _content(self, wanted: Heredoc, start: int) -> Heredoc:
        content: list[str] = []
        while self.number < len(self.raw):
            line = self._take()
            if (line.lstrip("\t") if wanted.chomp else line) == wanted.name:
                text = "".join(content)
                self._check_text(text, start)
                return Heredoc(wanted.name, wanted.expand, wanted.chomp, text)
            content.append(self.raw[self.number - 1])
        raise self._span(start, start).error(
            "unterminated heredoc", f"No line reads {quote(wanted.name[:100])} and nothing else."
        )

    def _check_text(self, text: str, start: int) -> None:
        """An instruction's text must be text: it becomes names, arguments and JSON."""
        if "\0" in text:
            raise self._span(start, self.number).error("the instruction contains a NUL character")
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise self._span(start, self.number).error("the instruction is not valid UTF-8")


def _check(value: str, span: Span) -> Check:
    """Read ``skip=RULE,…;error=true``. Raises :class:`DockerfileError` for other options."""
    from wherry.frontends.dockerfile.gotext import parse_bool

    rules: dict[str, tuple[str, ...]] = {}
    error = False
    for option in value.split(";"):
        name, equals, text = option.strip().partition("=")
        name = name.strip().lower()
        if not equals or name not in {"skip", "experimental", "error"}:
            raise span.error(f"invalid check option {quote(option)}", "Known options: skip, experimental, error.")
        if name != "error":
            rules[name] = tuple(rule.strip() for rule in text.split(",") if rule.strip())
            continue
        try:
            error = parse_bool(text.strip())
        except ValueError:
            raise span.error(f"failed to parse check option {quote(option)}") from None
    return Check(rules.get("skip", ()), rules.get("experimental", ()), error)

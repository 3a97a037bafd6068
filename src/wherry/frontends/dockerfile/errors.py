"""What is wrong with a Dockerfile, and the lines around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherry.errors import Place, UsageError

_WIDTH = 160
_MOST_LINES = 16
_RULE = "-" * 20


class DockerfileError(UsageError):
    """A Dockerfile that cannot be built: one message, its place, and an excerpt of the file in BuildKit's manner.

    ``advice`` says what to do, without the excerpt; ``hint`` holds both.
    """

    def __init__(self, message: str, *, place: Place, excerpt: str = "", advice: str | None = None) -> None:
        super().__init__(message, place=place, hint="\n".join(filter(None, (excerpt, advice))) or None)
        self.excerpt = excerpt
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Span:
    """Where an instruction stands: its file, its first and last line, its first column; and the file's lines."""

    file: str
    start: int
    end: int
    column: int = 1
    lines: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def place(self) -> Place:
        """The first line, as errors and progress show it."""
        return Place(self.file, self.start)

    def error(self, message: str, advice: str | None = None) -> DockerfileError:
        """An error here, with its excerpt."""
        return DockerfileError(message, place=self.place, excerpt=excerpt(self), advice=advice)


def excerpt(span: Span) -> str:
    """The lines of ``span`` marked with ``>>>``, and a few around them, numbered as BuildKit does."""
    if not 1 <= span.start <= len(span.lines):
        return ""
    end = min(max(span.end, span.start), len(span.lines))
    around = 2 if end == span.start else 1
    first, last = max(1, span.start - around), min(len(span.lines), end + around)
    numbers = range(first, last + 1)
    if len(numbers) > _MOST_LINES:
        numbers = range(first, first + _MOST_LINES)
    shown = [
        f" {number:3} | {'>>>' if span.start <= number <= end else '   '} {_printable(span.lines[number - 1])}"
        for number in numbers
    ]
    if numbers[-1] < last:
        shown.append(f" ... | >>> {last - numbers[-1]} more lines")
    return "\n".join((_RULE, *(line.rstrip() for line in shown), _RULE))


def _printable(line: str) -> str:
    """One line without what a terminal would obey, cut where it is too long to be read."""
    line = line.rstrip("\r\n")
    if len(line) > _WIDTH:
        line = line[:_WIDTH] + "…"
    line = line.replace("\t", "    ")
    return line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)

"""Events as text: plain lines, JSON lines, or (in :mod:`wherry.cli.tree`) a live tree. All of it on stderr.

Plain and JSON need nothing beyond the standard library: a build that has nothing to do must not wait for imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Protocol, TextIO

from wherry.cli.measures import human_size, human_time
from wherry.events import Event, Finished, Note, Output, Progress, Started
from wherry.image.json import Json

STYLES = ("auto", "tty", "plain", "json", "quiet")
"""The values of ``--progress``, as in docker buildx."""

_DEEPEST = 2  # plain: work below this depth is a detail of its parent, shown only if it fails
_REMIND = 5.0  # plain: seconds between lines about the bytes of one piece of work


def chosen(style: str, stream: TextIO) -> str:
    """The style that is really meant: ``auto`` is ``tty`` on a terminal that can move its cursor, else ``plain``."""
    if style not in {"auto", "tty"}:
        return style
    return "tty" if stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"} else "plain"


class Display(Protocol):
    """A listener that shows events somewhere; after :meth:`close` the terminal is as it was before."""

    def __call__(self, event: Event) -> None:
        """Show ``event``."""

    def close(self) -> None:
        """Show nothing more. May be called twice, and from a signal handler."""


@contextmanager
def progress(style: str = "auto", stream: TextIO | None = None) -> Iterator[Display]:
    """Show a build on ``stream`` (stderr) in one of :data:`STYLES`, for as long as the block lasts."""
    stream = stream or sys.stderr
    display: Display
    match chosen(style, stream):
        case "tty":
            from wherry.cli.tree import Tree

            display = Tree(stream)
        case "plain":
            display = Plain(stream)
        case "json":
            display = JsonLines(stream)
        case _:
            display = Nothing()
    try:
        yield display
    finally:
        display.close()


class Nothing:
    """Shows nothing."""

    def __call__(self, event: Event) -> None:
        """Ignore ``event``."""

    def close(self) -> None:
        """Nothing to end."""


@dataclass(slots=True)
class _Work:
    """What plain must remember of a piece of work."""

    number: int
    title: str
    depth: int
    start: float
    told: float
    announced: bool


class Plain:
    """One line for each beginning and end, as buildx prints them: ``#3 install …``, ``#3 DONE 1.2s (…)``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._works: dict[int, _Work] = {}
        self._count = 0

    def __call__(self, event: Event) -> None:
        """Show ``event``."""
        match event:
            case Started():
                self._started(event)
            case Progress():
                self._progress(event)
            case Output():
                self._output(event)
            case Finished():
                self._finished(event)
            case Note():
                self._line(f"note: {event.message}")

    def close(self) -> None:
        """Nothing to end: each line is out already."""

    def _started(self, event: Started) -> None:
        parent = self._works.get(event.parent) if event.parent is not None else None
        depth = parent.depth + 1 if parent else 0
        now = time.monotonic()
        work = _Work(0, event.title, depth, now, now, announced=False)
        self._works[event.id] = work
        if depth < _DEEPEST:
            self._announce(work)

    def _announce(self, work: _Work) -> None:
        if not work.announced:
            work.announced = True
            self._count += 1
            work.number = self._count
            self._line(f"#{work.number} {work.title}")

    def _progress(self, event: Progress) -> None:
        work = self._works.get(event.id)
        now = time.monotonic()
        if work and now - work.told >= _REMIND:
            work.told = now
            self._announce(work)
            of = f" / {human_size(event.total)}" if event.total else ""
            self._line(f"#{work.number} {human_size(event.done)}{of} {human_time(now - work.start)}")

    def _output(self, event: Output) -> None:
        if work := self._works.get(event.id):
            self._announce(work)
            line = event.line
            if self._stream.isatty():
                from wherry.cli.escapes import without_escapes

                line = without_escapes(line)
            self._line(f"#{work.number} {line}")

    def _finished(self, event: Finished) -> None:
        work = self._works.pop(event.id, None)
        if work is None:
            return
        if event.outcome == "failed":
            self._announce(work)
        if work.announced:
            detail = f" ({event.detail})" if event.detail else ""
            word = {
                "done": f"DONE {human_time(event.seconds)}",
                "cached": "CACHED",
                "failed": f"ERROR {human_time(event.seconds)}",
            }
            self._line(f"#{work.number} {word[event.outcome]}{detail}")

    def _line(self, text: str) -> None:
        _write(self._stream, text)


class JsonLines:
    """Each event as one JSON object: ``event`` is its class in lower case, the rest its fields, ``time`` in seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Show ``event``."""
        values = {part.name: getattr(event, part.name) for part in fields(event)}
        json_line(type(event).__name__.lower(), values, self._stream)

    def close(self) -> None:
        """Nothing to end: each line is out already."""


def json_line(event: str, values: Mapping[str, Json], stream: TextIO | None = None) -> None:
    """Write one event of ``--progress json`` to ``stream`` (stderr)."""
    head: dict[str, Json] = {"event": event, "time": round(time.time(), 3)}
    _write(stream or sys.stderr, json.dumps({**head, **values}))


def _write(stream: TextIO, text: str) -> None:
    with suppress(BrokenPipeError):  # whoever read it has gone; the build goes on
        stream.write(text.encode(stream.encoding or "utf-8", "replace").decode(stream.encoding or "utf-8") + "\n")
        stream.flush()

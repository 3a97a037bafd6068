"""What is going on: a stream of small immutable events from a build to whoever watches it.

The code that works calls a :class:`Reporter`; the code that shows is a *listener*, a function of one
event. Events may come from any thread; a reporter hands them over one at a time.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["done", "cached", "failed"]


@dataclass(frozen=True, slots=True)
class Started:
    """A piece of work began. ``parent`` is the id of the work that it is a part of."""

    id: int
    title: str
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` bytes (``None``: not known yet) of work ``id``."""

    id: int
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A line that a command printed while work ``id`` ran it."""

    id: int
    line: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Work ``id`` ended after ``seconds``; ``detail`` is a short remark such as "12 wheels, 45 MB"."""

    id: int
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user should know and that stops nothing."""

    message: str


Event = Started | Progress | Output | Finished | Note
Listener = Callable[[Event], None]


class Task:
    """One running piece of work, as seen by the code that does it."""

    def __init__(self, reporter: Reporter, number: int, total: int | None = None) -> None:
        self._reporter = reporter
        self.id = number
        self.total = total
        self.done = 0
        self.detail = ""
        self.outcome: Outcome = "done"
        self._shown = 0.0
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """Report ``count`` more bytes; events are thinned to about twenty a second."""
        with self._lock:
            self.done += count
            now = time.monotonic()
            due = now - self._shown >= 0.05 or self.done == self.total
            if due:
                self._shown = now
        if due:
            self._reporter.send(Progress(self.id, self.done, self.total))

    def expect(self, count: int) -> None:
        """Raise the expected total by ``count`` bytes."""
        with self._lock:
            self.total = (self.total or 0) + count

    def output(self, line: str) -> None:
        """Pass on one line that a command printed."""
        self._reporter.send(Output(self.id, line))

    def note(self, message: str) -> None:
        """Tell the user something that stops nothing."""
        self._reporter.note(message)

    def cached(self) -> None:
        """Say that the result was there already."""
        self.outcome = "cached"

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Task]:
        """A part of this work."""
        with self._reporter.step(title, total, parent=self.id) as task:
            yield task


_numbers = itertools.count(1)  # of the process, so that two reporters may share a listener


class Reporter:
    """Turns what the code says about its work into events for a listener."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._noted: set[str] = set()

    def send(self, event: Event) -> None:
        """Hand ``event`` to the listener."""
        if self._listener is not None:
            with self._lock:
                self._listener(event)

    def note(self, message: str) -> None:
        """Tell the user something that stops nothing; once, however many steps say it."""
        with self._lock:
            known = message in self._noted
            self._noted.add(message)
        if not known:
            self.send(Note(message))

    @contextmanager
    def step(self, title: str, total: int | None = None, *, parent: int | None = None) -> Iterator[Task]:
        """A piece of work with a beginning and an end; an exception marks it failed and goes on."""
        task = Task(self, next(_numbers), total)
        start = time.monotonic()
        self.send(Started(task.id, title, parent))
        try:
            yield task
        except BaseException:
            self.send(Finished(task.id, "failed", time.monotonic() - start, task.detail))
            raise
        self.send(Finished(task.id, task.outcome, time.monotonic() - start, task.detail))

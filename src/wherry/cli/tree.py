"""A build as a live tree in a terminal: what runs, for how long, how many bytes, what was cached.

Finished work folds into one line; when the terminal is low, the oldest of it folds into a count.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from wherry.cli.escapes import without_escapes
from wherry.cli.measures import human_size, human_time
from wherry.events import Event, Finished, Note, Outcome, Output, Progress, Started

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR = 20  # cells
_TAIL = 3  # lines of a running command's output
_KEPT = 60  # lines of it that are printed if it fails


@dataclass(slots=True)
class _Node:
    """One piece of work."""

    title: str
    start: float
    children: list[_Node] = field(default_factory=list)
    outcome: Outcome | None = None
    seconds: float = 0.0
    detail: str = ""
    done: int = 0
    total: int | None = None
    output: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the tree: a node at a depth, a line of output, or a count of what is folded away."""

    depth: int
    node: _Node | None = None
    text: str = ""
    folds: bool = False
    """May be left out where there is no room."""


class Tree:
    """The state of a build, changed by events and drawn on ``stream``, a terminal, by a thread of rich's."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._lock = threading.RLock()  # a signal handler may close what its own thread was just changing
        self._nodes: dict[int, _Node] = {}
        self._roots: list[_Node] = []
        self._start = time.monotonic()
        self._ended = False
        self._unicode = (self._console.encoding or "").lower().startswith("utf")
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=12,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Show ``event``."""
        match event:
            case Started():
                node = _Node(event.title, time.monotonic())
                with self._lock:
                    parent = self._nodes.get(event.parent) if event.parent is not None else None
                    (parent.children if parent else self._roots).append(node)
                    self._nodes[event.id] = node
            case Progress():
                with self._lock:
                    if work := self._nodes.get(event.id):
                        work.done, work.total = event.done, event.total
            case Output():
                with self._lock:
                    if work := self._nodes.get(event.id):
                        work.output.append(without_escapes(event.line))
            case Finished():
                self._finished(event)
            case Note():
                self._console.print(f"[yellow]note:[/] {escape(event.message)}")

    def _finished(self, event: Finished) -> None:
        with self._lock:
            node = self._nodes.pop(event.id, None)
            if node is None:
                return
            node.outcome, node.seconds, node.detail = event.outcome, event.seconds, event.detail
            said = list(node.output) if event.outcome == "failed" else []
            node.output.clear()
        if said:
            self._console.print(Text("\n".join(["", *said, ""]), style="dim"))

    def close(self) -> None:
        """Draw the tree as it is now, for good, and give the terminal back."""
        self._ended = True
        self._live.stop()

    # -- drawing ---------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            now = time.monotonic()
            rows = list(self._rows(self._roots, 0))
            if not self._ended:
                rows = _fitted(rows, max(console.height - 2, 3))
            done = sum(root.outcome is not None for root in self._roots)
            table = Table.grid(expand=True, padding=(0, 1, 0, 0))
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
            table.add_column(no_wrap=True, justify="right")
            table.add_column(no_wrap=True, justify="right", min_width=6)
            narrow = console.width < 70
            for row in rows:
                table.add_row(*self._cells(row, now, narrow=narrow))
        if self._roots:
            yield Text(f"[+] Building {human_time(now - self._start)} ({done}/{len(self._roots)})", style="bold blue")
            yield table

    def _rows(self, nodes: list[_Node], depth: int) -> Iterator[_Row]:
        for node in nodes:
            running = node.outcome is None
            yield _Row(depth, node, folds=not running and node.outcome != "failed")
            if running or node.outcome == "failed" or (self._ended and depth == 0):
                yield from self._rows(node.children, depth + 1)
            if running:
                for line in list(node.output)[-_TAIL:]:
                    yield _Row(depth + 1, text=line, folds=True)

    def _cells(self, row: _Row, now: float, *, narrow: bool) -> tuple[Text, Text, Text]:
        indent = "  " * row.depth
        if row.node is None:
            return Text(f" {indent}  {row.text}", style="dim"), Text(), Text()
        node = row.node
        mark, style = self._mark(node, now)
        title = Text.assemble(f" {indent}", (mark, style), f" {node.title}")
        if node.outcome is None:
            return title, self._bytes(node, narrow=narrow), Text(human_time(now - node.start), style="cyan")
        took = Text("cached", style="green") if node.outcome == "cached" else Text(human_time(node.seconds))
        return title, Text(node.detail, style="dim"), took

    def _mark(self, node: _Node, now: float) -> tuple[str, str]:
        match node.outcome:
            case None if self._ended:
                return ("⊘" if self._unicode else "x"), "red"  # stopped while it ran
            case None:
                frames = _FRAMES if self._unicode else "|/-\\"
                return frames[int(now * 10) % len(frames)], "cyan"
            case "failed":
                return ("✘" if self._unicode else "x"), "red"
            case _:
                return ("✔" if self._unicode else "+"), "green"

    def _bytes(self, node: _Node, *, narrow: bool) -> Text:
        if not node.done and not node.total:
            return Text()
        if not node.total or node.done > node.total:
            return Text(human_size(node.done))
        numbers = f"{human_size(node.done)} / {human_size(node.total)}"
        if narrow:
            return Text(numbers)
        full = _BAR * node.done // node.total
        line = "━" if self._unicode else "="
        return Text.assemble((line * full, "cyan"), (line * (_BAR - full), "bright_black"), f" {numbers}")


def _fitted(rows: list[_Row], height: int) -> list[_Row]:
    """At most ``height`` of ``rows``: the earliest finished ones give way to one line that counts them."""
    excess = len(rows) - height
    if excess <= 0:
        return rows
    excess += 1  # the line that counts
    kept: list[_Row] = []
    folded = 0
    at = 0
    for row in rows:
        if row.folds and folded < excess:
            if not folded:
                at = len(kept)
            folded += 1
        else:
            kept.append(row)
    if folded:
        kept.insert(at, _Row(kept[at].depth if at < len(kept) else 0, text=f"… {folded} more"))
    return kept[:height]

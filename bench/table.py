"""The lines of the table: what was done, how long both builders took, and what the project aims at."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field

WIDTH = 58
HEAD = f"{'':<{WIDTH}}{'wherry':>10}{'docker':>10}  wherry/docker"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    ``wherry`` and ``docker`` are the seconds of each run; ``aim`` is the ratio, and ``limit`` the seconds of ours, that
    the project wants to stay at or below.
    """

    what: str
    wherry: list[float] = field(default_factory=list)
    docker: list[float] = field(default_factory=list)
    aim: float | None = None
    limit: float | None = None

    def text(self) -> str:
        """The line, of medians."""
        ours, theirs = map(_median, (self.wherry, self.docker))
        ratio = ours / theirs if ours and theirs and ours > 0 and theirs > 0 else None
        said = f"{ratio:.3f} (1/{1 / ratio:.1f})" if ratio else ""
        aims = []
        if self.aim and ratio:
            aims.append(f"at most {self.aim:.3f}: {verdict(ratio <= self.aim)}")
        if self.limit and ours is not None:
            aims.append(f"at most {self.limit:.2f} s: {verdict(ours <= self.limit)}")
        return f"{self.what:<{WIDTH}}{_seconds(ours)}{_seconds(theirs)}  {said:<16}{', '.join(aims)}".rstrip()

    def to_json(self) -> dict[str, object]:
        """All numbers."""
        medians = {"wherry_median": _median(self.wherry), "docker_median": _median(self.docker)}
        return {**asdict(self), **medians}


def _median(numbers: list[float]) -> float | None:
    return statistics.median(numbers) if numbers else None


def _seconds(number: float | None) -> str:
    return " " * 10 if number is None else f"{number:8.2f} s"


def verdict(met: bool) -> str:
    """How an aim is said to have been reached or not."""
    return "met" if met else "MISSED"

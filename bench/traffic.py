"""What builds of fresh machines took: seconds, and bytes from and to the registry."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from bench.measure import Run
from bench.servers import Wire


@dataclass
class Traffic:
    """Seconds and bytes of several builds."""

    seconds: list[float] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    up: list[int] = field(default_factory=list)

    def add(self, run: Run, wire: Wire) -> None:
        """One more build, by what passed since the wire began to count."""
        self.seconds.append(run.seconds)
        self.down.append(wire.down)
        self.up.append(wire.up)

    @property
    def most(self) -> int:
        """The most that any of the builds sent or fetched."""
        return max(*self.down, *self.up)

    def text(self) -> str:
        """The worst of the bytes, the median of the seconds."""
        bytes_ = ", ".join(f"{_size(max(numbers))} {way}" for numbers, way in ((self.down, "down"), (self.up, "up")))
        return f"{bytes_}, {statistics.median(self.seconds):.1f} s"


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1_000_000 else f"{number / 1e3:.0f} kB"

"""Which distributions share a layer.

The rule
--------
1. A distribution whose wheel has at least :data:`LARGE` bytes (1 MiB) gets a layer of its own; the
   :data:`MOST_LARGE` (48) largest do, if there are more.
2. All others go into one of :data:`BUCKETS` (8) shared layers, each by a hash of its own normalised name.

Where a distribution goes depends on nothing but its name and size (and, beyond 48 large ones, on its rank among
those), so changing, adding or removing a small requirement re-packs one shared layer, and a large one its own. An
image has at most 56 such layers; with the base's and the application's it stays within 64.

A wheel whose size the lock does not tell counts as small: the rule must not depend on what has been downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from wherry.wheels.distribution import Distribution

LARGE = 1 << 20
BUCKETS = 8
MOST_LARGE = 48


@dataclass(frozen=True, slots=True)
class Group:
    """Distributions that share a layer, by name. ``name`` is the large one's, or ``shared N``."""

    name: str
    distributions: tuple[Distribution, ...]

    @property
    def size(self) -> int:
        """The bytes of its wheels, as far as they are known."""
        return sum(_size(one) for one in self.distributions)


def group(distributions: Iterable[Distribution]) -> tuple[Group, ...]:
    """Part ``distributions`` into groups: large ones by name, then the shared ones.

    Large ones come first because they change least: what is unpacked or pulled layer by layer is reused
    up to the first change.
    """
    everything = sorted(distributions, key=lambda one: one.name)
    large = sorted((one for one in everything if _size(one) >= LARGE), key=lambda one: (-_size(one), one.name))
    alone = {one.name for one in large[:MOST_LARGE]}
    buckets: dict[int, list[Distribution]] = {}
    for one in everything:
        if one.name not in alone:
            buckets.setdefault(_bucket(one.name), []).append(one)
    return (
        *(Group(one.name, (one,)) for one in everything if one.name in alone),
        *(Group(f"shared {number}", tuple(buckets[number])) for number in sorted(buckets)),
    )


def _size(distribution: Distribution) -> int:
    return distribution.wheel.size or 0


def _bucket(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % BUCKETS + 1

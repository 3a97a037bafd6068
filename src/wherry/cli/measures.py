"""Sizes and times as people write them."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def human_size(count: int) -> str:
    """``count`` bytes as people write it, in powers of 1000 as Docker does: ``45.1 MB``."""
    if count < 1000:
        return f"{count} B"
    number = float(count)
    units = iter(_UNITS)
    unit = next(units)
    while number >= 999.95 and (larger := next(units, None)):
        number /= 1000
        unit = larger
    return f"{number:.1f} {unit}"


def human_time(seconds: float) -> str:
    """A duration: ``0.3s``, ``12.6s``, ``2m05s``."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s"

"""What there is of a requirement that has no wheel for a target: asked of the index, for the error's sake."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from wherry.errors import WherryError
from wherry.target import Target
from wherry.wheels import lock as locks
from wherry.wheels.select import Missing
from wherry.wheels.uv import UvFailed

Listing = Callable[[str, str], str]
"""(requirement, oldest Python) -> a lock with all of its files; raises :class:`UvFailed`."""


def completed(missing: Iterable[Missing], target: Target, listing: Listing) -> list[Missing]:
    """``missing`` with the wheels that exist for other targets, as far as the index can be asked."""
    return [one if one.wheels or not _is_listed(one) else _completed(one, target, listing) for one in missing]


def _is_listed(missing: Missing) -> bool:
    """Whether it comes from an index."""
    return not missing.source or missing.source == "a source distribution"


def _completed(missing: Missing, target: Target, listing: Listing) -> Missing:
    requirement = f"{missing.name}=={missing.version}" if missing.version else missing.name
    # uv lists only files for the asked Python and later, and none if the version does not allow that Python.
    for python in ("3.8", "3.10", "3.12", target.interpreter.minor):
        try:
            packages = locks.parse(listing(requirement, python)).packages
        except (UvFailed, WherryError):
            continue
        found = next((package for package in packages if package.name == missing.name), None)
        if found is not None:
            names = tuple(wheel.filename for wheel in found.wheels or ())
            return replace(missing, version=missing.version or str(found.version or ""), wheels=names)
    return missing

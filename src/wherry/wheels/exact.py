"""A lock for one target and no other: of each distribution the file that was chosen, with no password in its URL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wherry.wheels import lock as locks
from wherry.wheels.distribution import Chosen, Distribution, Source
from wherry.wheels.indexes import redact


def exact(text: str, chosen: Iterable[Chosen]) -> str:
    """The lock ``text`` with only what was ``chosen`` of it."""
    lock = locks.parse(redact(text))
    by_name = {one.name: one for one in chosen}
    packages = []
    for package in lock.packages:
        one = by_name.get(package.name)
        if one is None:
            continue
        file = one.wheel.name if isinstance(one, Distribution) else ""
        wheels = [wheel for wheel in package.wheels or () if wheel.filename == file]
        sdist = package.sdist if isinstance(one, Source) else None
        packages.append(replace(package, wheels=wheels or None, sdist=sdist))
    return locks.write(locks.with_packages(lock, packages))

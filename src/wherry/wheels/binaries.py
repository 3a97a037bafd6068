"""Which distributions come from wheels, and which are built: ``--no-binary`` and ``--only-binary``, as pip has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wherry.plan import Requirements
from wherry.wheels.lock import with_packages
from wherry.wheels.requirements import FileOptions

if TYPE_CHECKING:
    from packaging.pylock import Pylock

_ALL = ":all:"


@dataclass(frozen=True, slots=True)
class Binaries:
    """Of which distributions wheels are not taken (``refused``), and of which nothing else (``required``).

    Names are normalised; ``:all:`` is all but those that the other names.
    """

    refused: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, requirements: Requirements, options: FileOptions | None = None) -> Binaries:
        """What ``requirements`` say, and where they say nothing, ``options`` of their file."""
        refused, required = frozenset(requirements.no_binary), frozenset(requirements.only_binary)
        if options is None:
            return cls(refused, required)
        return cls(refused | (options.no_binary - required), required | (options.only_binary - refused))

    def takes_wheel(self, name: str) -> bool:
        """Whether a wheel of ``name`` may be taken as it is."""
        return name not in self.refused and (_ALL not in self.refused or name in self.required)

    def builds(self, name: str) -> bool:
        """Whether ``name`` may be built."""
        return name not in self.required and (_ALL not in self.required or name in self.refused)


def without_others(lock: Pylock, binaries: Binaries) -> Pylock:
    """``lock`` with only those files of an index that ``binaries`` allow."""
    if binaries == Binaries():
        return lock
    return with_packages(
        lock,
        [
            replace(
                package,
                wheels=package.wheels if binaries.takes_wheel(package.name) else None,
                sdist=package.sdist if binaries.builds(package.name) else None,
            )
            for package in lock.packages
        ],
    )

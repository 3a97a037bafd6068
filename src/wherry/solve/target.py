"""Snapshot to Target: which Python of the base a stage is for."""

from __future__ import annotations

from wherry.errors import UsageError
from wherry.solve.snapshot import Snapshot
from wherry.target import Target


def target_of(snapshot: Snapshot) -> Target:
    """The target that the base offers: its first Python that the stage can use.

    Raises :class:`UsageError` if the base has no such Python, naming those that it has.
    """
    wanted = snapshot.origin.python
    facts = snapshot.facts
    found = [one for one in facts.interpreters if _fits(one.version, wanted)]
    if not found or facts.libc is None:
        have = ", ".join(one.version for one in facts.interpreters) or "none"
        what = f"Python {wanted}" if wanted else "Python"
        raise UsageError(
            f"the base image has no {what}; it has: {have}",
            hint="Choose another base (--base), or another version (--python).",
        )
    return Target(snapshot.base.config.platform, facts.libc, found[0])


def _fits(version: str, wanted: str) -> bool:
    if not wanted:
        return True
    if wanted[0].isdigit() and "," not in wanted and "*" not in wanted:
        return version == wanted or version.startswith(wanted + ".")
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)

"""Poetry's version constraints: ``^1.2``, ``~1.2``, ``1.*``, ``>=1,<2 || >=3``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wherry.errors import UsageError

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_OPERATOR = re.compile(r"(\^|~=|~|===|==|=|!=|<>|<=|>=|<|>)\s+")


def allows(constraint: str, version: str) -> bool:
    """Whether ``constraint`` allows ``version``. Raises :class:`UsageError` if it is no constraint."""
    return any(one.contains(version, prereleases=True) for one in alternatives(constraint))


def alternatives(constraint: str) -> list[SpecifierSet]:
    """``constraint`` as specifier sets, of which one must hold. Raises :class:`UsageError` if it is none."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return [SpecifierSet(",".join(_specifiers(one))) for one in re.split(r"\|\|?", constraint)]
    except (InvalidSpecifier, InvalidVersion):
        raise UsageError(f"{constraint!r} is not a version constraint of poetry") from None


def _specifiers(text: str) -> list[str]:
    parts = re.split(r"[,\s]+", _OPERATOR.sub(r"\1", text.strip()))
    return [specifier for part in parts if part for specifier in _specifier(part)]


def _specifier(part: str) -> list[str]:
    if part == "*":
        return []
    found = re.fullmatch(r"(\^|~(?!=)|=(?!=)|<>)?(.+)", part)
    operator, rest = (found[1] or "", found[2]) if found else ("", part)
    if operator in {"^", "~"}:
        return [f">={rest}", f"<{_ceiling(rest, caret=operator == '^')}"]
    if operator == "<>":
        return [f"!={rest}"]
    if operator == "=" or rest[0].isalnum():
        return [f"=={rest}"]
    return [rest]


def _ceiling(version: str, *, caret: bool) -> str:
    """The first version that ``^`` or ``~`` leaves out."""
    from packaging.version import Version

    release = list(Version(version).release)
    if caret:  # the first number that is not zero must stay
        position = next((place for place, number in enumerate(release) if number), len(release) - 1)
    else:
        position = min(1, len(release) - 1)
    return ".".join(map(str, [*release[:position], release[position] + 1]))

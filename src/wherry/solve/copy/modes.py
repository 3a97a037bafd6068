"""--chmod: octal, or symbolic as in chmod(1) (BSD's, which BuildKit has)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wherry.errors import UsageError

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_PERMISSIONS = {"r": 0o444, "w": 0o222, "x": 0o111}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_UMASK = 0o022
_STICKY = 0o1000
_ALL = 0o7777

Change = Callable[[int, bool], int]
"""What becomes of a mode, given whether it is a directory's."""


@dataclass(frozen=True, slots=True)
class _Clause:
    """``who`` (0: everybody, as far as the umask lets), ``+``, ``-`` or ``=``, and what."""

    who: int
    operator: str
    what: str


def folder_mode(text: str) -> int:
    """The mode that directories get which --chmod makes on the way: an octal one, as far as the umask lets it."""
    return int(text, 8) & 0o777 & ~_UMASK if text[:1].isdigit() else 0o755


def parse_mode(text: str) -> Change:
    """What ``text`` makes of modes. Raises :class:`UsageError` if it means nothing."""
    if text[:1].isdigit():
        if not all(digit in "01234567" for digit in text) or int(text, 8) > _ALL:
            raise UsageError(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
                hint="Symbolic modes such as u=rwX,go=rX are understood too.",
            )
        number = int(text, 8)
        return lambda mode, is_dir: number
    clauses = tuple(_clauses(text))
    return lambda mode, is_dir: _apply(clauses, mode, is_dir)


def _clauses(text: str) -> list[_Clause]:
    clauses: list[_Clause] = []
    for part in text.split(","):
        rest = part.lstrip("ugoa")
        who = 0
        for letter in part[: len(part) - len(rest)]:
            who |= _WHO[letter]
        if not rest:
            raise _invalid(text)
        while rest:
            operator, rest = rest[0], rest[1:]
            tail = rest.lstrip("rwxXstugo")
            what = rest[: len(rest) - len(tail)]
            if operator not in "+-=":
                raise _invalid(text)
            clauses.append(_Clause(who, operator, what))
            rest = tail
    return clauses


def _invalid(text: str) -> UsageError:
    return UsageError(
        f"invalid chmod parameter: '{text}': invalid syntax",
        hint="An octal number such as 755, or a symbolic mode such as u+x,go=rX.",
    )


def _apply(clauses: tuple[_Clause, ...], mode: int, is_dir: bool) -> int:
    before = mode
    for clause in clauses:
        who = clause.who
        reach = who or (_ALL & ~_UMASK)  # without a letter the umask counts
        bits = 0
        for letter in clause.what:
            if letter in _PERMISSIONS:
                bits |= _PERMISSIONS[letter] & reach
            elif letter in _SHIFT:
                copied = mode >> _SHIFT[letter] & 0o7
                bits |= (copied << 6 | copied << 3 | copied) & reach
            elif letter == "X":
                if clause.operator != "-" and (before & 0o111 or is_dir):
                    bits |= 0o111 & reach
            elif not who or who & ~0o007:  # s and t mean nothing for others alone
                bits |= 0o6000 & reach if letter == "s" else _STICKY
        if clause.operator == "+":
            mode |= bits
        elif clause.operator == "-":
            mode &= ~bits
        else:
            cleared = who or 0o6777
            if "t" in clause.what and (not who or who & ~0o007):
                cleared |= _STICKY
            mode = mode & ~cleared | bits
    return mode & _ALL

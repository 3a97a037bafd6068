"""The patterns of ``${x#p}``, ``${x%p}`` and ``${x/p/r}``: ``*``, ``?`` and characters, matched in linear time.

Regular expressions would do it in fewer lines, and in exponential time for some patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_ANY = "?"
_STAR = "*"
_MOST_WORK = 4_000_000

Token = tuple[str, bool]
"""A character, and whether it is a wildcard."""


class PatternError(ValueError):
    """A pattern that cannot be used; its text says why."""


def tokens(pattern: str) -> tuple[Token, ...]:
    """Read a pattern. A backslash before ``*``, ``?`` or itself escapes; other escapes are a PatternError."""
    found: list[Token] = []
    chars = iter(range(len(pattern)))
    for index in chars:
        char = pattern[index]
        following = pattern[index + 1 : index + 2]
        if char == "\\" and following in {"}", "/"} and following:
            continue  # these must be escaped within ${}; the escape is not part of the pattern
        if char == "\\":
            if following not in {"*", "?", "\\"} or not following:
                raise PatternError(f"invalid escape '\\{following}'")
            found.append((following, False))
            next(chars, None)
        elif char == _STAR:
            if not found or found[-1] != (_STAR, True):
                found.append((_STAR, True))
        else:
            found.append((char, char == _ANY))
    return tuple(found)


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """``value`` without its shortest or longest beginning that ``pattern`` matches."""
    return value[_ends(value, tokens(pattern), longest=longest) or 0 :]


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """``value`` without its shortest or longest end that ``pattern`` matches."""
    end = _ends(value[::-1], tokens(pattern)[::-1], longest=longest) or 0
    return value[: len(value) - end]


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """``value`` with the leftmost longest match of ``pattern``, or all of them, replaced.

    Where all are, ``$0`` in the replacement is the match and other groups are empty, as in Go's regexp.
    """
    wanted = tokens(pattern)
    template = everywhere and "$" in replacement
    if wanted and not any(wild for _, wild in wanted) and not template:
        return value.replace("".join(char for char, _ in wanted), replacement, -1 if everywhere else 1)
    parts: list[str] = []
    done = 0
    for start, end in _matches(value, wanted):
        parts += (value[done:start], _filled(replacement, value[start:end]) if template else replacement)
        done = end
        if not everywhere:
            break
    return "".join((*parts, value[done:]))


def _filled(template: str, match: str) -> str:
    """``template`` as Go's ``Regexp.Expand`` fills it in for an expression without groups."""

    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return "$" if name is None else match if name == "0" else ""

    return re.sub(r"\$(?:\$|(\w+)|\{(\w+)\})", group, template)


def _matches(value: str, wanted: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The matches that do not overlap, as Go's regexp finds them: none is empty right behind another."""
    # where a match can start: run backwards, and note where the reversed pattern is through
    starts = [len(value) - end for end in _through(value[::-1], wanted[::-1], anywhere=True)][::-1]
    last, index = -1, 0
    for start in starts:
        if start < index:
            continue
        length = _ends(value[start:], wanted, longest=True) or 0
        end = start + length
        if length == 0 and start == last:
            continue
        yield start, end
        last, index = end, max(end, start + (length == 0))


def _ends(value: str, wanted: Sequence[Token], *, longest: bool) -> int | None:
    """Where a match that begins at the beginning ends, if there is one."""
    if not any(wild and char == _STAR for char, wild in wanted):
        value = value[: len(wanted)]
    found = None
    for end in _through(value, wanted, anywhere=False):
        found = end
        if not longest:
            break
    return found


def _through(value: str, wanted: Sequence[Token], *, anywhere: bool) -> Iterator[int]:
    """Every position at which the pattern is through. A wildcard does not match the end of a line.

    The set of places in the pattern is the bits of a number: bit i says that its first i tokens have matched.
    """
    if len(value) * (len(wanted) // 64 + 1) > _MOST_WORK:
        raise PatternError("the value is too long")
    characters: dict[str, int] = {}
    single = stars = 0
    for index, (char, wild) in enumerate(wanted):
        bit = 1 << index
        if wild and char == _STAR:
            stars |= bit
        elif wild:
            single |= bit
        else:
            characters[char] = characters.get(char, 0) | bit
    final = 1 << len(wanted)
    start = _skip(1, stars)
    places = start
    if places & final:
        yield 0
    for position, char in enumerate(value, 1):
        line_end = char == "\n"
        step = characters.get(char, 0) | (0 if line_end else single)
        stay = 0 if line_end else places & stars
        places = _skip((places & step) << 1 | stay, stars)
        if anywhere:
            places |= start
        if places & final:
            yield position
        if not places:
            return


def _skip(places: int, stars: int) -> int:
    """A star may match nothing. Two never follow each other."""
    return places | (places & stars) << 1

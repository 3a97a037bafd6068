"""Patterns that leave files out of a build context: .dockerignore, as BuildKit reads it.

The file is read as moby's ``ignorefile`` does (comments, blanks, ``!``, leading and trailing slashes), and
the patterns match as moby's ``patternmatcher`` does when it walks a directory with the results of the
directories above: Go's ``filepath.Match``, plus ``**`` for any number of directories. What a pattern
matches takes everything below it along; the last pattern that says something wins. Where moby's
translation to regular expressions leaks through, we keep to ``filepath.Match``, as the documentation does: ``[*]`` is
a star, ``\\d`` is a d (not a digit), ``a^b*`` may match, ``[z-a]`` matches nothing (and is no error).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from itertools import groupby

from wherry.errors import Place, UsageError

State = tuple[bool, ...]
"""What is known of a directory: for each run of patterns, whether it matched there or above."""

_SPECIAL = re.compile(r"[*?\[\]\\]")
_EVERYTHING = re.compile("")


def parse(text: str, file: str = ".dockerignore") -> tuple[str, ...]:
    """The patterns in a .dockerignore's text: no comments, no blank lines, each cleaned.

    Raises :class:`UsageError`, with the line, if a pattern is malformed.
    """
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not line.strip():
            continue
        pattern = clean(line)
        try:
            _check(pattern)
        except UsageError as error:
            raise UsageError(error.message, place=Place(file, number), hint=error.hint) from None
        patterns.append(pattern)
    return tuple(patterns)


def clean(pattern: str) -> str:
    """``pattern`` without surrounding blanks, slashes at its ends, ``.`` and ``..`` parts; ``!`` stays."""
    pattern = pattern.strip()
    if pattern.startswith("!"):
        rest = pattern[1:].strip()
        return "!" + (_clean_path(rest) if rest else "")
    return _clean_path(pattern) if pattern else ""


def escape(path: str) -> str:
    """A pattern that matches ``path`` and nothing else."""
    return _SPECIAL.sub(r"\\\g<0>", path)


def _clean_path(path: str) -> str:
    path = posixpath.normpath(path)
    return path.lstrip("/") or "/"


def _check(pattern: str) -> None:
    if pattern == "!":
        raise UsageError("'!' without a pattern", hint="Write !path to take path back in.")
    glob(pattern.removeprefix("!"))


def glob(pattern: str) -> re.Pattern[str]:
    """A regular expression that matches (``fullmatch``) the same paths as ``pattern``.

    ``*`` and ``?`` stop at ``/``, ``**`` does not, ``[a-z]`` and ``[^a-z]`` are classes, ``\\`` takes the
    next character as it is. Raises :class:`UsageError` if it is malformed.
    """
    return re.compile(_translate(pattern), re.DOTALL)


def _translate(pattern: str) -> str:
    if pattern.startswith("**") and not _SPECIAL.search(pattern, 2):
        # Here patternmatcher compares the end of the path, so that **file matches myfile too.
        rest = pattern[2:]
        return "(?:.*/)?" + re.escape(rest[1:]) if rest.startswith("/") else ".*" + re.escape(rest)
    parts: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            parts.append("(?:.*/)?" if at < end else ".*")
        elif char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            text, at = _class(pattern, at)
            parts.append(text)
        elif char == "\\":
            if at == end:
                raise _malformed(pattern)
            parts.append(re.escape(pattern[at]))
            at += 1
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins after ``[`` at ``at``, as a regular expression, and where it ends."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    count = 0
    while count == 0 or not pattern.startswith("]", at):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        count += 1
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:  # only ranges such as z-a, which hold nothing
        return (r"[\s\S]" if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] == "\\":
        at += 1
    elif pattern.startswith(("-", "]"), at):
        raise _malformed(pattern)
    if at + 1 >= len(pattern):  # the class must still be closed
        raise _malformed(pattern)
    return pattern[at], at + 1


def _malformed(pattern: str) -> UsageError:
    return UsageError(
        f"malformed pattern {pattern!r}", hint="Close each '[' with ']', and write '\\' before a character to quote it."
    )


class _Run:
    """Neighbouring patterns of one sign, asked as one. Names alone decide most of them, which is fast."""

    def __init__(self, patterns: Iterable[str], *, negated: bool) -> None:
        self.negated = negated
        self._paths: set[str] = set()
        self._names: set[str] = set()
        name_globs: list[str] = []
        path_globs: list[str] = []
        self._below: list[list[re.Pattern[str]]] = []
        for pattern in patterns:
            _, anywhere, name = pattern.rpartition("**/")
            simple = anywhere and pattern == "**/" + name and "/" not in name and name
            if not _SPECIAL.search(pattern):
                self._paths.add(pattern)
            elif simple and not _SPECIAL.search(name):
                self._names.add(name)
            elif simple and "[" not in name and "\\" not in name and "**" not in name:
                name_globs.append(_translate(name))
            else:
                path_globs.append(_translate(pattern))
            if negated:
                self._below.append(_prefix(pattern))
        self._name_glob = _any(name_globs)
        self._path_glob = _any(path_globs)

    def matches(self, path: str, name: str) -> bool:
        return (
            path in self._paths
            or name in self._names
            or (self._name_glob is not None and self._name_glob.fullmatch(name) is not None)
            or (self._path_glob is not None and self._path_glob.fullmatch(path) is not None)
        )

    def may_match_below(self, directory: str) -> bool:
        """Whether some pattern could match a path below ``directory``; never False if one does."""
        parts = directory.split("/")
        return any(_reaches(prefix, parts) for prefix in self._below)


def _any(globs: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{text})" for text in globs), re.DOTALL) if globs else None


def _prefix(pattern: str) -> list[re.Pattern[str]]:
    """A matcher for each leading part of ``pattern``; the last matches all where anything may follow."""
    parts: list[re.Pattern[str]] = []
    for part in pattern.split("/"):
        if "**" in part or "[" in part or "\\" in part:  # may match across "/"
            return [*parts, _EVERYTHING]
        parts.append(glob(part))
    return parts


def _reaches(prefix: list[re.Pattern[str]], parts: list[str]) -> bool:
    for matcher, part in zip(prefix, parts, strict=False):
        if matcher is _EVERYTHING:
            return True
        if not matcher.fullmatch(part):
            return False
    return len(prefix) > len(parts)


class Patterns:
    """Compiled patterns. Paths are relative to the context, with ``/``, and not ``.``.

    Raises :class:`UsageError` if a pattern is malformed.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        cleaned = [item for item in map(clean, patterns) if item]
        self.patterns = tuple(cleaned)
        """As they were understood: cleaned, none empty."""
        for pattern in cleaned:
            if pattern == "!":
                _check(pattern)
        self._runs = tuple(
            _Run([item.removeprefix("!") for item in run], negated=negated)
            for negated, run in groupby(cleaned, lambda item: item.startswith("!"))
        )
        self.top: State = (False,) * len(self._runs)
        """The state of the context directory itself: nothing matched."""
        self._negated = tuple(run for run in self._runs if run.negated)

    def matches(self, path: str) -> bool:
        """Whether ``path`` is left out. Directories and files are treated alike, as Docker does."""
        state = self.top
        matched = False
        parts = path.split("/")
        for count, name in enumerate(parts, 1):
            matched, state = self.step("/".join(parts[:count]), name, state)
        return matched

    def step(self, path: str, name: str, above: State) -> tuple[bool, State]:
        """Whether ``path`` is left out, and its own state, given its last part and its parent's state."""
        matched = False
        state = []
        for run, inherited in zip(self._runs, above, strict=True):
            # A pattern that cannot change the answer is not asked, and so not inherited: Docker's rule.
            hit = inherited or (run.negated == matched and run.matches(path, name))
            state.append(hit)
            if hit:
                matched = not run.negated
        return matched, tuple(state)

    def may_return(self, directory: str) -> bool:
        """Whether something below the left-out ``directory`` could be taken back in."""
        return any(run.may_match_below(directory) for run in self._negated)

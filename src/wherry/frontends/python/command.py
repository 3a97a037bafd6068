"""Commands written as text, turned into the exec form: images of the default base have no shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from wherry.errors import Place, UsageError

_PIECE = re.compile(
    r"""(?P<blank>\s+)
      | '(?P<single>[^']*)'
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | \\(?P<escaped>.)
      | (?P<plain>[^\s'"\\]+)""",
    re.VERBOSE | re.DOTALL,
)
_OPERATOR = re.compile(r"\$\(|&&|\|\||[|&;<>()`*?]")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})", re.ASCII)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
_BIND = re.compile(r"(?:.*:)?(\d{1,5})")


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a word: ``plain``, in ``double`` quotes (only variables have a meaning), or ``literal``."""

    text: str
    kind: Literal["plain", "double", "literal"]


def split(
    text: str, environment: Mapping[str, str], *, shell: bool, place: Place | None = None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words of a command as a shell would pass them on, and the variables that it sets first.

    Quotes are taken off, ``$NAME`` and ``${NAME:-default}`` filled in from ``environment``. What only a
    shell can do (pipes, ``&&``, redirection, globs) is left to one if the base has it (``shell``), and so are
    variables, which then keep their meaning at run time. Without a shell it is a :class:`UsageError`.
    """
    words = list(_words(text, place))
    live = [part for word in words for part in word if part.kind != "literal"]
    operator = next((found[0] for part in live if part.kind == "plain" and (found := _OPERATOR.search(part.text))), "")
    operator = operator or next((mark for part in live for mark in ("$(", "`") if mark in part.text), "")
    if shell and (operator or any(_VARIABLE.search(part.text) for part in live)):
        return ("/bin/sh", "-c", text if operator else f"exec {text.removeprefix('exec ')}"), {}
    if operator:
        raise _needs_shell(text, repr(operator), place)
    argv: list[str] = []
    assigned: dict[str, str] = {}
    for word in words:
        value = "".join(
            part.text if part.kind == "literal" else _expand(part.text, {**environment, **assigned}, text, place)
            for part in word
        )
        assignment = _ASSIGNMENT.fullmatch(value) if not argv and word[0].kind == "plain" else None
        if assignment:
            assigned[assignment[1]] = assignment[2]
        elif argv or value != "exec":
            argv.append(value)
    if not argv:
        raise UsageError(f"the command {text!r} runs nothing", place=place)
    return tuple(argv), assigned


def _words(text: str, place: Place | None) -> Iterator[list[_Part]]:
    word: list[_Part] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if not found:
            what = "a quotation is not closed" if text[at] in "'\"" else "it ends in a backslash"
            raise UsageError(f"cannot split the command {text!r}: {what}", place=place)
        at = found.end()
        if found["blank"]:
            if word:
                yield word
            word = []
        elif found["single"] is not None:
            word.append(_Part(found["single"], "literal"))
        elif found["double"] is not None:
            word += _double_quoted(found["double"])
        elif found["escaped"]:
            word.append(_Part(found["escaped"], "literal"))
        else:
            word.append(_Part(found["plain"], "plain"))
    if word:
        yield word


def _double_quoted(text: str) -> Iterator[_Part]:
    yield _Part("", "double")  # so that "" is a word
    for found in re.finditer(r'\\([$`"\\])|((?:[^\\]|\\(?![$`"\\]))+)', text, re.DOTALL):
        yield _Part(found[1], "literal") if found[1] else _Part(found[2], "double")


def _expand(word: str, environment: Mapping[str, str], text: str, place: Place | None) -> str:
    def fill(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        value = environment.get(name) or found[3]
        if value is None:
            raise _needs_shell(text, f"${name}", place, f"give {name} a value in env, or ")
        return value

    return _VARIABLE.sub(fill, word)


def _needs_shell(text: str, what: str, place: Place | None, other: str = "") -> UsageError:
    hint = f"{other}write the command as a list of words (entrypoint), or take a base with a shell"
    return UsageError(
        f"the command {text!r} needs a shell for {what}, and the base has none",
        place=place,
        hint=f"{hint[0].upper()}{hint[1:]}, such as debian://trixie?shell=1.",
    )


def ports(words: tuple[str, ...]) -> tuple[str, ...]:
    """The TCP ports that a server's command line names: ``--port 80``, ``-b :80``, ``--bind=0.0.0.0:80``."""
    found: dict[str, None] = {}
    for count, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in {"--port", "--bind", "-b", "-p"}:
            bound = _BIND.fullmatch(value if equals else words[count + 1] if count + 1 < len(words) else "")
            if bound and 0 < int(bound[1]) < 65536:
                found[f"{int(bound[1])}/tcp"] = None
    return tuple(found)

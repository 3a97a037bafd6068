"""Which files of an origin COPY and ADD take: paths and patterns, and what is below them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from wherry.errors import UsageError, nearest
from wherry.layers.source import File, SourceTree
from wherry.layers.tree import Node, Place
from wherry.sources.ignore import Patterns, State, glob

_WILDCARD = re.compile(r"(?<!\\)(?:\\\\)*[*?\[]")
_STARS = re.compile(r"\\.|\*+", re.DOTALL)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file or directory to be copied, under ``name``; ``path`` is its real one in ``source``.

    ``include`` and ``exclude`` are asked about what is below it, ``inside`` whether to look into a directory. Of a
    directory its ``contents`` are meant, or it itself. ``unpack``: an archive is unpacked.
    """

    source: SourceTree
    node: Node
    path: str
    name: str
    include: Patterns | None = None
    inside: Patterns | None = None
    exclude: Patterns | None = None
    contents: bool = True
    unpack: bool = False


class Item(NamedTuple):
    """Something below a chosen directory: ``path`` is relative to it, ``depth`` counts from 1.

    A directory that is not ``included`` is only there for what may be in it.
    """

    node: Node
    path: str
    name: str
    depth: int
    included: bool = True


def choose(
    source: SourceTree, text: str, *, parents: bool = False, exclude: Sequence[str] = (), unpack: bool = False
) -> list[Chosen]:
    """What ``text``, a path or a pattern (Go's filepath.Match), means in ``source``.

    A pattern that matches nothing gives nothing; a path that leads nowhere is a :class:`UsageError`. Links at the end
    of a path are followed, inside the root, as those on its way are.
    """
    excluded = Patterns(exclude) if exclude else None
    included = inside = None
    if parents:
        text, pattern = _pivot(text)
        if pattern and not _has_wildcard(text) and not _has_wildcard(pattern):
            place = source.tree.locate(f"{text}/{pattern}", stop_at_files=True)
            if place.node is None:
                raise _missing(source, f"{text}/{pattern}", place)
        if pattern:
            included, inside = Patterns((pattern,)), Patterns((f"!{pattern}",))
    found = []
    for path in _matches(source, _clean(text)):
        place = source.tree.locate(path, stop_at_files=True)
        if place.node is None:
            raise _missing(source, path, place)
        name = posixpath.basename(path)
        found.append(Chosen(source, place.node, place.path, name, included, inside, excluded, unpack=unpack))
    return found


def below(chosen: Chosen) -> Iterator[Item]:
    """All below a chosen directory that may be copied, parents first, siblings in the order of their names."""
    if chosen.include is None and chosen.exclude is None:
        yield from _all(chosen.node)
        return
    include, exclude = chosen.include, chosen.exclude
    nothing: State = ()
    start = (include.top if include else nothing, exclude.top if exclude else nothing)
    stack = [(iter(_sorted(chosen.node)), "", 1, start)]
    while stack:
        children, prefix, depth, (inside, outside) = stack[-1]
        step = next(children, None)
        if step is None:
            stack.pop()
            continue
        name, node = step
        path = prefix + name
        taken, inner, outer = True, nothing, nothing
        wanted = left_out = False
        if include:
            wanted, inner = include.step(path, name, inside)
            taken = wanted
        if exclude:
            left_out, outer = exclude.step(path, name, outside)
            taken = taken and not left_out
        if node.children is None:
            if taken:
                yield Item(node, path, name, depth)
            continue
        if left_out and exclude and not exclude.may_return(path):
            continue
        if chosen.inside and not wanted and not chosen.inside.may_return(path):
            continue
        yield Item(node, path, name, depth, taken)
        stack.append((iter(_sorted(node)), path + "/", depth + 1, (inner, outer)))


def _all(top: Node) -> Iterator[Item]:
    stack = [(iter(_sorted(top)), "")]
    while stack:
        children, prefix = stack[-1]
        for name, node in children:
            path = prefix + name
            yield Item(node, path, name, len(stack))
            if node.children is not None:
                stack.append((iter(_sorted(node)), path + "/"))
                break
        else:
            stack.pop()


def _sorted(node: Node) -> list[tuple[str, Node]]:
    return sorted((node.children or {}).items(), key=_first)


def _first(item: tuple[str, Node]) -> str:
    return item[0]


def content_digest(chosen: Sequence[Chosen]) -> str:
    """One hash of all that is to be copied: names, kinds, modes, owners, data, link targets, attributes; no times."""
    whole = sha256()
    for one in chosen:
        head = f"{one.name if one.node.children is None else ''}\0{one.contents}\0{one.unpack}\0"
        whole.update(head.encode("utf-8", "surrogateescape"))
        if one.node.children is None:
            one.source.know(_files([(one.node, one.path)]))
            whole.update(_line("", one.node, {}))
            continue
        top = one.path + "/" if one.path else ""
        items = list(below(one))
        one.source.know(_files([(item.node, top + item.path) for item in items]))
        links: dict[int, str] = {}
        if not one.contents:
            whole.update(_line("", one.node, links))
        waiting: list[Item] = []
        for item in items:
            while waiting and waiting[-1].depth >= item.depth:
                waiting.pop()
            waiting.append(item)
            if item.included:
                for new in waiting:
                    whole.update(_line(new.path, new.node, links))
                waiting.clear()
        whole.update(b"\0\0")
    return whole.hexdigest()


def _files(nodes: Sequence[tuple[Node, str]]) -> list[File]:
    return [(node.content, path) for node, path in nodes if node.content.row[1] == "file"]


def _line(path: str, node: Node, links: dict[int, str]) -> bytes:
    content = node.content
    _, kind, mode, _, uid, gid, _, data, major, minor, xattrs, _ = content.row
    if kind == "file":
        data = content.hash
    elif kind in {"char", "block"}:
        data = f"{major}:{minor}"
    first = path if node.children is not None else links.setdefault(id(content), path)
    same = "" if first == path else first
    line = f"{path}\0{kind}\0{mode}\0{uid}\0{gid}\0{data}\0{same}\0"
    if xattrs:
        line += repr(xattrs)
    return line.encode("utf-8", "surrogateescape")


# -- names ---------------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """``text`` from the root, without ``.`` and ``..`` parts and slashes at its end."""
    return posixpath.normpath("/" + text.lstrip("/"))


def _pivot(text: str) -> tuple[str, str]:
    """Where --parents begins to keep names, and what is below that (Dockerfile reference, "COPY --parents")."""
    above, pivot, rest = text.partition("/./")
    if not pivot:
        above, rest = "/", text
    return above, _clean(rest).lstrip("/")


def _has_wildcard(text: str) -> bool:
    return _WILDCARD.search(text) is not None


def _matches(source: SourceTree, path: str) -> list[str]:
    """The real paths that a pattern matches, in order; a path without wildcards gives itself."""
    parts = path.split("/")
    first = next((at for at, part in enumerate(parts) if _has_wildcard(part)), None)
    if first is None:
        return [path]
    place = source.tree.locate("/".join(parts[:first]), stop_at_files=True)
    if place.node is None:
        raise _missing(source, "/".join(parts[:first]), place)
    try:
        globs = [glob(_single_stars(part)) for part in parts[first:]]
    except UsageError as error:
        raise UsageError(f"{path.lstrip('/')}: syntax error in pattern", hint=error.hint) from None
    found = [("/" + place.path, place.node)]
    for pattern in globs:
        found = [
            (f"{above.rstrip('/')}/{name}", child)
            for above, node in found
            for name, child in _sorted(node)
            if pattern.fullmatch(name)
        ]
    return [matched for matched, _ in found]


def _single_stars(pattern: str) -> str:
    """Go's filepath.Match has no ``**``: it is a ``*``."""
    return _STARS.sub(lambda match: match[0] if match[0][0] == "\\" else "*", pattern)


def _missing(source: SourceTree, path: str, place: Place) -> UsageError:
    there = place.nodes[-1].children or {}
    near = nearest(place.missing[0], there) if place.missing else None
    above = "/".join(place.names)
    if near:
        hint = f"Did you mean {'/'.join((*place.names, near))!r}?"
    elif there:
        names = sorted(there)
        more = ", …" if len(names) > _SHOWN else ""
        hint = f"In {above or '/'} there is: {', '.join(names[:_SHOWN])}{more}"
    else:
        hint = f"{above} is empty." if above else "It would be taken from a place that holds no files at all."
    return UsageError(f'"{_clean(path)}": not found', hint=hint)

"""The files of a stage in memory, and what COPY, ADD and WORKDIR make of them: the entries of one layer.

Nothing here touches a file system. Links are followed inside the root only, as for a process that has it as its root.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from wherry.errors import WherryError
from wherry.layers.entry import OPAQUE, Entry, is_an_images
from wherry.layers.records import Row, entry_of, row_of
from wherry.layers.source import SourceTree
from wherry.layers.tree import Content, Node, Place
from wherry.solve.copy.modes import Change
from wherry.solve.copy.selection import Chosen, Item, below

NEW = 1 << 30
"""The number of the layer that is being made."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is changed in the attributes of what is copied; None leaves them as they are.

    ``folder`` is the mode of directories that no source tells of. No time is later than ``latest``; ``time`` is that of
    what is new, and of everything if ``fixed``.
    """

    owner: tuple[int, int] | None = None
    mode: Change | None = None
    folder: int = 0o755
    time: int = 0
    latest: int | None = None
    fixed: bool = False

    def mtime(self, mtime: int) -> int:
        """What becomes of a time."""
        if self.fixed:
            return self.time
        return mtime if self.latest is None else min(mtime, self.latest)


class Made(Content):
    """The attributes of something new, and where its data comes from: ``origin`` of ``source``, at ``path`` there."""

    __slots__ = ("look", "origin", "path", "source")

    def __init__(self, source_entry: Entry | Row, look: Look, source: SourceTree | None = None, path: str = "") -> None:
        super().__init__(source_entry, NEW, -1)
        self.look = look
        self.source = source
        self.origin: Content | None = None
        self.path = path

    def dress(self, like: Entry) -> None:
        """Give this the owner, mode and time of another entry."""
        if self.kind != "symlink":
            self.row = row_of(replace(self.entry, mode=like.mode, uid=like.uid, gid=like.gid, mtime=like.mtime))

    def at(self, path: str) -> Row:
        """The entry that a layer has for this at ``path``."""
        look = self.look
        _, kind, mode, size, uid, gid, mtime, link, major, minor, xattrs, _ = self.row
        if look.owner is not None:
            uid, gid = look.owner
        if look.mode is not None and kind != "symlink":
            mode = look.mode(mode, kind == "dir")
        if look.fixed or look.latest is not None:
            mtime = look.mtime(mtime)
        if xattrs:
            xattrs = tuple(item for item in xattrs if is_an_images(item[0]))
        content = self.origin.hash if self.origin is not None else ""
        return path, kind, mode, size, uid, gid, mtime, link, major, minor, xattrs, content


class Output(NamedTuple):
    """What a layer gets: an entry, and for a regular file where its data is."""

    row: Row
    made: Made | None = None


class Target:
    """A stage's tree while a step changes it."""

    def __init__(self, own: SourceTree) -> None:
        self._own = own
        self._tree = own.tree
        self._changed: dict[int, tuple[Node, dict[str, Node]]] = {}
        """What is new in a directory, by the directory's identity: names of it that are new, or hold something new."""
        self._gone: set[tuple[int, str]] = set()
        """Directories of lower layers that something else has replaced."""

    # -- making ----------------------------------------------------------------------------------

    def make_directories(self, path: str, look: Look, top: Place | None = None) -> Place:
        """The directory that ``path`` leads to, made with those above it if they are missing."""
        place = self._locate(path, top)
        if place.node is not None:
            if place.node.children is None:
                raise WherryError(f"mkdir {_shown(place)}: not a directory")
            return place
        return self._make_missing(place, look)

    def _make_missing(self, place: Place, look: Look) -> Place:
        names, nodes = list(place.names), list(place.nodes)
        for name in place.missing:
            made = Node(Made(Entry("", "dir", look.folder, mtime=look.time), replace(look, mode=None)), NEW, {})
            self.put(Place(names, nodes, []), name, made)
            names, nodes = [*names, name], [*nodes, made]
        return Place(names, nodes, [])

    def put(self, above: Place, name: str, node: Node) -> None:
        """Let ``name`` in the directory ``above`` be ``node``; what was there is gone."""
        folder = above.nodes[-1]
        assert folder.children is not None
        there = folder.children.get(name)
        if there is not None and there.children is not None and there is not node:
            self._gone.add((id(folder), name))
        folder.children[name] = node
        self._note(above, name, node)

    def _note(self, above: Place, name: str, node: Node) -> None:
        nodes = above.nodes
        known = self._changed.get(id(nodes[-1]))
        if known is not None:
            known[1][name] = node
            return
        self._changed[id(nodes[-1])] = (nodes[-1], {name: node})
        for at in range(len(nodes) - 2, -1, -1):
            known = self._changed.get(id(nodes[at]))
            if known is not None:
                known[1][above.names[at]] = nodes[at + 1]
                return
            self._changed[id(nodes[at])] = (nodes[at], {above.names[at]: nodes[at + 1]})

    def _locate(self, path: str, top: Place | None = None, *, follow: bool = True) -> Place:
        if top is None:
            return self._tree.locate(path, follow=follow)
        # In a directory that is a root of its own a link that climbs out of it is refused, as by Docker.
        found = self._tree.locate(path, follow=follow, top=top.nodes[-1], strict=bool(top.names))
        return Place([*top.names, *found.names], [*top.nodes, *found.nodes[1:]], found.missing)

    # -- copying ---------------------------------------------------------------------------------

    def copy(self, chosen: Chosen, destination: str, look: Look) -> None:
        """Copy what is ``chosen`` to ``destination``. Raises :class:`WherryError` where something is in the way."""
        node = chosen.node
        above, _, last = destination.rpartition("/")
        self.make_directories(destination if last in {"", "."} else above, look)
        place = self._locate(posixpath.normpath(destination))
        there = place.node
        is_dir = node.children is not None
        if there is not None and not (is_dir and chosen.contents) and (is_dir or there.children is not None):
            if chosen.name and there.children is not None:
                inner = there.children.get(chosen.name)
                found = ([*place.names, chosen.name], [*place.nodes, inner]) if inner else (place.names, place.nodes)
                place = Place(*found, [] if inner else [chosen.name])
        elif is_dir and chosen.contents and there is None:
            place = self._make_missing(place, look)
        if not is_dir:
            name = place.path.rpartition("/")[2]
            self._copy_file(chosen, node, chosen.path, self._above(place, look), name, look, {})
            return
        there = place.node
        if there is None:
            folder, name = self._above(place, look), place.missing[-1]
            there = Node(Made(node.entry, look), NEW, {})
            self.put(folder, name, there)
            place = Place([*folder.names, name], [*folder.nodes, there], [])
        elif there.children is None:
            raise WherryError(f"cannot copy to non-directory: {_shown(place)}")
        self._copy_below(chosen, place, look)

    def _above(self, place: Place, look: Look) -> Place:
        """The directory that ``place`` is in, made if it is missing."""
        if place.missing:
            return self._make_missing(Place(place.names, place.nodes, place.missing[:-1]), look)
        return Place(place.names[:-1], place.nodes[:-1], [])

    def _copy_below(self, chosen: Chosen, top: Place, look: Look) -> None:
        links: dict[int, Made] = {}
        prefix = chosen.path + "/" if chosen.path else ""
        trail: list[Place | None] = [top]
        waiting: list[Item] = []
        for item in below(chosen):
            depth = item.depth
            del trail[depth:]
            while waiting and waiting[-1].depth >= depth:
                waiting.pop()
            if not item.included:
                waiting.append(item)
                trail.append(None)
                continue
            for above in waiting:  # directories that are only there for what is in them
                folder = trail[above.depth - 1]
                assert folder is not None
                trail[above.depth] = self._copy_directory(above, folder, look, whole=False)
            waiting.clear()
            folder = trail[depth - 1]
            assert folder is not None
            if item.node.children is not None:
                trail.append(self._copy_directory(item, folder, look, whole=True))
                continue
            self._copy_file(chosen, item.node, prefix + item.path, folder, item.name, look, links)

    def _copy_directory(self, item: Item, above: Place, look: Look, *, whole: bool) -> Place:
        """Make a directory like ``item``, or an existing one like it: ``whole``, or in its mode alone."""
        children = above.nodes[-1].children
        assert children is not None
        there = children.get(item.name)
        entry = item.node.entry
        if there is None:
            there = Node(Made(entry, look), NEW, {})
        elif there.children is None:
            raise WherryError(f"cannot copy to non-directory: /{'/'.join((*above.names, item.name))}")
        elif whole:
            kept = _entry(there)
            there.content = Made(replace(entry, xattrs={**kept.xattrs, **entry.xattrs}), look)
        else:
            kept = _entry(there)
            if kept.mode != entry.mode:
                there.content = Made(replace(kept, mode=entry.mode), Look(time=look.time, fixed=look.fixed))
        self.put(above, item.name, there)
        return Place([*above.names, item.name], [*above.nodes, there], [])

    def _copy_file(
        self, chosen: Chosen, node: Node, path: str, above: Place, name: str, look: Look, links: dict[int, Made]
    ) -> None:
        children = above.nodes[-1].children
        assert children is not None
        there = children.get(name)
        if there is not None and there.children is not None:
            raise WherryError(f"cannot replace to directory /{'/'.join((*above.names, name))} with file")
        made = links.get(id(node.content))
        if made is None:
            made = links[id(node.content)] = Made(node.content.row, look, chosen.source, path)
            made.origin = node.content
        self.put(above, name, Node(made, NEW))

    # -- archives --------------------------------------------------------------------------------

    def unpack(self, archive: SourceTree, entries: Iterator[Entry], destination: str, look: Look) -> None:
        """Put the entries of ``archive`` below ``destination``, which is a root of its own for the links in them."""
        top = self.make_directories(destination, replace(look, folder=0o755))
        implied = replace(look, owner=(0, 0), mode=None, folder=0o755)
        look = replace(look, mode=None)
        for number, entry in enumerate(entries):
            if not entry.path:
                continue
            above_path, _, name = entry.path.rpartition("/")
            try:
                above = self.make_directories(above_path, implied, top)
            except WherryError as error:
                raise WherryError(f"/{top.path}: archive entry {entry.path!r}: {error.message}") from None
            children = above.nodes[-1].children
            assert children is not None
            there = children.get(name)
            if entry.kind == "dir":
                made = Made(entry, look)
                if there is not None and there.children is not None:
                    there.content = made
                    self.put(above, name, there)
                else:
                    self.put(above, name, Node(made, NEW, {}))
            elif entry.kind == "hardlink":
                self._link(entry, above, name, top, look)
            else:
                made = Made(entry, look, archive)
                made.origin = Content(entry, 0, number)
                self.put(above, name, Node(made, NEW))

    def _link(self, entry: Entry, above: Place, name: str, top: Place, look: Look) -> None:
        target = self._locate(entry.link, top, follow=False).node
        children = above.nodes[-1].children
        if target is None or target.children is not None:
            raise WherryError(f"hard link {entry.path!r} leads to {entry.link!r}, which is not a file there")
        if children is not None and children.get(name) is target:
            return
        content = target.content
        if not isinstance(content, Made):  # of a lower layer: this one must hold it too, to be linked to
            place = self._locate(entry.link, top, follow=False)
            made = Made(content.entry, look, self._own, place.path)
            made.origin = content
            content = made
            self.put(Place(place.names[:-1], place.nodes[:-1], []), place.names[-1], Node(content, NEW))
        content.dress(entry)  # what is said of the link is said of the file
        self.put(above, name, Node(content, NEW))

    # -- the layer -------------------------------------------------------------------------------

    def output(self) -> Iterator[Output]:
        """What is new: directories and the like first, each below those above it; then files; then links to them.

        Directories that were there are listed as they are where something in them is new, so that a layer can be used
        by itself. Files of one source stand in the order of their names: it is for who writes them to sort them.
        """
        files: list[Output] = []
        links: list[Output] = []
        names: dict[int, str] = {}
        stack = [("", self._tree.root)]
        while stack:
            path, node = stack.pop()
            content = node.content
            if node.children is None:
                first = names.setdefault(id(content), path)
                if first != path:
                    links.append(Output(row_of(Entry(path, "hardlink", mtime=_row(content, path)[6], link=first))))
                    continue
                assert isinstance(content, Made)
                if content.row[1] == "file":
                    files.append(Output(content.at(path), content))
                else:
                    yield Output(content.at(path))
                continue
            if path:
                yield Output(_row(content, path))
            _, changed = self._changed.get(id(node), (node, {}))
            inner = [
                (f"{path}/{name}" if path else name, child)
                for name, child in sorted(changed.items(), reverse=True, key=_first)
            ]
            if path and self._is_opaque(path, node):
                yield Output(row_of(Entry(f"{path}/{OPAQUE}", "file", mtime=_row(content, path)[6]), _NO_DATA))
            stack += inner
        yield from files
        yield from links

    def _is_opaque(self, path: str, node: Node) -> bool:
        if not self._gone or node.layer != NEW:
            return False
        above, _, name = path.rpartition("/")
        return (id(self._tree.locate(above, follow=False).nodes[-1]), name) in self._gone


_NO_DATA = sha256(b"").hexdigest()


def _entry(node: Node) -> Entry:
    return entry_of(_row(node.content, ""))


def _row(content: Content, path: str) -> Row:
    return content.at(path) if isinstance(content, Made) else (path, *content.row[1:])


def _first(item: tuple[str, Node]) -> str:
    return item[0]


def _shown(place: Place) -> str:
    return "/" + place.path

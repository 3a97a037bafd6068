"""A root filesystem in memory: names and attributes, and where each file's data is.

Layers are applied one over the other, as OCI image-spec, layer.md ("Applying Changesets", "Whiteouts") says. Parents
that are symbolic links are followed inside the root, so that no path of a tree leads through a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from wherry.errors import WherryError
from wherry.layers.entry import OPAQUE, WHITEOUT, Entry, Kind
from wherry.layers.records import Row, entry_of, row_of

MOST_LINKS = 40  # as Linux follows
_IMPLIED: Row = ("", "dir", 0o755, 0, 0, 0, 0, "", 0, 0, (), "")  # a directory that no layer tells of


class Content:
    """A file's attributes, and where its data is: entry ``number`` of layer ``layer``. Hard links share one.

    ``row`` are the attributes as plain values, which :attr:`entry` is made from when it is asked for. ``hash`` is the
    SHA-256 (hex) of a regular file's data, if it is known.
    """

    __slots__ = ("hash", "layer", "number", "row")

    def __init__(self, source: Entry | Row, layer: int, number: int) -> None:
        self.row: Row = source if isinstance(source, tuple) else row_of(source)
        self.hash = self.row[-1]
        self.layer = layer
        self.number = number

    @property
    def entry(self) -> Entry:
        """The attributes. The path is the one that the layer has, which need not be where the file is."""
        return entry_of(self.row)

    @property
    def kind(self) -> Kind:
        """What kind of file it is."""
        return self.row[1]

    @property
    def link(self) -> str:
        """The target of a symbolic link."""
        return self.row[7]


class Node:
    """A name in a tree, put there by layer ``layer``. ``children`` are those of a directory, else None."""

    __slots__ = ("children", "content", "layer")

    def __init__(self, content: Content, layer: int, children: dict[str, Node] | None = None) -> None:
        self.content = content
        self.layer = layer
        self.children = children

    @property
    def entry(self) -> Entry:
        """The attributes of the file."""
        return self.content.entry


class Place:
    """Where a path leads once links are followed: the directories on the way, with their names, outermost first.

    ``missing`` are the parts after the last that is there.
    """

    __slots__ = ("missing", "names", "nodes")

    def __init__(self, names: list[str], nodes: list[Node], missing: list[str]) -> None:
        self.names = names
        self.nodes = nodes
        self.missing = missing

    @property
    def path(self) -> str:
        """The real path, relative to the root."""
        return "/".join((*self.names, *self.missing))

    @property
    def node(self) -> Node | None:
        """What is there, or None."""
        return None if self.missing else self.nodes[-1]


class Tree:
    """The names below one root."""

    def __init__(self) -> None:
        self.root = directory(-1)
        self._known: dict[str, Node] = {}
        """Directories as layers name them; good until a link or a directory goes."""

    # -- layers ----------------------------------------------------------------------------------

    def apply(self, layer: int, changes: Iterable[Entry | Row]) -> None:
        """Put layer number ``layer`` on top. Raises :class:`WherryError` for one that cannot be applied."""
        known = self._known
        known.clear()
        for number, entry in enumerate(changes):
            path, kind = (entry[0], entry[1]) if isinstance(entry, tuple) else (entry.path, entry.kind)
            if not path:
                self.root.content = Content(entry, layer, number)
                continue
            above, _, name = path.rpartition("/")
            if name.startswith(WHITEOUT):
                self._white_out(above, name, layer)
                continue
            parent = known.get(above)
            if parent is None:
                parent = known[above] = self._directory(above, layer)
            self._put(layer, number, entry, kind, parent, name)

    def _white_out(self, above: str, name: str, layer: int) -> None:
        parent = self.directory_at(above)
        if parent is None:
            return
        if name == OPAQUE:
            _hide(parent, layer)
        elif not name.startswith(WHITEOUT * 2):
            _remove(parent, name.removeprefix(WHITEOUT), layer)
        self._known.clear()

    def _put(self, layer: int, number: int, entry: Entry | Row, kind: Kind, parent: Node, name: str) -> None:
        assert parent.children is not None
        there = parent.children.get(name)
        if kind == "dir":
            content = Content(entry, layer, number)
            if there is not None and there.children is not None:
                there.content, there.layer = content, layer
                return
            if there is not None:
                self._known.clear()
            parent.children[name] = Node(content, layer, {})
            return
        if there is not None:
            self._known.clear()
        if kind != "hardlink":
            parent.children[name] = Node(Content(entry, layer, number), layer)
            return
        path, link = (entry[0], entry[7]) if isinstance(entry, tuple) else (entry.path, entry.link)
        above, _, last = link.rpartition("/")
        folder = self.directory_at(above)
        if folder is parent and last == name:
            return
        target = (folder.children or {}).get(last) if folder else None
        if target is None or target.children is not None or (there and _holds(there, target)):
            raise WherryError(f"layer: hard link {path!r} leads to {link!r}, which is not a file there")
        parent.children[name] = Node(target.content, layer)

    def _directory(self, path: str, layer: int) -> Node:
        """The directory at ``path``, made if need be."""
        place = self.locate(path, stop_at_files=True)
        node = place.nodes[-1]
        for name in place.missing:
            if node.children is None:
                raise WherryError(f"layer: {path!r} is not a directory")
            inner = directory(layer)
            node.children[name] = inner
            node = inner
        if node.children is None:
            raise WherryError(f"layer: {path!r} is not a directory")
        return node

    # -- names -----------------------------------------------------------------------------------

    def directory_at(self, path: str) -> Node | None:
        """The directory that ``path`` leads to, or None."""
        node = self.locate(path, stop_at_files=True).node
        return node if node is not None and node.children is not None else None

    def find(self, path: str, *, follow: bool = True) -> Node | None:
        """What ``path`` leads to inside the root, or None; ``follow`` says whether a link at its end is followed."""
        return self.locate(path, follow=follow, stop_at_files=True).node

    def locate(
        self,
        path: str,
        *,
        follow: bool = True,
        top: Node | None = None,
        stop_at_files: bool = False,
        strict: bool = False,
    ) -> Place:
        """Where ``path`` leads below ``top`` (the root), links followed inside it as for a process that has it as root.

        Parts below one that is missing are taken as they are. One below a file is an error, or is missing too
        (``stop_at_files``). Above the root is the root, or an error (``strict``). Raises :class:`WherryError` for such
        paths, and for one through too many links.
        """
        names: list[str] = []
        nodes: list[Node] = [top or self.root]
        missing: list[str] = []
        rest = path.split("/")[::-1] if path else []
        links = 0
        while rest:
            part = rest.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                _go_up(names, nodes, missing, strict=strict)
                continue
            children = nodes[-1].children
            if children is None and not missing and not stop_at_files:
                raise WherryError(f"/{'/'.join(names)}: not a directory")
            node = children.get(part) if children is not None and not missing else None
            if node is None:
                missing.append(part)
            elif node.children is None and node.content.row[1] == "symlink" and (follow or any(_named(rest))):
                links += 1
                if links > MOST_LINKS:
                    raise WherryError(f"{path!r} leads through too many symbolic links")
                target = node.content.link
                if target.startswith("/"):
                    del names[:], nodes[1:]
                rest += target.split("/")[::-1]
            else:
                names.append(part)
                nodes.append(node)
        return Place(names, nodes, missing)

    def walk(self) -> Iterator[tuple[str, Node]]:
        """All names but the root's, parents first, in the order of their bytes."""
        return walk(self.root)


def load_tree(layers: Sequence[Callable[[], Sequence[Row]]]) -> Tree:
    """The root filesystem of ``layers``, lowest first, each given by what reads its records."""
    tree = Tree()
    for number, read in enumerate(layers):
        tree.apply(number, read())
    return tree


def walk(top: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """All names below ``top``, parents first, in the order of their bytes; paths begin with ``prefix``."""
    waiting: list[tuple[str, Node]] = _listing(top, prefix)
    while waiting:
        path, node = waiting.pop()
        yield path, node
        if node.children:
            waiting += _listing(node, f"{path}/")


def _listing(node: Node, prefix: str) -> list[tuple[str, Node]]:
    return [(prefix + name, child) for name, child in sorted((node.children or {}).items(), reverse=True, key=_name)]


def _name(item: tuple[str, Node]) -> str:
    return item[0]


def directory(layer: int) -> Node:
    """A directory that is only implied by what is in it."""
    return Node(Content(_IMPLIED, layer, -1), layer, {})


def _go_up(names: list[str], nodes: list[Node], missing: list[str], *, strict: bool) -> None:
    if missing:
        missing.pop()
    elif names:
        names.pop()
        nodes.pop()
    elif strict:
        raise WherryError("a symbolic link leads out of the directory")


def _named(rest: Iterable[str]) -> Iterator[str]:
    return (part for part in rest if part not in {"", "."})


def _holds(folder: Node, node: Node) -> bool:
    """Whether ``node`` is somewhere below ``folder``."""
    return any(child is node or _holds(child, node) for child in (folder.children or {}).values())


def _hide(folder: Node, layer: int) -> None:
    """Remove from ``folder`` what layers below ``layer`` put there."""
    for name in list(folder.children or {}):
        _remove(folder, name, layer)


def _remove(parent: Node, name: str, layer: int) -> None:
    """Remove ``name`` from ``parent`` unless ``layer`` itself put it, or something below it, there."""
    children = parent.children
    node = children.get(name) if children else None
    if children is None or node is None:
        return
    if node.children is not None:
        _hide(node, layer)
        if node.children:
            return
    if node.layer < layer:
        del children[name]

"""A root filesystem in memory: where paths lead, and what layers make of it."""

from __future__ import annotations

import pytest

from wherry.errors import WherryError
from wherry.layers.entry import Entry
from wherry.layers.records import row_of
from wherry.layers.tree import Tree

BASE = [
    Entry("usr", "dir", 0o755),
    Entry("usr/lib", "dir", 0o755),
    Entry("usr/lib/x", "file"),
    Entry("lib", "symlink", link="usr/lib"),
    Entry("abs", "symlink", link="/usr"),
    Entry("up", "symlink", link="../../../usr/lib"),
    Entry("file", "symlink", link="lib/x"),
    Entry("dangling", "symlink", link="no/where"),
    Entry("circle", "symlink", link="circle"),
]


def tree_of(*layers: list[Entry], rows: bool = False) -> Tree:
    tree = Tree()
    for number, layer in enumerate(layers):
        tree.apply(number, map(row_of, layer) if rows else layer)
    return tree


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("lib/x", "usr/lib/x"),
        ("/lib/../lib/./x", "usr/lib/x"),
        ("abs/lib/x", "usr/lib/x"),
        ("up/x", "usr/lib/x"),
        ("file", "usr/lib/x"),
        ("dangling", "no/where"),
        ("dangling/below", "no/where/below"),
        ("dangling/../sibling", "no/sibling"),
        ("../../etc", "etc"),
        ("", ""),
        ("/", ""),
    ],
)
def test_a_path_leads_through_links_inside_the_root(path: str, real: str, rows: bool) -> None:
    place = tree_of(BASE, rows=rows).locate(path)
    assert place.path == real
    assert (place.node is None) == bool(place.missing)


def test_a_link_at_the_end_is_followed_or_not() -> None:
    tree = tree_of(BASE)
    for path, kind in (("lib", "dir"), ("file", "file")):
        followed, itself = tree.find(path), tree.find(path, follow=False)
        assert followed and followed.content.kind == kind
        assert itself and itself.content.kind == "symlink"


def test_paths_below_files_and_in_circles_lead_nowhere() -> None:
    tree = tree_of(BASE)
    with pytest.raises(WherryError, match="/usr/lib/x: not a directory"):
        tree.locate("lib/x/y")
    assert tree.find("lib/x/y") is None
    with pytest.raises(WherryError, match="too many symbolic links"):
        tree.locate("circle")


def test_a_path_may_start_at_a_directory_which_is_then_the_root_of_links() -> None:
    tree = tree_of([Entry("d", "dir"), Entry("d/out", "symlink", link="/x"), Entry("d/up", "symlink", link="../x")])
    top = tree.find("d")
    assert top is not None
    assert tree.locate("out", top=top).path == tree.locate("up", top=top).path == "x"


@pytest.mark.parametrize("rows", [False, True])
def test_layers_hide_and_replace_what_is_below(rows: bool) -> None:
    first = [
        Entry("a", "dir"),
        Entry("a/1", "file"),
        Entry("a/2", "file"),
        Entry("b", "dir"),
        Entry("b/1", "file"),
        Entry("c", "dir"),
        Entry("c/1", "file"),
    ]
    second = [
        Entry("a/.wh.1", "file"),
        Entry("b/.wh..wh..opq", "file"),
        Entry("b/new", "file"),
        Entry("c", "file"),
        Entry("implied/by/it", "file"),
        Entry(".wh..wh.plnk", "dir"),
    ]
    assert [path for path, _ in tree_of(first, second, rows=rows).walk()] == [
        "a",
        "a/2",
        "b",
        "b/new",
        "c",
        "implied",
        "implied/by",
        "implied/by/it",
    ]


def test_where_a_file_is_and_its_other_names_are_known() -> None:
    tree = tree_of([Entry("a", "file", size=3)], [Entry("b", "hardlink", link="a"), Entry("c", "file")])
    a, b = tree.find("a"), tree.find("b")
    assert a and b and a.content is b.content
    assert (a.content.layer, a.content.number, a.layer, b.layer) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "layers",
    [
        [[Entry("a", "hardlink", link="none")]],
        [[Entry("d", "dir"), Entry("a", "hardlink", link="d")]],
        [[Entry("a", "file"), Entry("a/b", "file")]],
        [[Entry("circle", "symlink", link="circle"), Entry("circle/x", "file")]],
    ],
)
def test_what_cannot_be_is_an_error(layers: list[list[Entry]]) -> None:
    with pytest.raises(WherryError):
        tree_of(*layers)

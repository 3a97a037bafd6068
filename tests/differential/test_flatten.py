"""What the comparison itself sees: layers applied, links grouped, attributes told."""

from __future__ import annotations

import hashlib

import pytest
from tests.differential import flatten
from tests.differential.case import Device, Dir, Fifo, File, Hardlink, Symlink, Tree, tar


def flat(*layers: Tree) -> dict[str, str]:
    """The lines of ``layers``, one over the other."""
    tree = {"/": flatten.Node("dir")}
    for layer in layers:
        flatten.apply(tar(layer), tree, {})
    return flatten.lines(tree)


def test_each_type_has_its_line() -> None:
    found = flat({"d": Dir(0o1777, 1, 2), "f": File("x\n", 0o4755), "l": Symlink("f"), "p": Fifo(), "n": Device(1, 3)})

    assert found == {
        "/": "dir 755 0:0",
        "/d": "dir 1777 1:2",
        "/f": "file 4755 0:0 'x\\n' old",
        "/l": "symlink 777 0:0 -> f old",
        "/n": "char 644 0:0 1,3 old",
        "/p": "fifo 644 0:0 old",
    }


def test_a_long_file_is_told_by_size_and_hash() -> None:
    data = b"x" * 1000

    assert flat({"f": data})["/f"] == f"file 644 0:0 1000 sha256:{hashlib.sha256(data).hexdigest()[:24]} old"


def test_a_file_that_differs_from_machine_to_machine_has_a_name() -> None:
    assert flatten.content(b"program", {hashlib.sha256(b"program").hexdigest(): "PROGRAM"}) == "PROGRAM"


def test_extended_attributes_are_told() -> None:
    assert flat({"f": File("", xattrs={"user.a": b"\x01"})})["/f"] == "file 644 0:0 '' user.a=01 old"


def test_hard_links_are_one_group_whatever_layer_they_come_from() -> None:
    found = flat({"b": "x", "a": Hardlink("b")}, {"c": "y", "d": Hardlink("c")})

    assert (found["/a"], found["/b"], found["/d"]) == ("file 644 0:0 'x' old", "hardlink to /a", "hardlink to /c")


def test_a_whiteout_removes_a_directory_and_what_is_in_it() -> None:
    assert set(flat({"d/e/f": "", "d2": ""}, {".wh.d": ""})) == {"/", "/d2"}


def test_an_opaque_directory_hides_only_what_lower_layers_put_there() -> None:
    assert set(flat({"d/old": ""}, {"d/new": "", "d/.wh..wh..opq": ""})) == {"/", "/d", "/d/new"}


def test_a_file_over_a_directory_removes_what_was_in_it() -> None:
    assert set(flat({"d/x": ""}, {"d": "now a file"})) == {"/", "/d"}


def test_a_directory_over_a_link_replaces_it() -> None:
    found = flat({"real/x": "", "l": Symlink("real")}, {"l": Dir(), "l/y": ""})

    assert set(found) == {"/", "/l", "/l/y", "/real", "/real/x"}


def test_an_entry_that_leads_through_a_link_is_no_layer() -> None:
    with pytest.raises(AssertionError, match="below /l, which is a symlink"):
        flat({"l": Symlink("real")}, {"l/x": ""})


def test_a_name_that_is_not_utf8_is_kept() -> None:
    assert "/caf\udce9" in flat({"caf\udce9": ""})

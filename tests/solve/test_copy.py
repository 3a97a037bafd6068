"""COPY: which files, to where, and what becomes of what is there. As BuildKit does it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.solve.copying import EXCERPT, PLACE, Files, Kitchen, write_context

from wherry.errors import WherryError
from wherry.layers.entry import Entry
from wherry.plan import Inline
from wherry.store import Store

PLAIN: Files = {"a.txt": "A", "b.txt": "B", "d": None, "d/x": "X", "d/e": None, "d/e/y": "Y"}


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    context = tmp_path / "context"
    context.mkdir()
    return Kitchen(store, context)


# sources, destination, files of the stage before, what is there afterwards
SELECTIONS: list[tuple[list[str], str, Files, dict[str, str]]] = [
    (["a.txt"], "/c.txt", {}, {"c.txt": "A"}),
    (["a.txt"], "/w/", {}, {"w": "dir", "w/a.txt": "A"}),
    (["a.txt"], "/w", {"w": None}, {"w": "dir", "w/a.txt": "A"}),
    (["a.txt"], "/w/v/c", {}, {"w": "dir", "w/v": "dir", "w/v/c": "A"}),
    (["/a.txt"], "/c", {}, {"c": "A"}),
    (["../../a.txt"], "/c", {}, {"c": "A"}),
    (["d/../a.txt"], "/c", {}, {"c": "A"}),
    (["./a.txt/"], "/c", {}, {"c": "A"}),
    (["d"], "/w", {}, {"w": "dir", "w/x": "X", "w/e": "dir", "w/e/y": "Y"}),
    (["d/"], "/w/", {"w": None, "w/old": "O"}, {"w": "dir", "w/old": "O", "w/x": "X", "w/e": "dir", "w/e/y": "Y"}),
    (["d/e"], "/", {}, {"y": "Y"}),
    (["a.txt", "b.txt"], "/w/", {}, {"w": "dir", "w/a.txt": "A", "w/b.txt": "B"}),
    (["*.txt"], "/w/", {}, {"w": "dir", "w/a.txt": "A", "w/b.txt": "B"}),
    (["?.txt"], "/c", {}, {"c": "B"}),
    (["[b-z].txt"], "/c", {}, {"c": "B"}),
    (["[^a].txt"], "/c", {}, {"c": "B"}),
    (["d/*"], "/w/", {}, {"w": "dir", "w/x": "X", "w/y": "Y"}),
    (["*/x"], "/w/", {}, {"w": "dir", "w/x": "X"}),
    (["**/x"], "/w/", {}, {"w": "dir", "w/x": "X"}),
    (["**/y"], "/w/", {}, {}),
    (["nothing*"], "/w/", {}, {}),
    (["a.txt"], "/c", {"c": "old"}, {"c": "A"}),
    (["a.txt"], "/l", {"t": "old", "l": "-> t"}, {"t": "A", "l": "-> t"}),
    (["a.txt"], "/l", {"l": "-> /v/t"}, {"l": "-> /v/t", "v": "dir", "v/t": "A"}),
    (["a.txt"], "/l", {"t": None, "l": "-> t"}, {"t": "dir", "t/a.txt": "A", "l": "-> t"}),
    (["a.txt"], "/l/", {"t": None, "l": "-> t"}, {"t": "dir", "t/a.txt": "A", "l": "-> t"}),
    (["a.txt"], "/l/m/c", {"t": None, "l": "-> t"}, {"t": "dir", "t/m": "dir", "t/m/c": "A", "l": "-> t"}),
    (["a.txt"], "/l/c", {"l": "-> ../../t"}, {"l": "-> ../../t", "t": "dir", "t/c": "A"}),
    (["a.txt"], "/w/", {"w": None, "w/a.txt": "-> b", "w/b": "B"}, {"w": "dir", "w/a.txt": "A", "w/b": "B"}),
    (["d"], "/l", {"t": None, "l": "-> t"}, {"t": "dir", "t/x": "X", "t/e": "dir", "t/e/y": "Y", "l": "-> t"}),
    (["d"], "/w", {"w": None, "w/x": "-> b"}, {"w": "dir", "w/x": "X", "w/e": "dir", "w/e/y": "Y"}),
    (["a.txt"], "/w/../c", {}, {"c": "A"}),
]


@pytest.mark.parametrize(("sources", "destination", "before", "after"), SELECTIONS)
def test_what_is_copied_where(
    kitchen: Kitchen, sources: list[str], destination: str, before: Files, after: dict[str, str]
) -> None:
    write_context(kitchen.context, PLAIN)
    copied = kitchen.copy(sources, destination, before)
    assert kitchen.files(copied) == dict(sorted(after.items()))


@pytest.mark.parametrize(("sources", "destination", "before", "after"), SELECTIONS)
def test_a_stage_gives_what_a_context_gives(
    kitchen: Kitchen, sources: list[str], destination: str, before: Files, after: dict[str, str]
) -> None:
    copied = kitchen.copy(sources, destination, before, stage=PLAIN)
    assert kitchen.files(copied) == dict(sorted(after.items()))


@pytest.mark.parametrize(
    ("sources", "destination", "before", "message"),
    [
        (["[bad"], "/", {}, r"\[bad: syntax error in pattern"),
        (["c.txt"], "/", {}, r'"/c\.txt": not found'),
        (["d/z"], "/", {}, r'"/d/z": not found'),
        (["a.txt/z"], "/", {}, r'"/a\.txt/z": not found'),
        (["z/*"], "/", {}, r'"/z": not found'),
        (["a.txt"], "/w", {"w": None, "w/a.txt": None}, "cannot replace to directory /w/a.txt with file"),
        (["d"], "/w", {"w": None, "w/x": None}, "cannot replace to directory /w/x with file"),
        (["d"], "/c", {"c": "file"}, "cannot copy to non-directory: /c"),
        (["d"], "/w", {"w": None, "w/e": "file"}, "cannot copy to non-directory: /w/e"),
        (["d"], "/w", {"w": None, "v": None, "w/e": "-> /v"}, "cannot copy to non-directory: /w/e"),
        (["a.txt"], "/c/", {"c": "file"}, "mkdir /c: not a directory"),
        (["a.txt"], "/c/d", {"c": "file"}, "not a directory"),
        (["a.txt"], "/l", {"l": "-> l"}, "too many symbolic links"),
    ],
)
def test_what_cannot_be_copied(
    kitchen: Kitchen, sources: list[str], destination: str, before: Files, message: str
) -> None:
    write_context(kitchen.context, PLAIN)
    with pytest.raises(WherryError, match=message) as error:
        kitchen.copy(sources, destination, before)
    assert error.value.place == PLACE


def test_a_missing_file_is_told_with_the_nearest_name(kitchen: Kitchen) -> None:
    write_context(kitchen.context, PLAIN)
    with pytest.raises(WherryError) as error:
        kitchen.copy("d/e/yy", "/")
    assert error.value.hint == f"{EXCERPT}\nDid you mean 'd/e/y'?"


LINKS: Files = {
    "real": None,
    "real/x": "X",
    "real/in": "-> x",
    "to-dir": "-> real",
    "to-file": "-> real/x",
    "out": "-> /etc/passwd",
    "up": "-> ../../../etc/passwd",
    "dangling": "-> nowhere",
    "circle": "-> circle",
}


@pytest.mark.parametrize(
    ("source", "destination", "after"),
    [
        ("to-dir", "/w", {"w": "dir", "w/in": "-> x", "w/x": "X"}),
        ("to-dir/x", "/c", {"c": "X"}),
        ("to-file", "/w/", {"w": "dir", "w/to-file": "X"}),
        ("to-file", "/c", {"c": "X"}),
        ("real/i*", "/w/", {"w": "dir", "w/in": "X"}),
        ("to-d*", "/w", {"w": "dir", "w/in": "-> x", "w/x": "X"}),
        ("to-d*/x", "/c", {}),
    ],
)
def test_links_at_the_end_of_a_source_are_followed_and_others_copied(
    kitchen: Kitchen, source: str, destination: str, after: dict[str, str]
) -> None:
    write_context(kitchen.context, LINKS)
    assert kitchen.files(kitchen.copy(source, destination)) == after


@pytest.mark.parametrize("source", ["out", "up", "dangling", "dang*"])
def test_a_link_leads_nowhere_but_into_the_context(kitchen: Kitchen, source: str) -> None:
    write_context(kitchen.context, LINKS)
    with pytest.raises(WherryError, match="not found"):
        kitchen.copy(source, "/c")


def test_a_circle_of_links_is_an_error(kitchen: Kitchen) -> None:
    write_context(kitchen.context, LINKS)
    with pytest.raises(WherryError, match="too many symbolic links"):
        kitchen.copy("circle", "/c")


def test_a_link_that_a_stage_planted_is_followed_inside_its_own_root(kitchen: Kitchen) -> None:
    stage: Files = {"out": "-> /etc/shadow", "etc": None, "etc/shadow": "the stage's", "dir": "-> ../../../etc"}
    assert kitchen.files(kitchen.copy("/out", "/c", stage=stage)) == {"c": "the stage's"}
    assert kitchen.files(kitchen.copy("/dir/shadow", "/c", stage=stage)) == {"c": "the stage's"}


def test_the_root_of_a_stage_gives_all_of_it(kitchen: Kitchen) -> None:
    assert kitchen.files(kitchen.copy("/", "/", stage=PLAIN)) == kitchen.files(kitchen.stage(PLAIN))


# -- attributes ----------------------------------------------------------------------------------------


def looks(kitchen: Kitchen, *args: object, **more: object) -> dict[str, str]:
    copied = kitchen.copy(*args, **more)  # type: ignore[arg-type]
    return {path: f"{entry.mode:o} {entry.uid}:{entry.gid}" for path, entry in kitchen.tree(copied).items()}


STAGE: Files = {
    "d": Entry("", "dir", 0o700, uid=5, gid=6),
    "d/x": Entry("", "file", 0o4751, 3, uid=7, gid=8),
    "d/l": Entry("", "symlink", 0o777, uid=9, gid=9, link="x"),
    "d/e": Entry("", "dir", 0o1777, uid=5, gid=6),
    "d/e/y": Entry("", "file", 0o600, 1, uid=1, gid=1),
}


def test_files_of_a_stage_keep_their_owners_and_modes_but_for_the_directory_itself(kitchen: Kitchen) -> None:
    assert looks(kitchen, "/d", "/w", stage=STAGE) == {
        "w": "755 0:0",
        "w/x": "4751 7:8",
        "w/l": "777 9:9",
        "w/e": "1777 5:6",
        "w/e/y": "600 1:1",
    }


def test_files_of_a_context_are_roots_and_keep_their_modes(kitchen: Kitchen) -> None:
    modes: Files = {"d": Entry("", "dir", 0o750), "d/x": Entry("", "file", 0o640, 1), "d/e": Entry("", "dir", 0o2711)}
    write_context(kitchen.context, modes)
    assert looks(kitchen, "d", "/w") == {"w": "755 0:0", "w/x": "640 0:0", "w/e": "2711 0:0"}


def test_an_existing_directory_below_the_destination_becomes_like_the_source_and_the_destination_does_not(
    kitchen: Kitchen,
) -> None:
    before: Files = {"w": Entry("", "dir", 0o711, uid=3, gid=3), "w/e": Entry("", "dir", 0o700, uid=4, gid=4)}
    found = looks(kitchen, "/d", "/w", before, stage=STAGE)
    assert (found["w"], found["w/e"]) == ("711 3:3", "1777 5:6")


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("1000", "1000:1000"),
        ("1000:2000", "1000:2000"),
        ("app", "101:102"),
        ("app:staff", "101:50"),
        ("app:7", "101:7"),
        ("5:staff", "5:50"),
        ("root", "0:0"),
        (":staff", "0:50"),
    ],
)
def test_owners_are_looked_up_in_the_stage(kitchen: Kitchen, owner: str, expected: str) -> None:
    write_context(kitchen.context, PLAIN)
    base: Files = {
        "etc": None,
        "etc/passwd": "root:x:0:0::/:\napp:x:101:102::/:/bin/sh\n",
        "etc/group": "root:x:0:\nstaff:x:50:\n",
    }
    found = looks(kitchen, "d", "/w/v", base, owner=owner)
    assert {path: text.partition(" ")[2] for path, text in found.items() if path.startswith("w")} == dict.fromkeys(
        ["w", "w/v", "w/v/x", "w/v/e", "w/v/e/y"], expected
    )


@pytest.mark.parametrize(("owner", "expected"), [("nobody", "0:0"), ("app:nobody", "1:2"), ("nobody:nobody", "0:0")])
def test_nobody_is_root_as_with_docker(kitchen: Kitchen, owner: str, expected: str) -> None:
    write_context(kitchen.context, PLAIN)
    base: Files = {"etc": None, "etc/passwd": "app:x:1:2::/:\n"}
    assert looks(kitchen, "a.txt", "/w", base, owner=owner)["w"] == f"644 {expected}"


def test_a_mode_is_for_all_files_and_directories_that_are_copied_but_not_for_links(kitchen: Kitchen) -> None:
    assert looks(kitchen, "/d", "/w/v", stage=STAGE, mode="2750") == {
        "w": "750 0:0",
        "w/v": "750 0:0",
        "w/v/x": "2750 7:8",
        "w/v/l": "777 9:9",
        "w/v/e": "2750 5:6",
        "w/v/e/y": "2750 1:1",
    }
    made = looks(kitchen, "/d/e/y", "/p/q/", stage=STAGE, mode="2770")
    assert [made["p"], made["p/q"], made["p/q/y"]] == ["750 0:0", "750 0:0", "2770 1:1"]
    found = looks(kitchen, "/d", "/w", stage=STAGE, mode="u=rwX,go=rX")
    assert {path: text.split()[0] for path, text in found.items()} == {
        "w": "755",
        "w/x": "755",
        "w/l": "777",
        "w/e": "1755",
        "w/e/y": "644",
    }


def test_times_are_the_sources_or_clamped_or_fixed(kitchen: Kitchen) -> None:
    stage: Files = {"d": None, "d/new": Entry("", "file", mtime=5000), "d/old": Entry("", "file", mtime=500)}
    found = {}
    for times in ("real", "clamped", "fixed"):
        kitchen.times = times
        tree = kitchen.tree(kitchen.copy("/d", "/w", stage=stage))
        found[times] = [tree[path].mtime for path in ("w", "w/new", "w/old")]
    assert found["real"][1:] == [5000, 500] and found["real"][0] > 1_600_000_000
    assert found["clamped"] == [1000, 1000, 500]
    assert found["fixed"] == [1000, 1000, 1000]


def test_everything_that_a_layer_can_hold_is_copied(kitchen: Kitchen) -> None:
    name = os.fsdecode(b"caf\xe9")
    long = "/".join(["n" * 200, "m" * 200, name])
    stage: Files = {
        "d": None,
        "d/cap": Entry("", "file", 0o755, 1, xattrs={"security.capability": b"\1\0\0\2"}),
        "d/dev": Entry("", "char", 0o600, major=1, minor=3),
        "d/blk": Entry("", "block", 0o600, major=8, minor=1),
        "d/pipe": Entry("", "fifo", 0o600),
        "d/one": "same",
        "d/two": Entry("", "hardlink", link="d/one"),
        "d/" + "n" * 200: None,
        "d/" + "/".join(long.split("/")[:2]): None,
        "d/" + long: "long",
    }
    copied = kitchen.copy("/d", "/w", stage=stage)
    tree = kitchen.tree(copied)
    assert tree["w/cap"].xattrs == {"security.capability": b"\1\0\0\2"}
    assert (tree["w/dev"].kind, tree["w/dev"].major, tree["w/dev"].minor) == ("char", 1, 3)
    assert (tree["w/blk"].kind, tree["w/pipe"].kind) == ("block", "fifo")
    files = kitchen.files(copied)
    assert (files["w/one"], files["w/two"], files["w/" + long]) == ("same", "=w/one", "long")


def test_hard_links_of_a_context_stay_links_within_one_source(kitchen: Kitchen) -> None:
    write_context(kitchen.context, {"d/a": "A", "d/b": Entry("", "hardlink", link="d/a")})
    assert kitchen.files(kitchen.copy("d", "/w")) == {"w": "dir", "w/a": "A", "w/b": "=w/a"}
    assert kitchen.files(kitchen.copy(["d/a", "d/b"], "/w/")) == {"w": "dir", "w/a": "A", "w/b": "A"}


def test_a_name_that_means_a_whiteout_is_refused(kitchen: Kitchen) -> None:
    write_context(kitchen.context, {".wh.etc": "gone"})
    with pytest.raises(WherryError, match=r"\.wh\.etc"):
        kitchen.copy(".", "/")


# -- the layer ------------------------------------------------------------------------------------------


def test_a_layer_lists_the_directories_above_what_is_new_as_they_are(kitchen: Kitchen) -> None:
    write_context(kitchen.context, PLAIN)
    before: Files = {
        "tmp": Entry("", "dir", 0o1777, uid=1, mtime=9),
        "tmp/sub": Entry("", "dir", 0o700),
        "tmp/other": "not in the layer",
        "way": "-> tmp/sub",
    }
    layer = kitchen.layer(kitchen.copy("d", "/way/new", before))
    assert list(layer) == ["tmp", "tmp/sub", "tmp/sub/new", "tmp/sub/new/e", "tmp/sub/new/e/y", "tmp/sub/new/x"]
    assert (layer["tmp"].mode, layer["tmp"].uid, layer["tmp"].mtime) == (0o1777, 1, 9)
    assert layer["tmp/sub"].mode == 0o700


def test_paths_may_be_as_deep_as_they_like(kitchen: Kitchen) -> None:
    deep = "/".join("d" * 1500)
    folders: Files = {"/".join("d" * count): None for count in range(1, 1501)}
    copied = kitchen.copy("/", f"/{deep}", folders, stage={**folders, f"{deep}/x": "X"})
    assert kitchen.files(copied)[f"{deep}/{deep}/x"] == "X"


def test_no_change_is_an_empty_layer_as_with_docker(kitchen: Kitchen) -> None:
    (kitchen.context / "empty").mkdir()
    base = kitchen.stage({"w": None})
    copied = kitchen.copy("empty", "/w", base)
    assert (kitchen.layer(copied), copied.history[-1].empty_layer) == ({}, False)


def test_in_an_empty_image_nobody_is_looked_up(kitchen: Kitchen) -> None:
    write_context(kitchen.context, PLAIN)
    empty = kitchen.stage()
    assert kitchen.tree(kitchen.copy("a.txt", "/", empty, owner="root:7"))["a.txt"].gid == 7
    with pytest.raises(WherryError, match="invalid user index: -1"):
        kitchen.copy("a.txt", "/", empty, owner="app")


def test_the_history_has_the_instruction(kitchen: Kitchen) -> None:
    write_context(kitchen.context, PLAIN)
    line = kitchen.copy("d", "/w").history[-1]
    assert (line.created_by, line.comment) == ("COPY a b # buildkit", "buildkit.dockerfile.v0")


def test_with_link_the_same_layer_over_another_base_is_not_packed_again(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_context(kitchen.context, PLAIN)
    base: Files = {"real": Entry("", "dir", 0o700), "way": "-> real"}
    first = kitchen.copy("d/e", "/way/new", base, link=True)
    assert list(kitchen.layer(first)) == ["real", "real/new", "real/new/y"]
    monkeypatch.setattr("wherry.sources.context.ContextFile.read", None)
    second = kitchen.copy("d/e", "/way/new", {**base, "other": None}, link=True)
    assert second.added[-1].layer == first.added[-1].layer
    assert second.state != first.state


# -- --parents and --exclude -----------------------------------------------------------------------------

DEEP: Files = {
    "a": Entry("", "dir", 0o711),
    "a/b": Entry("", "dir", 0o700),
    "a/b/one.txt": "1",
    "a/b/two.md": "2",
    "a/c": None,
    "a/c/one.txt": "3",
    "top.txt": "4",
}


@pytest.mark.parametrize(
    ("sources", "files"),
    [
        (["a/b/one.txt"], ["a", "a/b", "a/b/one.txt"]),
        (["a/./b/one.txt"], ["b", "b/one.txt"]),
        (["./a/b/one.txt"], ["a", "a/b", "a/b/one.txt"]),
        (["a/b/./one.txt"], ["one.txt"]),
        (["a/*/one.txt"], ["a", "a/b", "a/b/one.txt", "a/c", "a/c/one.txt"]),
        (["**/*.txt"], ["a", "a/b", "a/b/one.txt", "a/c", "a/c/one.txt", "top.txt"]),
        (["a/./**/*.md"], ["b", "b/two.md"]),
        (["a/c"], ["a", "a/c", "a/c/one.txt"]),
        (["a/b/two.md", "top.txt"], ["a", "a/b", "a/b/two.md", "top.txt"]),
        (["a/nothing*"], []),
    ],
)
def test_parents_keep_the_sources_own_paths(kitchen: Kitchen, sources: list[str], files: list[str]) -> None:
    write_context(kitchen.context, DEEP)
    copied = kitchen.copy(sources, "/w/", parents=True)
    tree = kitchen.tree(copied)
    assert [path[2:] for path in tree if path != "w"] == files
    modes = {"w/a": 0o711, "w/a/b": 0o700, "w/b": 0o700}
    assert all(tree[path].mode == mode for path, mode in modes.items() if path in tree)


def test_a_missing_file_with_its_parents_is_an_error(kitchen: Kitchen) -> None:
    write_context(kitchen.context, DEEP)
    with pytest.raises(WherryError, match='"/a/b/none": not found'):
        kitchen.copy("a/b/none", "/w/", parents=True)


@pytest.mark.parametrize(
    ("exclude", "files"),
    [
        (["*.txt"], ["a", "a/b", "a/b/one.txt", "a/b/two.md", "a/c", "a/c/one.txt"]),
        (["**/*.txt"], ["a", "a/b", "a/b/two.md", "a/c"]),
        (["a/b"], ["a", "a/c", "a/c/one.txt", "top.txt"]),
        (["a", "!a/b/two.md"], ["a", "a/b", "a/b/two.md", "top.txt"]),
        (["**"], []),
    ],
)
def test_what_is_excluded_stays_behind(kitchen: Kitchen, exclude: list[str], files: list[str]) -> None:
    write_context(kitchen.context, DEEP)
    copied = kitchen.copy(".", "/w", exclude=tuple(exclude))
    assert [path[2:] for path in kitchen.tree(copied) if path != "w"] == files


# -- here-documents --------------------------------------------------------------------------------------


def test_a_here_document_is_a_file(kitchen: Kitchen) -> None:
    copied = kitchen.copy(Inline("EOF", "hello\n"), "/etc/motd", mode="")
    tree = kitchen.tree(copied)
    assert kitchen.files(copied) == {"etc": "dir", "etc/motd": "hello\n"}
    assert tree["etc/motd"].mode == 0o644
    two = kitchen.copy([Inline("one", "1"), Inline("two", "2")], "/w/", owner="5:6", mode="700")
    assert kitchen.files(two) == {"w": "dir", "w/one": "1", "w/two": "2"}
    assert (kitchen.tree(two)["w/one"].mode, kitchen.tree(two)["w/one"].gid) == (0o700, 6)


# -- the cache -------------------------------------------------------------------------------------------


def test_what_was_copied_before_is_cached_whatever_its_times(kitchen: Kitchen) -> None:
    write_context(kitchen.context, PLAIN)
    first = kitchen.copy("d", "/w")
    (kitchen.context / "d/x").touch()
    (kitchen.context / "a.txt").write_text("not copied")
    second = kitchen.copy("d", "/w")
    assert kitchen.last and kitchen.last.outcome == "cached"
    assert (second.added, second.state) == (first.added, first.state)


@pytest.mark.parametrize("change", ["content", "mode", "name", "kind", "base", "destination", "owner"])
def test_what_makes_a_copy_another_one(kitchen: Kitchen, change: str) -> None:
    write_context(kitchen.context, PLAIN)
    first = kitchen.copy("d", "/w")
    file = kitchen.context / "d" / "x"
    if change == "content":
        file.write_text("Z")
    elif change == "mode":
        file.chmod(0o600)
    elif change == "name":
        file.rename(file.with_name("z"))
    elif change == "kind":
        file.unlink()
        file.symlink_to("X")
    base: Files = {"etc": None} if change == "base" else {}
    destination = "/v" if change == "destination" else "/w"
    second = kitchen.copy("d", destination, base, owner="1" if change == "owner" else "")
    assert kitchen.last and kitchen.last.outcome == "done"
    assert second.state != first.state


def test_a_stage_that_came_out_the_same_is_not_copied_again(kitchen: Kitchen) -> None:
    first = kitchen.copy("/d", "/w", stage=PLAIN)
    second = kitchen.copy("/d", "/w", stage={**PLAIN, "other": "changed"})
    assert kitchen.last and kitchen.last.outcome == "cached"
    assert second.added == first.added


def test_a_cached_copy_from_a_known_stage_loads_no_tree(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kitchen.copy("/d", "/w", stage=PLAIN)
    monkeypatch.setattr("wherry.layers.source.load_records", None)
    assert kitchen.copy("/d", "/w", stage=PLAIN).added == first.added


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("change", ["longer", "touched", "replaced", "link"])
def test_a_file_that_changes_while_it_is_packed_is_an_error(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, size: int, change: str
) -> None:
    file = kitchen.context / "file"
    file.write_bytes(b"x" * size)

    def changed(*_: object) -> tuple[int, int]:
        if change == "longer":
            file.write_bytes(b"x" * (size + 1))
        elif change == "touched":
            os.utime(file, (1, 1))
        else:
            other = kitchen.context / "other"
            other.write_bytes(b"y" * size) if change == "replaced" else other.symlink_to("/etc/passwd")
            other.replace(file)
        return (0, 0)

    monkeypatch.setattr("wherry.solve.copy.owners.find_owner", changed)  # after it was hashed, before it is packed
    with pytest.raises(WherryError, match=r"changed while it was being read|announced|cannot read file"):
        kitchen.copy("file", "/c")

"""WORKDIR: a directory that is there, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.solve.copying import INSTRUCTION, PLACE, Files, Kitchen

from wherry.errors import WherryError
from wherry.events import Reporter, Task
from wherry.image import RuntimeConfig
from wherry.layers.entry import Entry
from wherry.plan import Workdir
from wherry.solve.snapshot import Snapshot
from wherry.solve.workdir import create_workdir
from wherry.store import Store


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    return Kitchen(store, tmp_path)


def workdir(kitchen: Kitchen, path: str, base: Files, user: str = "") -> Snapshot:
    kitchen.last = Task(Reporter(), 1)
    before = kitchen.stage(base, runtime=RuntimeConfig(user=user))
    return create_workdir(Workdir(path, INSTRUCTION), before, kitchen.work(), kitchen.last)


@pytest.mark.parametrize(
    ("path", "base", "layer"),
    [
        ("/a/b", {}, ["a", "a/b"]),
        ("/a/b", {"a": None}, ["a", "a/b"]),
        ("/a", {"a": None}, []),
        ("/l", {"a": None, "l": "-> a"}, []),
        ("/l/b", {"a": None, "l": "-> /a"}, ["a", "a/b"]),
        ("/l", {"l": "-> gone"}, ["gone"]),
    ],
)
def test_what_is_missing_is_made(kitchen: Kitchen, path: str, base: Files, layer: list[str]) -> None:
    after = workdir(kitchen, path, base)
    assert list(kitchen.layer(after)) == layer
    assert after.runtime.working_dir == path
    assert (after.history[-1].created_by, after.history[-1].empty_layer) == (INSTRUCTION.created_by, False)


@pytest.mark.parametrize(("user", "owner"), [("", "0:0"), ("5", "5:5"), ("5:6", "5:6"), ("app", "101:102")])
def test_new_directories_belong_to_the_user(kitchen: Kitchen, user: str, owner: str) -> None:
    base: Files = {"etc": None, "etc/passwd": "app:x:101:102::/:\n", "a": Entry("", "dir", 0o700, uid=9, gid=9)}
    tree = kitchen.tree(workdir(kitchen, "/a/b/c", base, user))
    assert {f"{tree[path].mode:o} {tree[path].uid}:{tree[path].gid}" for path in ("a/b", "a/b/c")} == {f"755 {owner}"}
    assert (tree["a"].mode, tree["a"].uid) == (0o700, 9)


def test_the_root_is_no_layer(kitchen: Kitchen) -> None:
    after = workdir(kitchen, "/", {})
    assert (after.added, after.history[-1].empty_layer, after.runtime.working_dir) == ((), True, "/")


def test_it_is_cached(kitchen: Kitchen) -> None:
    first = workdir(kitchen, "/a", {})
    second = workdir(kitchen, "/a", {})
    assert kitchen.last and kitchen.last.outcome == "cached"
    assert (first.added, first.state) == (second.added, second.state)
    assert workdir(kitchen, "/a", {"x": "y"}).state != first.state


def test_a_file_in_the_way_is_an_error(kitchen: Kitchen) -> None:
    with pytest.raises(WherryError, match="mkdir /a: not a directory") as error:
        workdir(kitchen, "/a", {"a": "file"})
    assert error.value.place == PLACE

"""Directories that the store keeps for a while: made once, in use or not, handed on, thrown away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.solve import folders
from wherry.solve.folders import begin_folder, find_folder, open_folder, take_folder, trim
from wherry.store import Store


def fill(new: Path) -> None:
    new.mkdir()
    (new / "file").touch()


def begun(store: Store, name: str) -> folders.Rootfs:
    folder = begin_folder(store, name)
    fill(folder.path)
    return folder


def test_a_directory_is_made_once(store: Store) -> None:
    made: list[Path] = []

    def make(new: Path) -> None:
        made.append(new)
        fill(new)

    with open_folder(store, "one", make) as first, open_folder(store, "one", make) as second:
        assert first.path == second.path
        assert (first.path / "file").exists()
    assert len(made) == 1


def test_one_that_could_not_be_made_leaves_nothing(store: Store) -> None:
    def fail(new: Path) -> None:
        fill(new)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        open_folder(store, "one", fail)
    assert find_folder(store, "one") is None
    assert list((store.path / "rootfs" / "one").iterdir()) == []


def test_one_is_found_if_it_is_there(store: Store) -> None:
    assert find_folder(store, "state-1") is None
    with begin_folder(store, "state-1") as folder:
        assert find_folder(store, "state-1") is None
        fill(folder.path)
        found = find_folder(store, "state-1")
        assert found is not None
        assert found.path == folder.path


def test_one_that_is_used_is_not_taken(store: Store) -> None:
    with begun(store, "full-1"):
        assert take_folder(store, "full-1", "full-2") is None


def test_one_that_is_free_gets_another_name(store: Store) -> None:
    begun(store, "full-1").close()
    taken = take_folder(store, "full-1", "full-2")
    assert taken is not None
    assert (taken.path / "file").exists()
    assert sorted(path.name for path in (store.path / "rootfs").iterdir()) == ["full-2"]


def test_the_last_used_of_a_kind_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(folders.KEPT, "state-", 2)
    for time, name in enumerate(("state-2", "state-3", "state-1", "full-1", "base")):
        begun(store, name).close()
        os.utime(store.path / "rootfs" / name / "lock", (time, time))
    trim(store, "state-3")
    left = {path.name for path in (store.path / "rootfs").iterdir()}
    assert left == {"state-1", "state-3", "full-1", "base"}


def test_one_that_is_used_is_kept_however_many_there_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(folders.KEPT, "state-", 0)
    with begun(store, "state-1"):
        begun(store, "state-2").close()
        trim(store, "state-2")
        assert {path.name for path in (store.path / "rootfs").iterdir()} == {"state-1"}

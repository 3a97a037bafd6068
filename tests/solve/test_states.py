"""The files of a stage on the disk: one directory for each layer over the base, or one for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.solve.copying import Files, Kitchen, layer_of

from wherry.solve import states
from wherry.solve.folders import begin_folder
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.states import full_folder, open_layers, open_stack, state_folder, take_full
from wherry.store import Store
from wherry.store.files import remove_tree


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    return Kitchen(store, tmp_path)


def stage(kitchen: Kitchen, *layers: Files, base: Files) -> Snapshot:
    """A stage with a base and layers that steps have added, in the states ``s0``, ``s1``, …"""
    added = tuple(
        Added(layer_of(kitchen.store, files), "/", "RUN", f"s{number}") for number, files in enumerate(layers)
    )
    return replace(kitchen.stage(base), added=added, state=added[-1].state if added else "base")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def told(text: str) -> None:
    """Where notes go."""


def test_a_stack_has_a_directory_for_each_layer_topmost_first(kitchen: Kitchen) -> None:
    snapshot = stage(kitchen, {"a": "A"}, {"b": "B"}, base={"etc": None})
    with open_stack(snapshot, kitchen.work(), told) as stack:
        assert [names(path) for path in stack] == [{"b"}, {"a"}, {"etc"}]


def test_a_layer_whose_directory_is_gone_is_unpacked_again(kitchen: Kitchen) -> None:
    snapshot = stage(kitchen, {"a": "A"}, base={"etc": None})
    with open_stack(snapshot, kitchen.work(), told) as stack:
        where = stack[0].parent
    remove_tree(where)
    with open_stack(snapshot, kitchen.work(), told) as stack:
        assert (stack[0] / "a").read_text() == "A"


def test_a_high_stack_has_one_directory_at_the_bottom(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_MOST", 2)
    layers: list[Files] = [{name: name} for name in "abcde"]
    with open_stack(stage(kitchen, *layers, base={"etc": None}), kitchen.work(), told) as stack:
        assert [names(path) for path in stack] == [{"e"}, {"d"}, {"etc", "a", "b", "c"}]


def test_layers_know_the_directories_that_are_there(kitchen: Kitchen) -> None:
    snapshot = stage(kitchen, {"a": "A"}, {"b": "B"}, base={"etc": None})
    with open_layers(snapshot, kitchen.work()) as layers:
        assert [path for _, path in layers] == [None, None, None]
    with open_stack(snapshot, kitchen.work(), told) as stack, open_layers(snapshot, kitchen.work()) as layers:
        assert [path for _, path in layers] == [stack[2], stack[1], stack[0]]


def test_one_directory_holds_all_files(kitchen: Kitchen) -> None:
    snapshot = stage(kitchen, {"a": "A"}, {"b": "B"}, base={"etc": None})
    with take_full(snapshot, kitchen.work(), "next", told) as full:
        assert names(full.path) == {"etc", "a", "b"}
        assert full.path.parent.name == full_folder("next")


def test_the_directory_of_an_earlier_step_is_used_up(kitchen: Kitchen) -> None:
    snapshot = stage(kitchen, {"a": "A"}, {"b": "B"}, base={"etc": None})
    with begin_folder(kitchen.store, full_folder("s0")) as before:
        before.path.mkdir()
        (before.path / "earlier").touch()
    with take_full(snapshot, kitchen.work(), "next", told) as full:
        assert names(full.path) == {"earlier", "b"}
    assert not before.path.exists()


def test_states_of_other_users_have_other_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = state_folder("s")
    monkeypatch.setattr(states, "users_here", lambda: (False, "somebody else"))
    assert state_folder("s") != ours

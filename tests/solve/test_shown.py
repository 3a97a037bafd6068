"""What bind mounts show of contexts and stages."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.solve.copying import Files, Kitchen, write_context

from wherry.errors import WherryError
from wherry.events import Reporter, Task
from wherry.layers.entry import Entry
from wherry.plan import BuildContext, Origin, StageRef
from wherry.solve.copy.mounts import content_key, materialise, shown_path
from wherry.store import Store

FILES: Files = {
    "d": Entry("", "dir", 0o750),
    "d/x": Entry("", "file", 0o640, 3),
    "d/y": Entry("", "hardlink", link="d/x"),
    "d/l": "-> x",
    "out": "-> ../../../d",
}


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    context = tmp_path / "context"
    context.mkdir()
    kitchen = Kitchen(store, context)
    write_context(context, FILES)
    kitchen.stages["other"] = kitchen.stage(FILES)
    return kitchen


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def task() -> Task:
    return Task(Reporter(), 1)


@pytest.mark.parametrize("origin", [StageRef("other"), BuildContext(("nothing",))])
@pytest.mark.parametrize("source", ["/d", "out", "/out/"])
def test_a_directory_is_written(kitchen: Kitchen, tmp_path: Path, origin: Origin, source: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    materialise(origin, source, folder, kitchen.work(), task(), kitchen.stages)
    assert names(folder) == ["l", "x", "y"]
    assert (folder / "x").read_text() == "xxx"
    assert (folder / "l").readlink() == Path("x")
    assert (folder / "x").stat().st_ino == (folder / "y").stat().st_ino
    assert ((folder / "x").stat().st_mode & 0o7777, folder.stat().st_mode & 0o7777) == (0o640, 0o750)


@pytest.mark.parametrize("origin", [StageRef("other"), BuildContext(("nothing",)), BuildContext()])
def test_files_and_directories_are_shown_for_a_while(kitchen: Kitchen, origin: Origin) -> None:
    work = kitchen.work()
    with shown_path(origin, "/d", work, task(), kitchen.stages) as path:
        assert names(path) == ["l", "x", "y"]
    with shown_path(origin, "/d/l", work, task(), kitchen.stages) as path:
        assert path.read_text() == "xxx"
    assert [item for item in work.store.scratch().iterdir() if item.name.startswith("mount")] == []


def test_a_context_is_shown_as_it_lies_there_if_nothing_of_it_is_left_out(kitchen: Kitchen) -> None:
    with shown_path(BuildContext(), "/out", kitchen.work(), task(), {}) as path:
        assert path == kitchen.context / "d"


def test_what_is_left_out_is_not_shown(kitchen: Kitchen) -> None:
    with shown_path(BuildContext(("**/x",)), "/d", kitchen.work(), task(), {}) as path:
        assert names(path) == ["l", "y"]
    with (
        pytest.raises(WherryError, match="not found"),
        shown_path(BuildContext(("d",)), "d", kitchen.work(), task(), {}),
    ):
        pass


def test_the_key_tells_contents(kitchen: Kitchen) -> None:
    def key(source: str, origin: Origin) -> str:
        return content_key(origin, source, kitchen.work(), task(), kitchen.stages)

    assert key("/d", StageRef("other")) == key("out", StageRef("other")) == key("d", BuildContext())
    before = key("d", BuildContext())
    (kitchen.context / "d" / "x").write_text("new")
    assert key("d", BuildContext()) != before

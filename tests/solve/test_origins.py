"""Where COPY, ADD and mounts take files from: named contexts, images, the network's files."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.solve.copying import INSTRUCTION, PLACE, Kitchen, write_context

from wherry.errors import WherryError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.plan import Base, BuildContext, Copy, Git, Origin, Remote
from wherry.solve.copy import copy
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Options
from wherry.store import Store


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    context = tmp_path / "context"
    context.mkdir()
    return Kitchen(store, context)


def copied(kitchen: Kitchen, step: Copy, offline: bool = False, **contexts: str) -> Snapshot:
    work = replace(
        kitchen.work(), options=Options(contexts=contexts), fetcher=Fetcher(kitchen.store.files, offline=offline)
    )
    kitchen.last = Task(Reporter(), 1)
    return copy(replace(step, instruction=INSTRUCTION), kitchen.stage({}), work, kitchen.last, {})


def from_(origin: Origin, source: str = "/d") -> Copy:
    return Copy(origin, (source,), "/w")


def test_a_named_context_is_a_directory_with_its_own_ignore_file(kitchen: Kitchen, tmp_path: Path) -> None:
    write_context(tmp_path / "other", {"d/x": "X", "d/secret": "S", ".dockerignore": "**/secret\n"})
    after = copied(kitchen, from_(BuildContext(("x",), name="more")), more=str(tmp_path / "other"))
    assert kitchen.files(after) == {"w": "dir", "w/x": "X"}


def test_a_named_context_may_be_an_image(kitchen: Kitchen) -> None:
    base = kitchen.stage({"d": None, "d/x": "X"}).base
    kitchen.store.tag(("example:1",), kitchen.store.add_image(base))
    for origin in (BuildContext(name="more"), Base("example:1")):
        after = copied(kitchen, from_(origin), more="docker-image://example:1")
        assert kitchen.files(after) == {"w": "dir", "w/x": "X"}
    assert kitchen.last and kitchen.last.outcome == "cached"


@pytest.mark.parametrize("origin", [BuildContext(name="none"), Base("no/such:image")])
def test_an_origin_that_is_not_there_is_an_error_at_its_place(kitchen: Kitchen, origin: Origin) -> None:
    with pytest.raises(WherryError) as error:
        copied(kitchen, from_(origin))
    assert error.value.place == PLACE


def test_a_context_is_looked_at_once_in_a_build(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    write_context(kitchen.context, {"d/x": "X", "e/y": "Y"})
    work = kitchen.work()
    task = Task(Reporter(), 1)
    first = copy(replace(from_(BuildContext()), instruction=INSTRUCTION), kitchen.stage({}), work, task, {})
    monkeypatch.setattr("wherry.sources.context.walk", None)
    second = copy(replace(from_(BuildContext(), "e"), instruction=INSTRUCTION), first, work.within("other"), task, {})
    assert kitchen.files(second) == {"w": "dir", "w/x": "X", "w/y": "Y"}


def test_a_context_that_is_seen_as_before_is_not_looked_into(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.sources.context._WORTH_FILES", 1)
    monkeypatch.setattr("wherry.sources.context._RACY", -60_000_000_000)
    write_context(kitchen.context, {"d/x": "X", "d/y": "Y"})
    first = copied(kitchen, from_(BuildContext()))
    with monkeypatch.context() as patch:
        patch.setattr("wherry.sources.tree._tree", None)
        assert copied(kitchen, from_(BuildContext())).state == first.state
    (kitchen.context / "d/x").write_text("Z")
    assert kitchen.files(copied(kitchen, from_(BuildContext()))) == {"w": "dir", "w/x": "Z", "w/y": "Y"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    write_context(folder, {"README": "read", "sub/x": "X", "sub/skip": "S"})
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-qm", "one")):
        subprocess.run(["git", *words], cwd=folder, check=True, env=environment)
    return folder


def test_a_repository_is_added_and_cached_by_its_commit(
    kitchen: Kitchen, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Copy(BuildContext(), (Git(f"file://{repository}"),), "/w", exclude=("**/skip",))
    files = kitchen.files(copied(kitchen, step))
    assert files == {"w": "dir", "w/README": "read", "w/sub": "dir", "w/sub/x": "X"}
    monkeypatch.setattr("wherry.sources.git.checked_out", None)
    assert kitchen.files(copied(kitchen, step)) == files
    assert kitchen.last and kitchen.last.outcome == "cached"


def test_a_directory_of_a_repository(kitchen: Kitchen, repository: Path) -> None:
    git = Git(f"file://{repository}", ref="main", directory="sub")
    after = copied(kitchen, Copy(BuildContext(), (git,), "/p/w/", owner="5"))
    assert kitchen.files(after) == {"p": "dir", "p/w": "dir", "p/w/x": "X", "p/w/skip": "S"}
    assert kitchen.tree(after)["p/w/x"].uid == 5


def test_what_cannot_be_fetched_is_an_error_at_its_place(kitchen: Kitchen) -> None:
    with pytest.raises(WherryError) as error:
        copied(kitchen, Copy(BuildContext(), (Remote("http://127.0.0.1:1/x"),), "/w"), offline=True)
    assert error.value.place == PLACE

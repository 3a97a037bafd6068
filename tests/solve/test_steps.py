"""Steps that need no network: what each makes of a snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.image import Descriptor, Image, ImageConfig, Layer, Platform, RuntimeConfig, digest_of
from wherry.image.mediatype import OCI_LAYER
from wherry.layers import reader
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.plan import Base, BuildContext, Configure, Copy, Plan, Stage, StageRef, Virtualenv
from wherry.registry.registries import Registries
from wherry.solve.configure import configure
from wherry.solve.copy import copy
from wherry.solve.keys import cache_key, content_of
from wherry.solve.snapshot import Added, Snapshot
from wherry.solve.solver import needed_stages, solve
from wherry.solve.target import target_of
from wherry.solve.virtualenv import create_virtualenv
from wherry.solve.work import Options, Work
from wherry.sources.base import Facts
from wherry.store import Store
from wherry.target import Interpreter, Libc

PLATFORM = Platform("linux", "amd64")
FACTS = Facts(Libc("glibc", 2, 41), (Interpreter("3.13.5", "/usr/bin/python3.13"),))


def work_in(context: Path, store: Store) -> Work:
    plan = Plan((Stage("runtime", Base("scratch"), ()),), "runtime", PLATFORM)
    return Work(
        plan, context, store, Fetcher(store.files, offline=True), Registries(offline=True), Options(), Reporter()
    )


def snapshot(runtime: RuntimeConfig | None = None, python: str = "", facts: Facts = FACTS) -> Snapshot:
    base = Image.of(ImageConfig(PLATFORM), (), {})
    return Snapshot(base, facts, Base("debian://trixie", python), runtime or RuntimeConfig())


def task() -> Task:
    return Task(Reporter(), 1)


def content(layer: Layer, store: Store) -> dict[str, tuple[str, int, bytes]]:
    path = store.blobs.path(layer.descriptor.digest)
    return {
        entry.path: (entry.kind, entry.mode, data.read() if data else entry.link.encode())
        for entry, data in reader.entries(path)
    }


def test_a_cache_key_does_not_depend_on_the_order_of_its_parts() -> None:
    assert cache_key("copy", one=1, two="2") == cache_key("copy", two="2", one=1)


def test_a_cache_key_tells_kinds_and_values_apart() -> None:
    keys = {cache_key("copy", one=1), cache_key("install", one=1), cache_key("copy", one="1"), cache_key("copy", two=1)}
    assert len(keys) == 4


def test_a_base_is_told_by_its_blobs_and_not_by_what_its_config_says(store: Store) -> None:
    diff_id = digest_of(b"the same")
    images = [
        Image.of(ImageConfig(PLATFORM), (Layer(Descriptor(OCI_LAYER, store.blobs.add(data), 1), diff_id),), {})
        for data in (b"a", b"b")
    ]
    assert images[0].config.diff_ids == images[1].config.diff_ids
    assert content_of(images[0]) != content_of(images[1])


def test_configuring_keeps_what_it_does_not_name(tmp_path: Path, store: Store) -> None:
    before = snapshot(RuntimeConfig(env=("PATH=/bin", "LANG=C"), user="root", cmd=("python3",), labels={"a": "1"}))
    step = Configure(env=(("PATH", "/opt/venv/bin:/bin"),), labels=(("b", "2"),))
    after = configure(step, before, work_in(tmp_path, store), task()).runtime
    assert after.env == ("PATH=/opt/venv/bin:/bin", "LANG=C")
    assert (after.user, after.cmd, dict(after.labels)) == ("root", ("python3",), {"a": "1", "b": "2"})


def test_an_entry_point_drops_the_command_of_the_base(tmp_path: Path, store: Store) -> None:
    before = snapshot(RuntimeConfig(entrypoint=("sh",), cmd=("-c", "exit 1")))
    after = configure(Configure(entrypoint=("python", "main.py")), before, work_in(tmp_path, store), task()).runtime
    assert (after.entrypoint, after.cmd) == (("python", "main.py"), ())


def test_configuring_leaves_a_line_of_history_and_no_layer(tmp_path: Path, store: Store) -> None:
    after = configure(Configure(user="65532"), snapshot(), work_in(tmp_path, store), task())
    assert [line.empty_layer for line in after.history] == [True]
    assert after.added == ()


def test_copying_the_context_packs_its_files_below_the_destination(tmp_path: Path, store: Store) -> None:
    context = tmp_path / "project"
    (context / "static").mkdir(parents=True)
    (context / "main.py").write_text("print('hello')\n")
    (context / "static" / "page.html").write_text("<p>")
    (context / "start.sh").write_text("#!/bin/sh\n")
    (context / "start.sh").chmod(0o700)
    (context / "notes.txt").write_text("not shipped")
    step = Copy(BuildContext(("notes.txt",)), (".",), "/usr/src/app", normalise=True)
    after = copy(step, snapshot(), work_in(context, store), task(), {})
    assert content(after.added[0].layer, store) == {
        "usr": ("dir", 0o755, b""),
        "usr/src": ("dir", 0o755, b""),
        "usr/src/app": ("dir", 0o755, b""),
        "usr/src/app/main.py": ("file", 0o644, b"print('hello')\n"),
        "usr/src/app/start.sh": ("file", 0o755, b"#!/bin/sh\n"),
        "usr/src/app/static": ("dir", 0o755, b""),
        "usr/src/app/static/page.html": ("file", 0o644, b"<p>"),
    }


def test_unchanged_files_with_new_times_are_the_same_layer_and_cached(tmp_path: Path, store: Store) -> None:
    (tmp_path / "main.py").write_text("1\n")
    step = Copy(BuildContext(("store",)), (".",), "/usr/src/app", normalise=True)
    work = work_in(tmp_path, store)
    first = copy(step, snapshot(), work, task(), {})
    (tmp_path / "main.py").touch()
    again = task()
    second = copy(step, snapshot(), work, again, {})
    assert second.added == first.added
    assert again.outcome == "cached"


def test_a_changed_byte_is_another_layer(tmp_path: Path, store: Store) -> None:
    step = Copy(BuildContext(("store",)), (".",), "/usr/src/app", normalise=True)
    work = work_in(tmp_path, store)
    (tmp_path / "main.py").write_text("1\n")
    first = copy(step, snapshot(), work, task(), {})
    (tmp_path / "main.py").write_text("2\n")
    second = copy(step, snapshot(), work, task(), {})
    assert first.added[0].layer.diff_id != second.added[0].layer.diff_id


@pytest.mark.parametrize("context", ["", "link"])
def test_a_store_that_is_kept_among_the_projects_files_stays_out_of_the_image(
    tmp_path: Path, store: Store, context: str
) -> None:
    (tmp_path / "main.py").write_text("1\n")
    (tmp_path / "link").symlink_to(".")
    store.scratch()
    step = Copy(BuildContext(("link", "!store")), (".",), "/usr/src/app", normalise=True)
    after = copy(step, snapshot(), work_in(tmp_path / context, store), task(), {})
    assert [path for path in content(after.added[0].layer, store) if path.startswith("usr/src/app/")] == [
        "usr/src/app/main.py"
    ]


def test_a_named_file_that_is_not_in_the_context_is_an_error(tmp_path: Path, store: Store) -> None:
    step = Copy(BuildContext(), ("missing.txt",), "/usr/src/app", normalise=True)
    with pytest.raises(UsageError, match=r"missing\.txt is not in the build context"):
        copy(step, snapshot(), work_in(tmp_path, store), task(), {})


def test_an_environment_is_taken_over_layer_by_layer_without_the_rest_of_its_stage(
    tmp_path: Path, store: Store
) -> None:
    work = work_in(tmp_path, store)
    compiled = create_virtualenv(Virtualenv(), snapshot(), work, task())
    other = Added(compiled.added[0].layer, "/usr/include", "a compiler's headers")
    stages = {"compile": replace(compiled, added=(*compiled.added, other))}
    step = Copy(StageRef("compile"), ("/opt/venv",), "/opt/venv", normalise=True)
    after = copy(step, snapshot(), work, task(), stages)
    assert after.added == compiled.added


def test_another_stages_files_cannot_move_to_another_place(tmp_path: Path, store: Store) -> None:
    step = Copy(StageRef("compile"), ("/opt/venv",), "/venv", normalise=True)
    with pytest.raises(WherryError, match="cannot copy /opt/venv"):
        copy(step, snapshot(), work_in(tmp_path, store), task(), {"compile": snapshot()})


def test_the_base_gives_the_python_that_was_asked_for() -> None:
    facts = Facts(FACTS.libc, (Interpreter("3.11.2", "/usr/bin/python3.11"), *FACTS.interpreters))
    assert target_of(snapshot(python="3.13", facts=facts)).interpreter.version == "3.13.5"
    assert target_of(snapshot(python=">=3.12,<4", facts=facts)).interpreter.version == "3.13.5"
    assert target_of(snapshot(facts=facts)).interpreter.version == "3.11.2"


def test_a_python_that_the_base_lacks_is_an_error_that_names_what_it_has() -> None:
    with pytest.raises(UsageError, match=r"no Python 3\.1; it has: 3\.13\.5"):
        target_of(snapshot(python="3.1"))


def test_a_base_without_a_c_library_is_no_target() -> None:
    with pytest.raises(UsageError, match="no Python"):
        target_of(snapshot(facts=Facts(None, ())))


def test_only_the_stages_that_the_target_needs_are_built() -> None:
    copied = Copy(StageRef("compile"), ("/opt/venv",), "/opt/venv", normalise=True)
    stages = (
        Stage("compile", Base("scratch"), ()),
        Stage("unused", Base("scratch"), ()),
        Stage("runtime", Base("scratch"), (copied,)),
        Stage("late", StageRef("runtime"), ()),
    )
    plan = Plan(stages, "runtime", PLATFORM)
    assert [stage.name for stage in needed_stages(plan)] == ["compile", "runtime"]
    assert [stage.name for stage in needed_stages(replace(plan, target="late"))] == ["compile", "runtime", "late"]


def test_a_base_that_is_a_folder_is_found_from_the_context_and_its_place_stays_private(
    tmp_path: Path, store: Store
) -> None:
    layout = tmp_path / "project" / "base"
    with Store(layout) as other:
        other.tag(("latest",), other.add_image(Image.of(ImageConfig(PLATFORM), (layer_of(other),), {})))
    plan = Plan((Stage("runtime", Base("oci:base:latest"), ()),), "runtime", PLATFORM)
    image = solve(replace(work_in(tmp_path / "project", store), plan=plan))
    assert len(image.layers) == 1
    assert "base" not in " ".join(image.annotations.values())


def layer_of(store: Store) -> Layer:
    with LayerWriter(store.blobs, Compression()) as writer:
        writer.add(Entry("etc", "dir", 0o755))
        return writer.finish()

"""Cache mounts: which directory a command gets, and who waits for whom."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.solve.copying import Kitchen, write_context

from wherry.events import Reporter, Task
from wherry.plan import BuildContext, Run, RunMount
from wherry.sandbox import Mount
from wherry.solve.caches import cache_mount, use_caches
from wherry.store import Store

PIP = RunMount("cache", "/root/.cache/pip", read_only=False)
APT = RunMount("cache", "/var/cache/apt", read_only=False)


@pytest.fixture
def kitchen(tmp_path: Path, store: Store) -> Kitchen:
    context = tmp_path / "context"
    context.mkdir()
    return Kitchen(store, context)


def used(kitchen: Kitchen, held: ExitStack, *mounts: RunMount) -> list[str]:
    """The names of the caches that a command with ``mounts`` gets, for as long as ``held`` is."""
    return list(use_caches(Run(("true",), mounts=mounts), kitchen.work(), held).values())


def shown(kitchen: Kitchen, mount: RunMount) -> Mount:
    """What a command gets that begins a cache, or finds it."""
    with ExitStack() as held:
        caches = use_caches(Run(("true",), mounts=(mount,)), kitchen.work(), held)
        return cache_mount(mount, caches, kitchen.work(), Task(Reporter(), 1), {})


def test_a_shared_cache_is_for_all_at_once(kitchen: Kitchen) -> None:
    with ExitStack() as held:
        assert used(kitchen, held, PIP) == used(kitchen, held, PIP)


def test_a_private_cache_that_is_taken_is_another_one(kitchen: Kitchen) -> None:
    private = replace(PIP, sharing="private")
    with ExitStack() as held:
        taken = [used(kitchen, held, private), used(kitchen, held, private), used(kitchen, held, private)]
    assert len({name for (name,) in taken}) == 3
    with ExitStack() as held:
        assert used(kitchen, held, private) == taken[0]


def test_a_private_cache_is_not_one_that_others_share(kitchen: Kitchen) -> None:
    with ExitStack() as held:
        assert used(kitchen, held, PIP) != used(kitchen, held, replace(PIP, sharing="private"))


def test_who_locks_a_cache_waits_until_it_is_free(kitchen: Kitchen) -> None:
    locked = replace(PIP, sharing="locked")
    order: list[str] = []
    started = threading.Event()

    def wait() -> None:
        started.set()
        with ExitStack() as held:
            used(kitchen, held, locked)
            order.append("second")

    other = threading.Thread(target=wait)
    with ExitStack() as held:
        used(kitchen, held, PIP)
        other.start()
        started.wait()
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_a_command_may_name_a_cache_twice(kitchen: Kitchen, sharing: str) -> None:
    mount = replace(PIP, sharing=sharing)  # type: ignore[arg-type]
    with ExitStack() as held:
        assert len(used(kitchen, held, mount, replace(mount, target="/again", id=PIP.target))) == 1


def test_two_commands_take_several_caches_in_the_same_order(kitchen: Kitchen) -> None:
    first, second = replace(PIP, sharing="locked"), replace(APT, sharing="locked")
    both = threading.Barrier(2)

    def take(*mounts: RunMount) -> None:
        both.wait(10)
        for _ in range(200):
            with ExitStack() as held:
                used(kitchen, held, *mounts)

    threads = [threading.Thread(target=take, args=order) for order in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_a_cache_begins_empty_with_the_mode_of_its_mount_and_keeps_what_is_in_it(kitchen: Kitchen) -> None:
    mount = shown(kitchen, replace(PIP, mode=0o750))
    assert (mount.target, mount.read_only, list(mount.source.iterdir())) == (PIP.target, False, [])
    assert mount.source.stat().st_mode & 0o7777 == 0o750
    (mount.source / "kept").touch()
    again = shown(kitchen, replace(PIP, mode=0o700))
    assert [path.name for path in again.source.iterdir()] == ["kept"]
    assert again.source.stat().st_mode & 0o7777 == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_belongs_to_whom_its_mount_says(kitchen: Kitchen) -> None:
    status = shown(kitchen, replace(PIP, uid=33, gid=50)).source.stat()
    assert (status.st_uid, status.st_gid) == (33, 50)


def test_a_cache_may_begin_with_files_of_the_context(kitchen: Kitchen) -> None:
    write_context(kitchen.context, {"seed/x": "X", "y": "Y"})
    mount = shown(kitchen, replace(PIP, origin=BuildContext(), source="/seed"))
    assert [path.name for path in mount.source.iterdir()] == ["x"]


def test_what_was_left_half_begun_is_begun_again(kitchen: Kitchen) -> None:
    folder = shown(kitchen, PIP).source
    folder.rename(f"{folder}.new")
    Path(f"{folder}.new", "half").touch()
    assert list(shown(kitchen, PIP).source.iterdir()) == []

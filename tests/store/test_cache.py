"""Results by key."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wherry.errors import StoreError
from wherry.image import digest_of
from wherry.store import Store


def test_a_result_is_found_again(store: Store) -> None:
    store.cache.put("key", {"a": [1, "ä", None]})
    assert store.cache.get("key") == {"a": [1, "ä", None]}


def test_what_was_not_kept_is_not_there(store: Store) -> None:
    assert store.cache.get("key") is None


def test_a_result_outlives_the_process(store: Store) -> None:
    store.cache.put("key", {"a": 1})
    with Store(store.path) as other:
        assert other.cache.get("key") == {"a": 1}


def test_a_result_without_its_blobs_is_not_there(store: Store) -> None:
    digest = store.blobs.add(b"data")
    store.cache.put("key", {}, [digest])
    assert store.cache.get("key") == {}
    store.blobs.path(digest).unlink()
    assert store.cache.get("key") is None


def test_a_new_result_takes_the_place_of_the_old_one_and_its_needs(store: Store) -> None:
    store.cache.put("key", {"a": 1}, [digest_of(b"gone")])
    store.cache.put("key", {"a": 2})
    assert store.cache.get("key") == {"a": 2}
    assert store.cache.needed() == set()


def test_needed_blobs_are_those_of_all_results(store: Store) -> None:
    one, two = store.blobs.add(b"1"), store.blobs.add(b"2")
    store.cache.put("a", {}, [one])
    store.cache.put("b", {}, [one, two])
    assert store.cache.needed() == {one, two}
    assert store.cache.needed(time.time() + 10) == set()


def test_old_results_are_forgotten(store: Store) -> None:
    store.cache.put("key", {}, [store.blobs.add(b"1")])
    assert store.cache.forget(time.time() - 10) == 0
    assert store.cache.forget(time.time() + 10) == 1
    assert store.cache.get("key") is None
    assert store.cache.needed() == set()


def test_use_keeps_a_result_young(store: Store) -> None:
    store.cache.put("key", {})
    with sqlite3.connect(store.path / "cache.sqlite") as connection:
        connection.execute("UPDATE results SET used = used - 100000")
    assert store.cache.get("key") == {}
    assert store.cache.forget(time.time() - 50000) == 0


def test_threads_share_a_cache(store: Store) -> None:
    def work(number: int) -> object:
        store.cache.put(str(number), {"n": number})
        return store.cache.get(str(number))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(100))) == [{"n": number} for number in range(100)]


def test_a_damaged_index_is_an_error_that_says_what_to_do(store: Store) -> None:
    store.scratch()
    (store.path / "cache.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="remove it"):
        store.cache.get("key")


def test_processes_may_open_a_new_index_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from wherry.store import Store\n"
        "sys.stdin.read(1)\n"
        "for n in range(15):\n"
        "    s = Store(Path(sys.argv[1])); s.cache.put(sys.argv[2], {})\n"
        "    assert s.cache.get(sys.argv[2]) == {}; s.close()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "store"), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(6)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"!")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors.decode()

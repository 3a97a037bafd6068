"""Many wheels at once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.events import Event, Finished, Progress, Reporter
from wherry.fetch import Download, Fetcher, HashMismatch
from wherry.fetch.transfer import Advance
from wherry.wheels.distribution import Distribution
from wherry.wheels.download import fetch_wheels


def distribution(folder: Path, name: str, size: int = 10, *, digest: str = "", sized: bool = True) -> Distribution:
    path = folder / f"{name}-1-py3-none-any.whl"
    path.write_bytes(name.encode() * size)
    digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    wheel = Download(path.as_uri(), {"sha256": digest}, path.stat().st_size if sized else None, path.name)
    return Distribution(name, "1", wheel)


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with Fetcher(tmp_path / "files") as one:
        yield one


class Watched(Fetcher):
    """A fetcher whose files arrive when a test lets them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.blocked: set[str] = set()

    def get(self, download: Download, advance: Advance | None = None, *, stop: threading.Event | None = None) -> Path:
        self.begun.append(download.name.partition("-")[0])
        if self.begun[-1] in self.blocked and stop is not None:
            assert stop.wait(20)
            self.stopped.append(download.name)
        return super().get(download, advance, stop=stop)


def test_every_wheel_arrives_with_its_file(tmp_path: Path, fetcher: Fetcher) -> None:
    wanted = [distribution(tmp_path, f"d{number}") for number in range(30)]
    found = {one.name: path.read_bytes() for one, path in fetch_wheels(wanted, fetcher)}
    assert found == {one.name: one.name.encode() * 10 for one in wanted}


def test_nothing_to_fetch_is_nothing_to_wait_for(fetcher: Fetcher) -> None:
    assert list(fetch_wheels([], fetcher)) == []


def test_what_is_here_comes_first_and_is_not_fetched(tmp_path: Path) -> None:
    fetcher = Watched(tmp_path / "files")
    first, second = distribution(tmp_path, "first"), distribution(tmp_path, "second")
    fetcher.get(second.wheel)
    fetcher.begun.clear()
    assert [one.name for one, _ in fetch_wheels([first, second], fetcher)] == ["second", "first"]
    assert fetcher.begun == ["first"]


def test_the_largest_is_begun_first(tmp_path: Path) -> None:
    fetcher = Watched(tmp_path / "files")
    wanted = [distribution(tmp_path, name, size) for name, size in (("a", 1), ("b", 300), ("c", 20))]
    wanted.append(distribution(tmp_path, "unsized", 1, sized=False))
    assert len(list(fetch_wheels(wanted, fetcher, threads=1))) == 4
    assert fetcher.begun == ["b", "c", "a", "unsized"]


def test_a_wheel_is_given_out_while_others_are_still_coming(tmp_path: Path) -> None:
    fetcher = Watched(tmp_path / "files")
    fetcher.blocked = {"slow"}
    arriving = fetch_wheels([distribution(tmp_path, "slow", 100), distribution(tmp_path, "quick")], fetcher)
    one, _ = next(iter(arriving))
    assert one.name == "quick"
    del arriving


def test_the_first_failure_ends_the_other_transfers(tmp_path: Path) -> None:
    fetcher = Watched(tmp_path / "files")
    fetcher.blocked = {"slow"}
    wanted = [distribution(tmp_path, "slow", 100), distribution(tmp_path, "bad", 90, digest="0" * 64)]
    wanted += [distribution(tmp_path, f"more{number}") for number in range(100)]
    begin = time.monotonic()
    with pytest.raises(HashMismatch):
        list(fetch_wheels(wanted, fetcher, threads=2))
    assert time.monotonic() - begin < 10
    assert fetcher.stopped == ["slow-1-py3-none-any.whl"]
    assert len(fetcher.begun) < 100
    assert [path for path in (fetcher.root / "partial").iterdir() if path.suffix != ".lock"] == []


def test_leaving_early_ends_the_transfers(tmp_path: Path) -> None:
    fetcher = Watched(tmp_path / "files")
    fetcher.blocked = {"slow"}
    for _ in fetch_wheels([distribution(tmp_path, "slow", 100), distribution(tmp_path, "quick")], fetcher):
        break
    assert fetcher.stopped == ["slow-1-py3-none-any.whl"]


def test_progress_is_in_bytes(tmp_path: Path, fetcher: Fetcher) -> None:
    events: list[Event] = []
    wanted = [distribution(tmp_path, f"d{number}", 1000) for number in range(5)]
    with Reporter(events.append).step("fetch") as task:
        list(fetch_wheels(wanted, fetcher, task))
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.done == last.total == sum(one.wheel.size or 0 for one in wanted)


def test_what_was_all_here_counts_as_cached(tmp_path: Path, fetcher: Fetcher) -> None:
    events: list[Event] = []
    wanted = [distribution(tmp_path, "d")]
    list(fetch_wheels(wanted, fetcher))
    with Reporter(events.append).step("fetch") as task:
        list(fetch_wheels(wanted, fetcher, task))
    assert [event.outcome for event in events if isinstance(event, Finished)] == ["cached"]


def test_a_wheel_without_a_good_hash_is_refused(fetcher: Fetcher) -> None:
    bad = Distribution("a", "1", Download("https://host/a-1-py3-none-any.whl", {"md5": "00"}, name="a.whl"))
    with pytest.raises(WherryError, match=r"a\.whl has no hash"):
        list(fetch_wheels([bad], fetcher))

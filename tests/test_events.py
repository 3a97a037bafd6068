"""Events: what a listener hears of work."""

from __future__ import annotations

import threading

import pytest

from wherry.events import Event, Finished, Note, Output, Progress, Reporter, Started


@pytest.fixture
def heard() -> list[Event]:
    """What the listener heard."""
    return []


@pytest.fixture
def reporter(heard: list[Event]) -> Reporter:
    """A reporter whose listener writes down everything."""
    return Reporter(heard.append)


def _finished(heard: list[Event]) -> list[Finished]:
    return [event for event in heard if isinstance(event, Finished)]


def test_work_has_a_beginning_and_an_end(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("work") as task:
        task.detail = "12 wheels"
    start, end = heard
    assert start == Started(task.id, "work")
    assert isinstance(end, Finished)
    assert (end.id, end.outcome, end.detail) == (task.id, "done", "12 wheels")
    assert end.seconds >= 0


def test_parts_know_what_they_are_a_part_of(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("whole") as whole, whole.step("part") as part:
        pass
    assert Started(part.id, "part", whole.id) in heard
    assert [event.id for event in _finished(heard)] == [part.id, whole.id]


def test_what_was_there_already_is_cached(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("work") as task:
        task.cached()
    assert _finished(heard)[0].outcome == "cached"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_fails_the_work_and_goes_on(
    error: type[BaseException], reporter: Reporter, heard: list[Event]
) -> None:
    with pytest.raises(error), reporter.step("whole") as whole, whole.step("part"):
        raise error
    assert [event.outcome for event in _finished(heard)] == ["failed", "failed"]


def test_the_end_of_the_bytes_is_always_told(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("work", total=1000) as task:
        for _ in range(1000):
            task.advance(1)
    told = [event for event in heard if isinstance(event, Progress)]
    assert told[-1] == Progress(task.id, 1000, 1000)
    assert len(told) < 500


def test_more_may_be_expected_on_the_way(reporter: Reporter) -> None:
    with reporter.step("work") as task:
        task.expect(5)
        task.expect(7)
        assert task.total == 12


def test_lines_and_notes_are_passed_on(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("work") as task:
        task.output("a line")
    reporter.note("by the way")
    assert Output(task.id, "a line") in heard
    assert heard[-1] == Note("by the way")


def test_a_note_is_told_once(reporter: Reporter, heard: list[Event]) -> None:
    with reporter.step("one") as task:
        task.note("no network")
    reporter.note("no network")
    reporter.note("no clock")
    assert [event for event in heard if isinstance(event, Note)] == [Note("no network"), Note("no clock")]


def test_two_reporters_never_give_the_same_number(heard: list[Event]) -> None:
    for _ in range(2):
        with Reporter(heard.append).step("work"):
            pass
    assert len({event.id for event in heard if isinstance(event, Started)}) == 2


def test_without_a_listener_nothing_is_told() -> None:
    with Reporter().step("work") as task:
        task.advance(1)


def test_a_listener_hears_one_event_at_a_time() -> None:
    busy = threading.Lock()
    clashes = []

    def listen(event: Event) -> None:
        if not busy.acquire(blocking=False):
            clashes.append(event)
        else:
            sum(range(300))
            busy.release()

    reporter = Reporter(listen)

    def work() -> None:
        for _ in range(200):
            with reporter.step("work"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []

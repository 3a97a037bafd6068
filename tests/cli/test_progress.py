from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from wherry.cli.measures import human_size, human_time
from wherry.cli.progress import chosen, progress
from wherry.events import Event, Finished, Note, Output, Progress, Started

BUILD: list[Event] = [
    Started(1, "assemble debian://trixie"),
    Finished(1, "cached", 0.01, "31.2 MB"),
    Started(2, "stage compile"),
    Started(3, "install requirements.txt into /opt/venv", parent=2),
    Started(4, "numpy 2.5.5", parent=3),
    Progress(4, 5_000_000, 16_000_000),
    Note("no Python 3.13 here: the image has no bytecode"),
    Output(3, "a line of a command"),
    Finished(4, "done", 0.4),
    Finished(3, "done", 1.234, "23 wheels, 45.1 MB"),
    Finished(2, "done", 1.3),
]


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def shown(style: str, events: list[Event], stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    with progress(style, stream) as display:
        for event in events:
            display(event)
    return stream.getvalue()


def last_frame(text: str) -> list[str]:
    """The lines that stay on a terminal."""
    text = text[text.rindex("[+] Building") :]
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def test_plain_says_when_steps_begin_and_end() -> None:
    assert shown("plain", BUILD).splitlines() == [
        "#1 assemble debian://trixie",
        "#1 CACHED (31.2 MB)",
        "#2 stage compile",
        "#3 install requirements.txt into /opt/venv",
        "note: no Python 3.13 here: the image has no bytecode",
        "#3 a line of a command",
        "#3 DONE 1.2s (23 wheels, 45.1 MB)",
        "#2 DONE 1.3s",
    ]


def test_plain_shows_a_detail_that_failed() -> None:
    events = [*BUILD[:6], Finished(4, "failed", 0.2), Finished(3, "failed", 0.3), Finished(2, "failed", 0.3)]
    assert shown("plain", events).splitlines()[-4:] == [
        "#4 numpy 2.5.5",
        "#4 ERROR 0.2s",
        "#3 ERROR 0.3s",
        "#2 ERROR 0.3s",
    ]


def test_json_gives_every_event_with_all_that_it_says() -> None:
    values = [json.loads(line) for line in shown("json", BUILD).splitlines()]
    assert [value["event"] for value in values] == [type(event).__name__.lower() for event in BUILD]
    assert values[5].items() >= {"id": 4, "done": 5_000_000, "total": 16_000_000}.items()
    assert all(isinstance(value["time"], float) for value in values)


def test_quiet_shows_nothing() -> None:
    assert shown("quiet", BUILD) == ""


def test_auto_is_plain_where_there_is_no_terminal() -> None:
    assert shown("auto", BUILD) == shown("plain", BUILD)


def test_auto_is_a_tree_on_a_terminal_and_plain_on_a_dumb_one(monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    assert chosen("auto", screen) == "tty"
    monkeypatch.setenv("TERM", "dumb")
    assert chosen("auto", screen) == "plain"


def test_the_tree_folds_what_is_finished_and_ends_with_all_steps(screen: Screen) -> None:
    lines = last_frame(shown("tty", BUILD, screen))
    assert re.fullmatch(r"\[\+\] Building \d+\.\ds \(2/2\)", lines[0])
    assert re.fullmatch(r" ✔ assemble debian://trixie +31\.2 MB cached", lines[1])
    assert re.fullmatch(r" ✔ stage compile +1\.3s", lines[2])
    assert re.fullmatch(r"   ✔ install requirements\.txt into /opt/venv +23 wheels, 45\.1 MB +1\.2s", lines[3])
    assert len(lines) == 4


def test_the_tree_shows_bytes_of_what_runs(screen: Screen) -> None:
    text = "\n".join(last_frame(shown("tty", BUILD[:6], screen)))
    assert "numpy 2.5.5" in text
    assert "5.0 MB / 16.0 MB" in text


def test_the_tree_prints_the_output_of_what_failed(screen: Screen) -> None:
    text = shown("tty", [*BUILD[:4], Output(3, "[boom]"), Finished(3, "failed", 1.0), Finished(2, "failed", 1)], screen)
    assert "[boom]" in text
    assert any(line.startswith("   ✘ install") for line in last_frame(text))


def test_the_tree_has_no_colours_where_none_are_wanted(monkeypatch: pytest.MonkeyPatch, screen: Screen) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown("tty", BUILD, screen))


def test_a_low_terminal_counts_what_it_has_no_room_for(screen: Screen) -> None:
    from rich.console import Console

    from wherry.cli.tree import Tree

    tree = Tree(screen)
    tree(Started(1, "fetch"))
    for number in range(2, 40):
        tree(Started(number, f"wheel {number}", parent=1))
        if number < 38:
            tree(Finished(number, "done", 0.1))
    low = Console(file=Screen(), width=80, height=10, color_system=None)
    with low.capture() as captured:
        low.print(tree)
    tree.close()
    lines = captured.get().splitlines()
    assert len(lines) == 9
    assert lines[2].strip() == "… 32 more"
    assert "wheel 39" in lines[-1]


def test_the_cursor_comes_back(screen: Screen) -> None:
    text = shown("tty", BUILD, screen)
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_reader_that_went_away_stops_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    with progress("plain", stream) as display:
        for event in BUILD:
            display(event)
    with suppress(BrokenPipeError):
        stream.close()


@pytest.mark.parametrize("style", ["plain", "json", "quiet"])
def test_only_the_tree_needs_rich(style: str) -> None:
    code = f"from wherry.cli.progress import *; import sys\nwith progress({style!r}): assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_interrupt_gives_the_terminal_back(tmp_path: Path) -> None:
    script = tmp_path / "build.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal
        from wherry.cli.interrupt import stopping
        from wherry.cli.progress import progress
        from wherry.events import Reporter

        with progress("tty") as display, stopping(display.close):
            with Reporter(display).step("forever"):
                os.kill(os.getpid(), signal.SIGINT)
        """)
    )
    control, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen([sys.executable, script], stderr=terminal, stdin=terminal, env=environment) as process:
        os.close(terminal)
        text = b""
        try:
            while piece := os.read(control, 4096):
                text += piece
        except OSError:  # the other end is closed
            pass
    os.close(control)
    assert process.returncode == 130
    assert text.rindex(b"\x1b[?25h") > text.rindex(b"\x1b[?25l")
    assert b"interrupted" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (45_100_000, "45.1 MB"),
        (5 * 10**12, "5.0 TB"),
    ],
)
def test_sizes_are_written_in_powers_of_a_thousand(count: int, text: str) -> None:
    assert human_size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0s"), (12.56, "12.6s"), (59.96, "1m00s"), (125, "2m05s")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert human_time(seconds) == text

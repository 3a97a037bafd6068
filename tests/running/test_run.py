"""``wherry run``, for real."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Image, Platform, RuntimeConfig
from wherry.running import _container
from wherry.store import Store

if TYPE_CHECKING:
    from tests.conftest import Wherry
    from tests.running.conftest import Boat

AddImage = Callable[..., Image]


def roots(store: Path) -> list[Path]:
    """The root filesystems that a store keeps."""
    return list((store / "rootfs").glob("*/root"))


# -- what is run ---------------------------------------------------------------------------------------


def test_the_images_command_runs_with_its_environment(boat: Boat) -> None:
    result = boat()
    assert (result.stdout, result.returncode) == ("tea\n", 0)


def test_arguments_replace_the_command(boat: Boat) -> None:
    assert boat("echo", "-n", "rum", "--help").stdout == "rum --help"


def test_the_exit_code_is_the_programs(boat: Boat) -> None:
    assert boat.sh("exit 42").returncode == 42


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_start_is_one_clear_line(boat: Boat, program: str, code: int) -> None:
    result = boat(program)
    assert result.returncode == code
    assert program in result.stderr
    assert "Traceback" not in result.stderr


def test_stdin_stdout_and_stderr_pass_through(boat: Boat) -> None:
    result = boat.sh("cat; echo oops >&2", stdin="cargo\n" * 1000)
    assert result.stdout == "cargo\n" * 1000
    assert result.stderr.splitlines()[-1] == "oops"


def test_options_say_what_docker_says(boat: Boat) -> None:
    options = ("-e", "CARGO=rum", "-e", "HOME", "-w", "/some/where", "-u", "sailor", "--network", "none")
    result = boat.sh("echo $CARGO $HOME; pwd; id -u; id -g; ls /sys/class/net", *options)
    assert result.stdout.split() == ["rum", os.environ["HOME"], "/some/where", "1000", "100", "lo"]


def test_home_is_the_users(boat: Boat) -> None:
    assert boat.sh("echo $HOME", "-u", "sailor").stdout == "/home/sailor\n"
    assert boat.sh("echo $HOME").stdout == "/root\n"


def test_another_entrypoint_drops_the_images_command(boat: Boat) -> None:
    assert boat("ahoy", options=("--entrypoint", "/usr/bin/printf")).stdout == "ahoy"


def test_the_configuration_counts(boat: Boat, add_image: AddImage) -> None:
    with Store(boat.wherry.store) as store:
        entrypoint = ("sh", "-c", 'echo "$0 $1"; pwd; id -u')
        add_image(store, RuntimeConfig(entrypoint=entrypoint, cmd=("a", "b"), working_dir="/w", user="sailor"))
    assert boat().stdout.split() == ["a", "b", "/w", "1000"]
    assert boat("c").stdout.split() == ["c", "/w", "1000"]


def test_volumes_are_the_hosts_own(boat: Boat, tmp_path: Path) -> None:
    (tmp_path / "cargo").mkdir()
    words = boat.words("sh", "-c", "echo tea > /cargo/file", options=("-v", "cargo:/cargo"))
    assert boat.wherry(*words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "cargo/file").read_text() == "tea\n"
    read_only = boat.sh("echo rum > /cargo/file", "-v", f"{tmp_path}/cargo:/cargo:ro")
    assert "Read-only" in read_only.stderr


@pytest.mark.parametrize("text", ["/no/such:/x", "x", "/tmp:relative", "/tmp:/", "/tmp:/x:rx", ":/x"])
def test_a_volume_that_makes_no_sense_is_refused(boat: Boat, text: str) -> None:
    result = boat.sh("true", "-v", text)
    assert result.returncode == 2
    assert text in result.stderr


def test_an_unknown_user_is_refused(boat: Boat) -> None:
    result = boat.sh("true", "-u", "captain")
    assert result.returncode == 2
    assert "captain" in result.stderr


def test_an_image_for_another_processor_is_remarked_on(boat: Boat, add_image: AddImage) -> None:
    with Store(boat.wherry.store) as store:
        native = add_image(store)
        config = replace(native.config, platform=Platform("linux", "s390x"))
        store.tag(("boat:latest",), store.add_image(Image.of(config, native.layers, {})))
    assert "the image is for linux/s390x" in boat("true").stderr


def test_an_option_that_run_does_not_have_is_not_taken_for_an_image(wherry: Wherry) -> None:
    result = wherry("run", "--rm", "boat")
    assert result.returncode == 2
    assert "--rm" in result.stderr
    assert "no image" not in result.stderr


def test_names_resolve_as_the_network_has_it(boat: Boat) -> None:
    assert boat.sh("cat /etc/hosts").stdout == Path("/etc/hosts").read_text()
    assert "localhost" in boat.sh("cat /etc/hosts", "--network", "none").stdout


# -- what stays ----------------------------------------------------------------------------------------


def test_what_a_container_writes_is_gone_afterwards(boat: Boat) -> None:
    assert boat.sh("echo bad > /etc/passwd; rm -r /home; echo x > /added; cat /added").stdout == "x\n"
    (root,) = roots(boat.wherry.store)
    assert "sailor" in (root / "etc/passwd").read_text()
    assert (root / "home/sailor").is_dir()
    assert not (root / "added").exists()
    assert list((boat.wherry.store / "containers").iterdir()) == []


def test_an_image_is_unpacked_once(boat: Boat) -> None:
    boat()
    (root,) = roots(boat.wherry.store)
    before = root.stat().st_ino
    boat()
    assert [path.stat().st_ino for path in roots(boat.wherry.store)] == [before]


def test_a_run_leaves_nothing_temporary(boat: Boat) -> None:
    boat()
    assert boat.wherry.leftovers() == []


def test_prune_removes_what_was_unpacked(boat: Boat) -> None:
    boat()
    assert boat.wherry("prune").returncode == 0
    assert roots(boat.wherry.store) == []
    assert boat().stdout == "tea\n"


# -- signals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_signal_reaches_the_program_once(boat: Boat, number: signal.Signals) -> None:
    script = f"trap 'echo got' {number.name[3:]}; trap 'exit 5' USR1; echo ready; while :; do sleep 0.02; done"
    with boat.wherry.start(*boat.words("sh", "-c", script)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, number)  # as a terminal or a supervisor does it: to all that we are
        assert process.stdout.readline() == "got\n"
        process.send_signal(signal.SIGUSR1)
        assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == 5


def test_a_program_without_a_handler_ends(boat: Boat) -> None:
    with boat.wherry.start(*boat.words("sh", "-c", "echo ready; exec sleep 60")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_a_killed_run_takes_its_container_with_it_and_the_next_cleans_up(boat: Boat) -> None:
    with boat.wherry.start(*boat.words("sh", "-c", "echo > /x; echo ready; exec sleep 60")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.stdout.read() == ""  # the program had the other end of it
    assert list((boat.wherry.store / "containers").iterdir()) != []
    assert boat().stdout == "tea\n"
    assert list((boat.wherry.store / "containers").iterdir()) == []


class Terminal:
    """A terminal with a command in it."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, env)
        self.shown = ""

    def until(self, text: str) -> None:
        """Wait until ``text`` shows."""
        end = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.screen], [], [], 0.2)[0]:
                self.shown += os.read(self.screen, 4096).decode()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.screen, text.encode())

    def end(self) -> int:
        """Wait for the end; gives the exit code."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([self.screen], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.screen, 4096).decode()
                except OSError:
                    break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def terminal(boat: Boat, *args: str) -> Terminal:
    return Terminal(boat.wherry.command(*boat.words(*args)), boat.wherry.environment())


def test_what_another_user_left_behind_keeps_nobody_from_running(users_boat: Boat) -> None:
    folder = users_boat.wherry.store / "containers"
    assert users_boat("true").returncode == 0
    status = folder.stat()
    for name, owner in (("1-roots", 0), ("2-ours", status.st_uid)):
        (folder / name / "inner").mkdir(parents=True)
        (folder / name / "inner" / "file").touch()
        (folder / f"{name}.lock").touch()
        os.chown(folder / f"{name}.lock", owner, owner)
    result = users_boat("true")
    assert (result.returncode, result.stderr) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"1-roots", "1-roots.lock", "2-ours", "2-ours.lock"}


def test_ctrl_c_in_a_terminal_reaches_the_program_once(boat: Boat) -> None:
    script = "trap 'n=$((n+1)); echo got $n' INT; echo ready; while [ ! -e /x ]; do read line; echo line $line; done"
    screen = terminal(boat, "sh", "-c", script)
    screen.until("ready")
    screen.type("\x03")
    screen.until("got 1")
    screen.type("one\n")
    screen.until("line one")
    assert "got 2" not in screen.shown
    os.kill(screen.pid, signal.SIGKILL)
    screen.end()


def test_ctrl_c_ends_a_program_without_a_handler_and_the_terminal_comes_back(boat: Boat) -> None:
    words = boat.wherry.command(*boat.words("cat"))
    shell = ["sh", "-c", '"$@"; echo code $?; read answer; echo answer $answer', "sh", *words]
    screen = Terminal(shell, boat.wherry.environment())
    screen.type("ready\n")
    screen.until("ready\r\nready")  # the terminal's echo, and then cat's
    screen.type("\x03")
    screen.until("code 130")
    screen.type("yes\n")
    screen.until("answer yes")
    assert screen.end() == 0


# -- an ordinary user ----------------------------------------------------------------------------------


@pytest.mark.e2e
def test_an_ordinary_user_runs_it_all(users_boat: Boat) -> None:
    boat = users_boat
    script = "id -u; echo x > /etc/new; ls -n /home | tail -1 | cut -d' ' -f3; exit 6"
    first = boat.sh(script)
    subordinate = boat.wherry.prefix[1] != "--reuid=4711"
    assert first.stdout.split() == ["0", "1000" if subordinate else "0"], first.stderr
    assert first.returncode == 6
    assert ("subordinate IDs" in first.stderr) is not subordinate
    assert boat.sh("id -u; id -g; echo > /home/sailor/x", "-u", "sailor").stdout.split() == ["1000", "100"]
    assert boat.sh("ls /sys/class/net", "--network", "none").stdout == "lo\n"
    assert boat.wherry("prune").returncode == 0
    assert roots(boat.wherry.store) == []


@pytest.mark.e2e
def test_a_user_with_one_id_cannot_be_two(users_boat: Boat) -> None:
    result = users_boat.sh("cat /proc/self/uid_map", "-u", "sailor")
    inside, _, count = result.stdout.split()[:3]
    if users_boat.wherry.prefix[1] == "--reuid=4711":
        assert (inside, count) == ("1000", "1")
    else:
        assert inside == "0"


# -- where there are no overlays -----------------------------------------------------------------------


_NO_OVERLAY = """
import json, sys
from pathlib import Path
from wherry.running import RunOptions, run_image
from wherry.sandbox import BuiltinSandbox, Overlay, OverlayError
from wherry.running import _container
from wherry.store import Store

class Plain(BuiltinSandbox):
    def start(self, root, command, **streams):
        if isinstance(root, Overlay):
            raise OverlayError("an overlay cannot be mounted")
        return super().start(root, command, **streams)

path, volumes, *args = sys.argv[1:]
with Store(Path(path)) as store:
    image = store.load(store.images()[0])
    options = RunOptions(volumes=tuple(json.loads(volumes)))
    sys.exit(run_image(image, args, options, store, sandbox=Plain()))
"""


def test_without_overlays_the_container_has_a_copy(boat: Boat) -> None:
    words = boat.words()
    volumes = json.dumps([word for before, word in pairwise(words) if before == "-v"])
    command = [boat.wherry.python, "-c", _NO_OVERLAY, str(boat.wherry.store), volumes]
    command += ["sh", "-c", "echo x > /etc/passwd; cat /etc/passwd"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "x\n", result.stderr
    (root,) = roots(boat.wherry.store)
    assert "sailor" in (root / "etc/passwd").read_text()
    assert list((boat.wherry.store / "containers").iterdir()) == []


def test_runs_that_begin_at_once_do_not_take_each_other_for_dead(store: Store) -> None:
    start = threading.Barrier(8)
    failed: list[BaseException] = []

    def begin() -> None:
        start.wait()
        try:
            for _ in range(50):
                with _container(store) as folder:
                    assert folder.is_dir()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list((store.path / "containers").iterdir()) == []

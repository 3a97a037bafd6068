"""The built-in sandbox, for real: what a command sees of the world, and what the world sees of it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.sandbox import (
    Command,
    CommandError,
    Mount,
    OciSandbox,
    Overlay,
    Sandbox,
    SandboxError,
    Ulimit,
    find_sandbox,
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Command]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root")


# -- the command ---------------------------------------------------------------------------------------


def test_the_exit_code_is_the_commands(run: Run) -> None:
    assert run("exit 7").returncode == 7


def test_a_command_that_a_signal_ends_gives_128_and_the_signal(run: Run) -> None:
    # Process 1 is safe from its own signals, so it takes another one to die.
    assert run("sh -c 'kill -SEGV $$'; exit $?").returncode == 128 + signal.SIGSEGV


def test_standard_streams_pass_through(sandbox: Sandbox, root: Path, command: Make) -> None:
    pipe = subprocess.PIPE
    process = sandbox.start(root, command("sh", "-c", "cat; echo bad >&2"), stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = process.communicate(b"cargo" * 100_000)
    assert out == b"cargo" * 100_000
    assert err == b"bad\n"


def test_a_pipe_ends_when_the_command_closes_it(sandbox: Sandbox, root: Path, command: Make) -> None:
    process = sandbox.start(root, command("sh", "-c", "exec >&-; exec sleep 60"), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_environment_is_the_one_given(run: Run) -> None:
    result = run("env", env={"PATH": "/usr/bin:/bin", "CARGO": "tea"})
    others = {"SHLVL=0", "_=/usr/bin/env", "PWD=/", "HOME=/root"}  # of the shell and, as with Docker, of runc
    assert set(result.stdout.split()) - others == {"PATH=/usr/bin:/bin", "CARGO=tea"}


def test_the_command_is_process_1(run: Run) -> None:
    assert run("echo $$").stdout == "1\n"


def test_the_command_gets_no_other_descriptors(run: Run) -> None:
    # 0, 1, 2, and the one with which ls reads the directory.
    assert len(run("ls /proc/self/fd").stdout.split()) == 4


def test_a_command_that_is_not_there_is_127(sandbox: Sandbox, root: Path, command: Make) -> None:
    with pytest.raises(CommandError, match="no-such-command") as caught:
        sandbox.start(root, command("no-such-command"))
    assert caught.value.exit_code == 127


def test_a_file_that_cannot_be_executed_is_126(sandbox: Sandbox, root: Path, command: Make) -> None:
    with pytest.raises(CommandError, match="permission denied") as caught:
        sandbox.start(root, command("/etc/passwd"))
    assert caught.value.exit_code == 126


def test_a_script_without_its_interpreter_says_so(sandbox: Sandbox, root: Path, command: Make) -> None:
    script = root / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(CommandError, match="interpreter or a loader") as caught:
        sandbox.start(root, command("/script"))
    assert caught.value.exit_code == 127


def test_a_program_of_another_kind_of_machine_is_126(root: Path, command: Make) -> None:
    sandbox = find_sandbox("chroot")  # runc finds out too late, and gives 1 as Docker does
    program = root / "program"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xff" + bytes(44))
    program.chmod(0o755)
    with pytest.raises(CommandError, match="exec format error") as caught:
        sandbox.start(root, command("/program"))
    assert caught.value.exit_code == 126


def test_addresses_can_be_the_same_in_every_run(run: Run) -> None:
    maps = {run("exec cat /proc/self/maps", randomized=False).stdout for _ in range(3)}
    assert len(maps) == 1


def test_the_command_starts_in_its_directory_which_is_made(run: Run, root: Path) -> None:
    assert run("pwd", cwd="/deep/down").stdout == "/deep/down\n"
    assert (root / "deep/down").stat().st_mode & 0o777 == 0o755


@as_root
def test_a_directory_that_is_made_is_the_users(run: Run, root: Path) -> None:
    (root / "home").mkdir()
    assert run("touch file", cwd="/home/sailor/work", uid=1000, gid=100).returncode == 0
    owners = [(root / path).stat().st_uid for path in ("home", "home/sailor", "home/sailor/work")]
    assert owners == [0, 1000, 1000]


@as_root
def test_the_users_own_group_is_among_the_groups(run: Run) -> None:
    assert run("grep Groups: /proc/self/status", uid=1000, gid=100).stdout.split() == ["Groups:", "100"]


# -- the world -----------------------------------------------------------------------------------------


def test_the_root_is_the_commands_own(run: Run, root: Path) -> None:
    (root / "cargo").write_text("tea")
    result = run("cat /cargo; ls /; ls /../../..")
    assert result.stdout.startswith("tea")
    assert "work" not in result.stdout.split()
    assert str(root) not in run("cat /proc/self/mountinfo | cut -d' ' -f5").stdout


def test_only_its_own_processes_are_there(run: Run) -> None:
    pids = [name for name in run("ls /proc").stdout.split() if name.isdigit()]
    assert pids[0] == "1"
    assert len(pids) <= 2  # the shell and perhaps ls


def test_the_devices_are_those_that_programs_expect(run: Run) -> None:
    script = """
        for name in null zero full random urandom tty; do test -c /dev/$name || echo no $name; done
        test -d /dev/shm && test -d /dev/pts && test -c /dev/ptmx || echo no mounts
        echo x > /dev/null && head -c 4 /dev/urandom | wc -c && echo out > /dev/stdout && echo x > /dev/shm/file
    """
    assert run(script).stdout.split() == ["4", "out"]


def test_without_a_network_there_is_only_lo_and_it_is_up(run: Run) -> None:
    assert run("ls /sys/class/net", network="none").stdout.split() == ["lo"]
    assert "lo:" in run("cat /proc/net/dev", network="none").stdout
    flags = int(run("cat /sys/class/net/lo/flags", network="none").stdout, 16)
    assert flags & 1


def test_the_hosts_network_is_the_hosts(run: Run) -> None:
    def interfaces(text: str) -> set[str]:
        return {line.split(":")[0].strip() for line in text.splitlines()[2:]}

    ours = Path("/proc/net/dev").read_text()
    assert interfaces(run("cat /proc/net/dev", network="host").stdout) == interfaces(ours)


def test_the_hostname_is_the_one_given(run: Run) -> None:
    assert run("cat /proc/sys/kernel/hostname", hostname="wherry").stdout == "wherry\n"
    assert Path("/proc/sys/kernel/hostname").read_text() != "wherry\n"


def test_small_files_show_over_the_roots_own(run: Run, root: Path) -> None:
    (root / "etc/hosts").write_text("old")
    result = run("cat /etc/hosts; echo more >> /etc/hosts; ls -A /dev | grep file", files={"/etc/hosts": b"new"})
    assert result.stdout == "new"
    assert (root / "etc/hosts").read_text() == "old"


def test_a_volume_shows_and_can_be_written(run: Run, command: Make, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    mounts = (*command("x").mounts, Mount(tmp_path / "volume", "/var/cargo"))
    assert run("echo tea > /var/cargo/file", mounts=mounts).returncode == 0
    assert (tmp_path / "volume/file").read_text() == "tea\n"


def test_a_read_only_volume_cannot_be_written(run: Run, command: Make, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    mounts = (*command("x").mounts, Mount(tmp_path / "volume", "/cargo", read_only=True))
    assert "Read-only" in run("echo tea > /cargo/file", mounts=mounts).stderr


def test_a_single_file_can_be_a_volume(run: Run, command: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("tea")
    mounts = (*command("x").mounts, Mount(tmp_path / "file", "/deep/down/file"))
    assert run("cat /deep/down/file", mounts=mounts).stdout == "tea"


def test_a_read_only_root_cannot_be_written(run: Run, root: Path) -> None:
    assert "Read-only" in run("echo > /file", read_only=True).stderr
    assert not (root / "file").exists()


def test_proc_tells_nothing_of_the_host_and_changes_nothing(run: Run) -> None:
    assert run("cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts | head -c 10").stdout == ""
    assert run("echo 1 > /proc/sys/vm/drop_caches").returncode != 0
    assert run("echo h > /proc/sysrq-trigger").returncode != 0


def test_no_mount_reaches_the_host(run: Run, root: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    run("true")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not any((root / "proc").iterdir())


# -- overlays ------------------------------------------------------------------------------------------


def test_what_is_written_to_an_overlay_stays_in_it(run: Run, root: Path, overlay: Overlay) -> None:
    (root / "kept").write_text("old")
    result = run("echo new > /kept; echo more > /added; cat /kept /added", inside=overlay)
    assert result.stdout == "new\nmore\n"
    assert (root / "kept").read_text() == "old"
    assert not (root / "added").exists()
    assert (overlay.upper / "added").read_text() == "more\n"


def test_a_file_of_the_lower_directory_can_be_removed_from_the_view(run: Run, root: Path, overlay: Overlay) -> None:
    (root / "kept").write_text("old")
    assert run("rm /kept; ls /", inside=overlay).returncode == 0
    assert (root / "kept").exists()


# -- who ---------------------------------------------------------------------------------------------


def test_the_command_is_the_user_that_it_should_be(run: Run) -> None:
    result = run("id -u; id -g", uid=1000, gid=100)
    assert result.stdout.split() == ["1000", "100"]


@as_root
def test_the_groups_are_those_given_and_none_of_ours(run: Run) -> None:
    assert run("id -G", uid=1000, gid=100, groups=(7, 8)).stdout.split() == ["100", "7", "8"]


def test_a_user_has_no_capabilities_and_root_has_dockers(run: Run) -> None:
    def capabilities(uid: int) -> dict[str, int]:
        lines = run("grep Cap /proc/self/status", uid=uid, gid=uid).stdout.splitlines()
        return {name.rstrip(":"): int(value, 16) for name, value in map(str.split, lines)}

    assert capabilities(1000)["CapEff"] == 0
    assert capabilities(0)["CapEff"] & ~0xA80425FB == 0
    assert capabilities(0)["CapBnd"] & ~0xA80425FB == 0
    assert capabilities(0)["CapEff"] & 1  # chown


@as_root
def test_device_nodes_of_an_image_are_useless(run: Run, root: Path, overlay: Overlay) -> None:
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for inside in (root, overlay):
        assert "Permission denied" in run("echo x > /null", inside=inside).stderr
    for place in ("/dev", "/", "/dev/shm"):  # /dev/mem in disguise
        result = run(f"mknod {place}/memory c 1 1; head -c 1 {place}/memory", inside=overlay)
        assert result.returncode != 0
        assert "denied" in result.stderr or "not permitted" in result.stderr


def test_nobody_gains_privileges_unless_allowed(run: Run) -> None:
    assert "NoNewPrivs:\t1" in run("cat /proc/self/status").stdout
    assert "NoNewPrivs:\t0" in run("cat /proc/self/status", no_new_privileges=False).stdout


# -- hostile roots -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["proc", "dev", "sys", "etc/hosts"])
def test_links_in_the_root_do_not_lead_mounts_out_of_it(run: Run, root: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = root / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside / "made")
    try:
        result = run("echo fine", files={"/etc/hosts": b"x"})
        assert result.stdout == "fine\n"
    except SandboxError as error:  # runc's manner
        assert "is not a directory" in error.message
    assert list(outside.iterdir()) == []


def test_a_circle_of_links_is_an_error(sandbox: Sandbox, root: Path, command: Make) -> None:
    (root / "proc").symlink_to("loop")
    (root / "loop").symlink_to("proc")
    with pytest.raises(SandboxError, match=r"symbolic links|not a directory"):
        sandbox.start(root, command("true"))


# -- signals and the end -------------------------------------------------------------------------------


def started(sandbox: Sandbox, root: Path, command: Command) -> subprocess.Popen[bytes]:
    """A started command that has said that it is ready."""
    process = sandbox.start(root, command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1], ids=str)
def test_a_signal_reaches_the_command(sandbox: Sandbox, root: Path, command: Make, number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 3' {number.name[3:]}; echo ready; while :; do sleep 0.02; done"
    with started(sandbox, root, command("sh", "-c", script)) as process:
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == b"got\n"
    assert process.returncode == 3


def test_a_signal_ends_a_command_that_does_not_handle_it(sandbox: Sandbox, root: Path, command: Make) -> None:
    # Process 1 would be spared: whoever presses Ctrl-C expects otherwise.
    with started(sandbox, root, command("sh", "-c", "echo ready; exec sleep 60")) as process:
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_killing_what_we_started_ends_the_command(sandbox: Sandbox, root: Path, command: Make) -> None:
    with started(sandbox, root, command("sh", "-c", "echo ready; exec sleep 60")) as process:
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == b""  # the command had the other end


def test_nothing_outlives_the_command(sandbox: Sandbox, root: Path, command: Make) -> None:
    with started(sandbox, root, command("sh", "-c", "sleep 60 & echo ready")) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b""  # sleep had it too
        assert process.wait(30) == 0


def kind(sandbox: Sandbox) -> str:
    return "oci" if isinstance(sandbox, OciSandbox) else "chroot"


def groups(pid: int) -> list[str]:
    """The control groups that the keeper ``pid`` has left."""
    return [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/wherry-{pid}-*")]


_PARENT = """
import sys, time, subprocess
from pathlib import Path
from wherry.sandbox import Command, Mount, find_sandbox
kind, root, *mounts = sys.argv[1:]
mounts = tuple(Mount(Path(path), path, True) for path in mounts)
argv = ("sh", "-c", "echo ready; exec sleep 60")
process = find_sandbox(kind).start(Path(root), Command(argv, {"PATH": "/usr/bin:/bin"}, mounts=mounts))
time.sleep(60)
"""


def test_when_we_are_killed_the_command_ends(sandbox: Sandbox, root: Path, command: Make) -> None:
    paths = [mount.target for mount in command("x").mounts]
    words = [sys.executable, "-c", _PARENT, kind(sandbox), str(root), *paths]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        start = time.monotonic()
        assert parent.stdout.read() == b""
        assert time.monotonic() - start < 30


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=str)
def test_when_the_keeper_is_killed_all_ends(
    sandbox: Sandbox, root: Path, command: Make, number: signal.Signals
) -> None:
    script = "sleep 60 & (sleep 61 &); echo ready; exec sleep 62"
    with started(sandbox, root, command("sh", "-c", script)) as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    if number == signal.SIGKILL:  # whoever comes next clears up
        sandbox.start(root, command("true")).wait()
    assert groups(process.pid) == []


# -- limits ------------------------------------------------------------------------------------------


def test_limits_are_those_given(run: Run) -> None:
    result = run("ulimit -n; ulimit -Hn", ulimits=(Ulimit("nofile", 100, 200),))
    assert result.stdout.split() == ["100", "200"]


def test_an_unknown_limit_is_an_error(sandbox: Sandbox, root: Path, command: Make) -> None:
    with pytest.raises(SandboxError, match="ulimit 'cargo'"):
        sandbox.start(root, command("true", ulimits=(Ulimit("cargo", 1, 1),)))


def test_shared_memory_has_the_size_given(run: Run) -> None:
    assert str(3 << 20) in run("df -B1 /dev/shm", shm_size=3 << 20).stdout.split()


@as_root
def test_an_insecure_command_has_all_of_roots_power(run: Run) -> None:
    script = "mount -t tmpfs x /tmp && echo mounted; mknod /n c 1 3 && echo x > /n && echo wrote"
    result = run(f"grep CapEff /proc/self/status; mkdir /tmp; {script}", security="insecure")
    ours = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    assert result.stdout.split()[1:] == [ours, "mounted", "wrote"], result


def test_a_parent_for_control_groups_is_accepted(run: Run) -> None:
    assert run("true", cgroup_parent="wherry-test-parent").returncode == 0
    for folder in Path("/sys/fs/cgroup").glob("**/wherry-test-parent"):
        folder.rmdir()

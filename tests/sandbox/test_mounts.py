"""What a command is shown beside its root filesystem, and that nothing of it stays."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.sandbox import Command, File, Mount, Overlay, Root, Sandbox

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Command]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root")


@pytest.fixture(params=["overlay", "directory"])
def inside(request: pytest.FixtureRequest, root: Path, overlay: Overlay) -> Root:
    """The root filesystem in both forms."""
    return overlay if request.param == "overlay" else root


@pytest.fixture
def cargo(tmp_path: Path) -> Path:
    """A directory of the host with something in it."""
    folder = tmp_path / "cargo"
    (folder / "hold").mkdir(parents=True)
    (folder / "hold/tea").write_text("tea")
    (folder / "gone").write_text("gone")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# -- kinds -------------------------------------------------------------------------------------------


def test_a_tmpfs_is_empty_and_writable_and_forgotten(run: Run, root: Path, command: Make, inside: Root) -> None:
    (root / "scratch").mkdir()
    (root / "scratch/old").write_text("old")
    mounts = (*command("x").mounts, Mount.tmpfs("/scratch", size=1 << 20))
    result = run(
        "ls /scratch; echo x > /scratch/new; stat -c %a /scratch; df -B1 /scratch", inside=inside, mounts=mounts
    )
    assert result.stdout.split()[0] == "755"
    assert str(1 << 20) in result.stdout.split()
    assert names(root / "scratch") == ["old"]


def test_a_tmpfs_has_the_mode_of_what_it_covers(run: Run, root: Path, command: Make, inside: Root) -> None:
    (root / "scratch").mkdir(mode=0o751)
    mounts = (*command("x").mounts, Mount.tmpfs("/scratch"), Mount.tmpfs("/new"), Mount.tmpfs("/mine", mode=0o700))
    result = run("stat -c %a /scratch /new /mine", inside=inside, mounts=mounts)
    assert result.stdout.split() == ["751", "1777", "700"], result


def test_writes_to_a_view_are_forgotten(run: Run, command: Make, cargo: Path, inside: Root) -> None:
    mounts = (*command("x").mounts, Mount.overlay((cargo,), "/deep/cargo"))
    script = "cd /deep/cargo && echo coffee > hold/tea && rm gone && echo x > new && cat hold/tea && ls"
    result = run(script, inside=inside, mounts=mounts)
    assert result.stdout.split() == ["coffee", "hold", "new"], result
    assert names(cargo) == ["gone", "hold", "hold/tea"]
    assert (cargo / "hold/tea").read_text() == "tea"


def test_a_view_of_a_single_file_is_forgotten_too(run: Run, command: Make, cargo: Path, inside: Root) -> None:
    (cargo / "gone").chmod(0o751)
    mounts = (*command("x").mounts, Mount.overlay((cargo / "gone",), "/file"))
    result = run("stat -c %a /file; echo x > /file && cat /file", inside=inside, mounts=mounts)
    assert result.stdout.split() == ["751", "x"], result
    assert (cargo / "gone").read_text() == "gone"


def test_a_socket_can_be_shown(run: Run, command: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("agent")
        mounts = (*command("x").mounts, Mount(tmp_path / "agent", "/run/buildkit/ssh_agent.0"))
        assert run("test -S /run/buildkit/ssh_agent.0", mounts=mounts).returncode == 0


@as_root
def test_device_nodes_in_what_is_shown_are_useless(run: Run, command: Make, cargo: Path) -> None:
    mounts = (*command("x").mounts, Mount(cargo, "/cargo"))
    result = run("mknod /cargo/memory c 1 1; head -c 1 /cargo/memory", mounts=mounts)
    assert "denied" in result.stderr or "not permitted" in result.stderr


def test_mounts_lie_in_each_other_whatever_their_order(run: Run, command: Make, cargo: Path) -> None:
    mounts = (Mount(cargo, "/a/b/c"), Mount.tmpfs("/a"), *command("x").mounts)
    assert run("cat /a/b/c/gone; ls /a", mounts=mounts).stdout == "goneb\n"


# -- small files -------------------------------------------------------------------------------------


def test_a_secret_is_readable_for_its_owner_only(run: Run, inside: Root) -> None:
    files = {"/run/secrets/key": File(b"secret", uid=1000, gid=100), "/run/secrets/mine": File(b"x", 0o440)}
    if os.geteuid() == 0:
        owned = run("stat -c '%a %u %g' /run/secrets/*", inside=inside, files=files)
        assert owned.stdout.splitlines() == ["400 1000 100", "440 0 0"], owned
    assert run("cat /run/secrets/key", inside=inside, files=files, uid=1000, gid=100).stdout == "secret"
    assert run("cat /run/secrets/mine", inside=inside, files=files, uid=1001, gid=101).returncode != 0
    assert "Read-only" in run("echo x > /run/secrets/key", inside=inside, files=files).stderr


def test_a_secret_is_not_written_anywhere(run: Run, tmp_path: Path, overlay: Overlay) -> None:
    run(
        "cat /run/secrets/key; cp /run/secrets/key /dev/shm/copy",
        inside=overlay,
        files={"/run/secrets/key": File(b"s3cr3t")},
    )
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert found == []


def test_a_secret_does_not_show_in_a_repr() -> None:
    assert "s3cr3t" not in repr(File(b"s3cr3t"))


def test_small_files_can_lie_in_dev(run: Run) -> None:
    result = run("sh /dev/pipes/EOF && ls -A /dev | grep file", files={"/dev/pipes/EOF": File(b"echo yes\n", 0o555)})
    assert result.stdout == "yes\n", result


# -- mount points ------------------------------------------------------------------------------------

_NETWORK = {"/etc/resolv.conf": b"nameserver ::1\n", "/etc/hosts": b"::1 localhost\n"}


def content(inside: Root, root: Path) -> list[str]:
    """What a command left in the root, apart from the mount points that Docker leaves, too."""
    folder = inside.upper if isinstance(inside, Overlay) else root
    ours = {"proc", "sys", "dev", "usr", "bin", "lib", "lib64", "sbin"}
    return [name for name in names(folder) if name not in ours]


def test_mount_points_are_cleared_away(run: Run, root: Path, command: Make, cargo: Path, inside: Root) -> None:
    (root / "var/lib").mkdir(parents=True)
    os.utime(root / "var/lib", (1_000_000, 1_000_000))
    os.utime(root / "etc", (2_000_000, 2_000_000))
    before = content(root, root)
    mounts = (*command("x").mounts, Mount(cargo, "/var/lib/x/y/z"), Mount.tmpfs("/opt/tmp"))
    files = {**_NETWORK, "/run/secrets/key": File(b"x")}
    assert run("cat /run/secrets/key /etc/hosts > /dev/null", inside=inside, mounts=mounts, files=files).returncode == 0
    assert content(root, root) == before
    assert content(inside, root) == ([] if isinstance(inside, Overlay) else before)
    assert (root / "var/lib").stat().st_mtime == 1_000_000
    assert (root / "etc").stat().st_mtime == 2_000_000


def test_mount_points_that_the_command_used_stay(
    run: Run, root: Path, command: Make, cargo: Path, inside: Root
) -> None:
    mounts = (*command("x").mounts, Mount(cargo, "/var/cache/x"))
    assert run("echo x > /var/cache/y; echo x > /etc/z", inside=inside, mounts=mounts, files=_NETWORK).returncode == 0
    kept = {"etc", "etc/z", "var", "var/cache", "var/cache/y"}
    assert set(content(inside, root)) - {"etc/passwd"} == kept


def test_a_directory_that_the_command_changed_stays(run: Run, root: Path, overlay: Overlay) -> None:
    (root / "etc").chmod(0o755)
    assert run("chmod 700 /etc", inside=overlay, files=_NETWORK).returncode == 0
    assert stat.S_IMODE((overlay.upper / "etc").stat().st_mode) == 0o700
    assert content(overlay, root) == ["etc"]


def test_a_mount_point_behind_a_dangling_link_is_cleared_away(run: Run, root: Path, inside: Root) -> None:
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    before = content(root, root)
    assert run("grep -q nameserver /etc/resolv.conf", inside=inside, files=_NETWORK).returncode == 0
    assert content(root, root) == before
    assert content(inside, root) == ([] if isinstance(inside, Overlay) else before)


def test_what_a_command_puts_in_the_way_does_not_lead_us_out(
    run: Run, root: Path, command: Make, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "point").mkdir(parents=True)
    mounts = (*command("x").mounts, Mount.tmpfs("/a/point"))
    # The mount point cannot be removed, but its parent can be renamed.
    assert run(f"mv /a /b && ln -s {outside} /a", mounts=mounts).returncode == 0
    assert (outside / "point").is_dir()
    assert (root / "a").is_symlink()


# -- overlays ----------------------------------------------------------------------------------------


def test_many_directories_with_awkward_names(run: Run, root: Path, tmp_path: Path) -> None:
    lowers = []
    for number in range(150):
        lower = tmp_path / f"a long name, with colons: commas, and \\ {number}" / ("x" * 60)
        lower.mkdir(parents=True)
        (lower / f"file-{number}").write_text("")
        (lower / "top").write_text(str(number))
        lowers.append(lower)
    overlay = Overlay((*lowers, root), tmp_path / "over: lay, 1").prepare()
    result = run("ls / | grep -c file-; cat /top", inside=overlay)
    assert result.stdout == "150\n0", result


def test_the_upper_directory_holds_plain_things_only(run: Run, root: Path, overlay: Overlay) -> None:
    (root / "big").write_bytes(b"x" * 3_000_000)
    (root / "folder/inner").mkdir(parents=True)
    (root / "folder/inner/file").write_text("old")
    (root / "other").mkdir()
    (root / "other/file").write_text("old")
    script = "chmod 600 /big; mv /folder /moved; rm -r /other; mkdir /other; echo new > /other/new"
    assert run(script, inside=overlay).returncode == 0
    assert (overlay.upper / "big").read_bytes() == b"x" * 3_000_000  # not its attributes alone
    assert (overlay.upper / "moved/inner/file").read_text() == "old"  # not a pointer to where it was
    gone = (overlay.upper / "folder").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    opaque = [name for name in os.listxattr(overlay.upper / "other") if name.endswith(".overlay.opaque")]
    assert len(opaque) == 1
    assert os.getxattr(overlay.upper / "other", opaque[0]) == b"y"
    others = {name for path in overlay.upper.rglob("*") for name in os.listxattr(path, follow_symlinks=False)}
    assert not any("redirect" in name or "metacopy" in name for name in others)


def test_an_overlay_can_be_used_again(run: Run, overlay: Overlay) -> None:
    assert run("echo one > /file; exit 3", inside=overlay).returncode == 3
    assert run("cat /file", inside=overlay).stdout == "one\n"


def test_nothing_is_mounted_on_the_host(
    run: Run, sandbox: Sandbox, overlay: Overlay, command: Make, cargo: Path
) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    mounts = (*command("x").mounts, Mount.overlay((cargo,), "/view"), Mount.tmpfs("/tmp"))
    result = run("cat /proc/self/mountinfo", inside=overlay, mounts=mounts)
    assert Path("/proc/self/mountinfo").read_text() == before
    assert str(overlay.folder) not in result.stdout

"""Whether a command can run in the files of a stage for another processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.image import Platform
from wherry.sandbox import Command, File, Mount
from wherry.sandbox.binfmt import handlers
from wherry.sandbox.emulation import ForeignProgramError, check_program
from wherry.sandbox.trial import Kind, own_kind, runs, smallest

S390X = Platform("linux", "s390x")
KIND = Kind(22, 64, ">")
PROGRAM = smallest(KIND) or b""

Check = Callable[..., None]


@pytest.fixture
def lowers(tmp_path: Path) -> tuple[Path, Path]:
    """Two directories that lie over one another; in the lower one there is a program of another processor."""
    above, below = tmp_path / "above", tmp_path / "below"
    above.mkdir()
    (below / "usr/bin").mkdir(parents=True)
    (below / "bin").symlink_to("usr/bin")
    (below / "usr/bin/dash").write_bytes(PROGRAM)
    (below / "usr/bin/sh").symlink_to("dash")
    return above, below


@pytest.fixture
def binfmt(tmp_path: Path) -> Path:
    """A binfmt_misc without handlers."""
    folder = tmp_path / "binfmt"
    folder.mkdir()
    (folder / "status").write_text("enabled\n")
    return folder


@pytest.fixture
def check(lowers: tuple[Path, Path], binfmt: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks a command; this machine runs nothing but its own programs and what the handlers take."""
    monkeypatch.setattr("wherry.sandbox.emulation.runs", lambda kind: kind == own_kind())

    def check(*argv: str, platform: Platform = S390X, **more: object) -> None:
        command = Command(argv or ("/bin/sh", "-c", "true"), {"PATH": "/usr/sbin:/usr/bin"}, **more)  # type: ignore[arg-type]
        check_program(command, lowers, platform, folder=binfmt)

    return check


def register(binfmt: Path, flags: str, state: str = "enabled", interpreter: str = "/usr/bin/qemu-s390x-static") -> None:
    text = f"{state}\ninterpreter {interpreter}\nflags: {flags}\noffset 0\nmagic {PROGRAM[:20].hex()}\n"
    (binfmt / "qemu-s390x").write_text(text)


def test_without_an_emulator_the_error_says_what_for_and_where_to_get_one(check: Check) -> None:
    with pytest.raises(ForeignProgramError, match=r"this machine \(linux/.*\) cannot run .* linux/s390x") as caught:
        check()
    assert "it has no emulator" in caught.value.message
    for word in ("qemu-user-static", "--install s390x", "--platform=$BUILDPLATFORM"):
        assert word in (caught.value.hint or "")


def test_an_emulator_that_the_kernel_holds_is_enough(check: Check, binfmt: Path) -> None:
    register(binfmt, "POF")
    check()


def test_an_emulator_of_another_processor_is_none(check: Check, binfmt: Path) -> None:
    register(binfmt, "F")
    entry = binfmt / "qemu-s390x"
    entry.write_text(entry.read_text().replace("0016", "0015"))
    with pytest.raises(ForeignProgramError, match="it has no emulator"):
        check()


def test_a_disabled_emulator_is_named(check: Check, binfmt: Path) -> None:
    register(binfmt, "F", "disabled")
    with pytest.raises(ForeignProgramError, match="qemu-s390x is disabled") as caught:
        check()
    assert f"echo 1 > {binfmt}/qemu-s390x" in (caught.value.hint or "")


def test_an_emulator_that_would_have_to_be_in_the_stage_is_named(check: Check, binfmt: Path) -> None:
    register(binfmt, "OC")
    with pytest.raises(
        ForeignProgramError, match="/usr/bin/qemu-s390x-static, would have to be in the stage"
    ) as caught:
        check()
    assert "flag F" in (caught.value.hint or "")


@pytest.mark.parametrize("number", [0, 1])
def test_an_emulator_that_is_in_the_stage_is_enough(
    check: Check, binfmt: Path, lowers: tuple[Path, Path], number: int
) -> None:
    register(binfmt, "OC")
    folder = lowers[number] / "usr/bin"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "qemu-s390x-static").write_bytes(b"")
    check()


def test_an_emulator_that_a_mount_may_bring_is_no_obstacle(check: Check, binfmt: Path, tmp_path: Path) -> None:
    register(binfmt, "OC", interpreter="/emulators/qemu")
    check(mounts=(Mount(tmp_path, "/emulators"),))


def test_a_program_is_looked_for_in_path(check: Check) -> None:
    with pytest.raises(ForeignProgramError):
        check("dash")


def test_a_program_is_looked_for_from_the_working_directory(check: Check) -> None:
    with pytest.raises(ForeignProgramError):
        check("./dash", cwd="/usr/bin")


def test_a_script_is_as_foreign_as_its_interpreter(check: Check, lowers: tuple[Path, Path]) -> None:
    (lowers[0] / "one").write_text("#! /bin/sh -e\n")
    (lowers[0] / "two").write_text("#!/one\n")
    with pytest.raises(ForeignProgramError):
        check("/two")
    with pytest.raises(ForeignProgramError):
        check("/given", files={"/given": File(b"#!/bin/sh\n", 0o555)})


@pytest.mark.parametrize("text", ["#!/script\n", "#!\n", "#!", "#!/no\0such\n", "#!" + "/x" * 200])
def test_scripts_that_lead_to_no_program_are_no_obstacle(check: Check, lowers: tuple[Path, Path], text: str) -> None:
    (lowers[0] / "script").write_text(text)
    check("/script")


def test_a_program_of_this_machine_runs_in_a_stage_for_another(check: Check, lowers: tuple[Path, Path]) -> None:
    own = own_kind()
    assert own is not None
    (lowers[0] / "cross-build-start").write_bytes(smallest(own) or b"")
    check("/cross-build-start")


def test_a_program_that_the_processor_runs_beside_its_own_needs_no_emulator(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry.sandbox.emulation.runs", lambda kind: kind == KIND)
    check()


def test_what_is_not_there_or_lies_in_a_mount_is_no_obstacle(check: Check, tmp_path: Path) -> None:
    check("/bin/none")
    check("none")
    check(mounts=(Mount(tmp_path, "/bin"),))


def test_in_a_stage_for_this_machine_nothing_is_looked_at(check: Check) -> None:
    check(platform=Platform.native())
    check(platform=Platform("linux", Platform.native().architecture, "v9"))


def test_this_machine_really_does_not_run_everything(lowers: tuple[Path, Path], tmp_path: Path) -> None:
    if any(one.takes(PROGRAM) for one in handlers()) or runs(KIND):
        pytest.skip("this machine runs programs for s390x")
    with pytest.raises(ForeignProgramError):
        check_program(Command(("/bin/sh",)), lowers, S390X)

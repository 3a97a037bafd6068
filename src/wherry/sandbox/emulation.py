"""Programs that were made for another kind of processor: whether they can run here, by nature or by an emulator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from wherry.image import Platform
from wherry.sandbox.binfmt import BINFMT, handlers
from wherry.sandbox.command import Command, File, SandboxError
from wherry.sandbox.trial import KINDS, kind_of, own_kind, runs, smallest
from wherry.sandbox.view import read_file

_HEAD = 256  # bytes that the kernel looks at (BINPRM_BUF_SIZE)
_MOST_SCRIPTS = 5  # that are each other's interpreters
_WITHOUT = "Without one: RUN it in a stage FROM --platform=$BUILDPLATFORM, and COPY --from that; or build on {}."


class ForeignProgramError(SandboxError):
    """A command's program is for another kind of processor, and nothing here emulates that."""


def check_program(command: Command, lowers: Sequence[Path], platform: Platform, *, folder: Path = BINFMT) -> None:
    """See to it that ``command`` can start in the files of ``lowers`` (topmost first), which are for ``platform``.

    It is its program that counts: a stage may hold one for this machine to start the others by. What cannot be found
    out is no obstacle. ``folder`` is where the kernel tells its handlers. Raises :class:`ForeignProgramError`.
    """
    native = Platform.native()
    if platform.architecture == native.architecture:
        return
    head = _head(command, lowers)
    kind = kind_of(head)
    if kind is None or kind == own_kind():
        return
    known = [one for one in handlers(folder) if one.takes(head)]
    handler = next((one for one in known if one.enabled), None)
    if handler is not None and (handler.is_everywhere or _is_there(handler.interpreter, command, lowers)):
        return
    if handler is None and runs(kind):
        return
    install = f"docker run --privileged --rm tonistiigi/binfmt --install {platform.architecture}"
    if handler is not None:
        why = f"the emulator of {handler.name}, {handler.interpreter}, would have to be in the stage"
        how = f"Register it with the flag F, as Debian's qemu-user-static and `{install}` do, or COPY it there."
    elif known:
        why = f"the emulator {known[0].name} is disabled"
        how = f"As root: echo 1 > {folder / known[0].name}"
    else:
        why = "it has no emulator"
        how = f"Install one: `apt-get install qemu-user-static binfmt-support` (Debian, Ubuntu), or `{install}`."
    raise ForeignProgramError(
        f"this machine ({native}) cannot run the programs of a stage for {platform}: {why}",
        hint=f"{how}\n{_WITHOUT.format(platform)}",
    )


def emulates(platform: Platform, *, folder: Path = BINFMT) -> bool:
    """Whether programs for ``platform`` run here, by nature or by an emulator, whatever files are around them."""
    if platform.architecture == Platform.native().architecture:
        return True
    kind = KINDS.get(platform.architecture)
    program = smallest(kind) if kind else None
    if kind is None or program is None:
        return False
    handler = next((one for one in handlers(folder) if one.enabled and one.takes(program)), None)
    return handler.is_everywhere if handler is not None else runs(kind)


def _head(command: Command, lowers: Sequence[Path]) -> bytes:
    """The beginning of the program that the command comes down to, through the interpreters of scripts; or nothing."""
    for path in _candidates(command):
        if (head := _read(path, command, lowers)) is not None:
            break
    else:
        return b""
    for _ in range(_MOST_SCRIPTS):
        if not head.startswith(b"#!"):
            return head
        words = head[2:].partition(b"\n")[0].partition(b"\0")[0].split()
        head = (_read(words[0].decode("utf-8", "surrogateescape"), command, lowers) if words else None) or b""
    return b""


def _candidates(command: Command) -> Iterator[str]:
    """Where the command's program may be, the first choice first."""
    name = command.argv[0]
    if "/" in name:
        yield str(PurePosixPath("/", command.cwd, name))
        return
    for folder in command.env.get("PATH", "").split(":"):
        yield str(PurePosixPath("/", command.cwd, folder, name))


def _read(path: str, command: Command, lowers: Sequence[Path]) -> bytes | None:
    """The beginning of a file as the command will see it; nothing of one in a mount; None if there is none."""
    if (file := command.files.get(path)) is not None:
        return (file.data if isinstance(file, File) else file)[:_HEAD]
    if _is_covered(path, command):
        return b""
    return read_file(lowers, path, _HEAD)


def _is_there(path: str, command: Command, lowers: Sequence[Path]) -> bool:
    return _read(path, command, lowers) is not None


def _is_covered(path: str, command: Command) -> bool:
    """Whether a mount lies over ``path``."""
    return any(PurePosixPath(path).is_relative_to(mount.target) for mount in command.mounts)

"""Running an image of the store: its root filesystem, its configuration and what the user asks for, put together."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.image import Image, Platform
from wherry.image.config import RuntimeConfig
from wherry.sandbox import BuiltinSandbox, Command, Mount, Network, Overlay, OverlayError, Sandbox, find_user
from wherry.sandbox.child import FORWARDED, TERMINAL_STOPS
from wherry.solve.rootfs import open_rootfs, unpack_into
from wherry.store import Store
from wherry.store.files import remove_tree, storing
from wherry.store.lock import give_up, try_lock

if TYPE_CHECKING:
    import subprocess

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Note = Callable[[str], None]

_KERNEL = 128  # si_code of signals from the kernel: a terminal's, which all of its processes get


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a user may say about a run; None takes the image's. Names and meanings as in ``docker run``.

    ``env`` holds ``NAME=VALUE`` or ``NAME`` (this process's value), ``volumes`` ``HOST:DIR[:ro]``; ``entrypoint``
    is one program, or empty for none. ``network`` is ``host`` or ``none``.
    """

    env: tuple[str, ...] = ()
    workdir: str | None = None
    entrypoint: str | None = None
    user: str | None = None
    volumes: tuple[str, ...] = ()
    network: str = "host"


def run_image(
    image: Image,
    args: Sequence[str],
    options: RunOptions,
    store: Store,
    *,
    note: Note | None = None,
    sandbox: Sandbox | None = None,
) -> int:
    """Run ``image`` with this process's standard streams until it ends; gives its exit code (128 + n for signal n).

    What the command writes is gone afterwards. In the main thread signals are passed on to the command.
    Raises :class:`WherryError` if it cannot be started.
    """
    note = note or _say
    argv = command_line(image.config.runtime, args, options)
    network = _network(options.network)
    platform, ours = image.config.platform, Platform.native()
    if platform.architecture != ours.architecture:
        note(f"the image is for {platform}, this machine is {ours}: it runs under emulation, or not at all")
    sandbox = sandbox or BuiltinSandbox(note)
    with ExitStack() as stack:
        root = stack.enter_context(open_rootfs(image, store, note)).path
        folder = stack.enter_context(_container(store))
        command = _command(image, argv, options, network, root)
        waiting = stack.enter_context(_signals())
        try:
            process = sandbox.start(Overlay(root, folder).prepare(), command)
        except OverlayError:
            copy = folder / "root"
            unpack_into(image, store, copy, note)
            process = sandbox.start(copy, command)
        return waiting(process)


def command_line(config: RuntimeConfig, args: Sequence[str], options: RunOptions) -> tuple[str, ...]:
    """ENTRYPOINT and CMD: ``args`` replace the latter, an entrypoint of the user's drops it.

    Raises :class:`UsageError` if nothing is left.
    """
    if options.entrypoint is None:
        argv = (*config.entrypoint, *(args or config.cmd))
    else:
        argv = (*([options.entrypoint] if options.entrypoint else []), *args)
    if not argv:
        raise UsageError("the image has no command", hint="Say what to run: wherry run IMAGE COMMAND [ARG…].")
    return argv


def environment(config: RuntimeConfig, given: Sequence[str], ours: Mapping[str, str]) -> dict[str, str]:
    """The image's variables with the ones ``given``; ``NAME`` alone takes the value of ``ours``, or unsets it."""
    env = {"PATH": DEFAULT_PATH, **config.environment()}
    for text in given:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"-e {text!r} has no name", hint="Write it as -e NAME=VALUE or -e NAME.")
        if equals:
            env[name] = value
        elif name in ours:
            env[name] = ours[name]
        else:
            env.pop(name, None)
    return env


def volume(text: str) -> Mount:
    """Read ``HOST:DIR[:ro|rw]``; HOST may be relative. Raises :class:`UsageError`."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    modes = set(mode.split(",")) - {"", "z", "Z"}  # SELinux labels: nothing of ours needs them
    if not source or not target.startswith("/") or PurePosixPath(target) == PurePosixPath("/") or modes - {"ro", "rw"}:
        raise UsageError(
            f"-v {text!r} is not a volume", hint="Write it as HOST:DIR or HOST:DIR:ro; DIR is absolute and not /."
        )
    path = Path(source).absolute()
    if not path.exists():
        raise UsageError(f"-v {text!r}: there is no {path}", hint="Make it first; wherry has no named volumes.")
    return Mount(path, target, "ro" in modes)


def _network(text: str) -> Network:
    if text == "host":
        return "host"
    if text == "none":
        return "none"
    raise UsageError(f"unknown network {text!r}", hint="Choose host or none.")


def _command(image: Image, argv: tuple[str, ...], options: RunOptions, network: Network, root: Path) -> Command:
    config = image.config.runtime
    user = find_user(root, config.user if options.user is None else options.user)
    name = os.uname().nodename if network == "host" else os.urandom(6).hex()
    defaults = {"HOSTNAME": name, "HOME": user.home}
    if os.isatty(1):
        defaults["TERM"] = os.environ.get("TERM", "xterm")
    cwd = config.working_dir if options.workdir is None else options.workdir
    if options.workdir is not None and not options.workdir.startswith("/"):
        raise UsageError(f"-w {options.workdir!r} is not an absolute path")
    return Command(
        argv,
        {**defaults, **environment(config, options.env, os.environ)},
        cwd=str(PurePosixPath("/", cwd)),
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        mounts=tuple(volume(text) for text in options.volumes),
        files=_network_files(network, name),
        network=network,
        hostname="" if network == "host" else name,
    )


def _network_files(network: Network, name: str) -> dict[str, bytes]:
    """How names are resolved: as on this machine, or, without a network, only this container's own."""
    if network == "none":
        hosts = f"127.0.0.1\tlocalhost {name}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        return {"/etc/hosts": hosts.encode(), "/etc/hostname": f"{name}\n".encode()}
    files = {"/etc/hostname": f"{name}\n".encode()}
    for path in ("/etc/resolv.conf", "/etc/hosts"):
        try:
            files[path] = Path(path).read_bytes()
        except OSError:
            continue
    return files


@contextmanager
def _container(store: Store) -> Iterator[Path]:
    """A folder for what one container writes, removed at the end; so are those of containers whose run was killed.

    Not a session's folder: what is in it may belong to users that only exist in our user namespace.
    """
    folders = store.path / "containers"
    with storing(folders):
        folders.mkdir(parents=True, exist_ok=True)
        for old in folders.glob("*.lock"):
            with suppress(OSError):  # another user's, or with files of IDs that are not ours now: `wherry prune` tells
                handle = try_lock(old)
                if handle is not None:
                    _remove(handle, old)
        lock = folders / f"{os.getpid()}-{os.urandom(4).hex()}.lock"
        handle = try_lock(lock, wait=True)  # another run may just be looking whether it is a dead one's
        assert handle is not None
    try:
        with storing(folders):
            lock.with_suffix("").mkdir(0o700)
        yield lock.with_suffix("")
    finally:
        with storing(folders):
            _remove(handle, lock)


def _remove(handle: int, lock: Path) -> None:
    """Remove a container's folder and then its lock, which stays as long as the folder does."""
    folder = lock.with_suffix("")
    try:
        if folder.exists():
            remove_tree(folder)
    except OSError:
        os.close(handle)
        raise
    give_up(handle, lock)


@contextmanager
def _signals() -> Iterator[Callable[[subprocess.Popen[bytes]], int]]:
    """Gives a function that waits for a process and meanwhile passes our signals on to it.

    Signals are held back from the start, so that none is lost and none ends us before our container.
    """
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield lambda process: exit_code(process.wait())
        return
    held = FORWARDED | TERMINAL_STOPS | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)

    def wait(process: subprocess.Popen[bytes]) -> int:
        while (code := process.poll()) is None:
            info = signal.sigwaitinfo(held)
            # What comes from a terminal came to the container as well.
            if info.si_signo in FORWARDED and not (info.si_code == _KERNEL and _shares_group(process.pid)):
                process.send_signal(info.si_signo)
        return exit_code(code)

    try:
        yield wait
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shares_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == os.getpgrp()
    except ProcessLookupError:
        return False


def exit_code(code: int) -> int:
    """An exit code as a shell has it."""
    return code if code >= 0 else 128 - code


def _say(text: str) -> None:
    print(f"wherry: {text}", file=sys.stderr)

"""The inside of the built-in sandbox, run by a fresh interpreter: ``python -I -S child.py SPEC STATUS LIFE``.

Stands alone: it imports nothing of Wherry and only what starts fast. It reads a :class:`~wherry.sandbox.spec.Spec`
from the descriptor SPEC, makes the namespaces, and splits in two. The *keeper* stays outside of the process namespace:
it hands signals on, and ends the command when LIFE breaks, which means that Wherry is gone. The *inner* process is
process 1 in there: it builds the file system, gives up its privileges and becomes the command. STATUS carries
lines "kind, number, text" to Wherry; if it ends after an "exec" line, the command runs.

A root filesystem is hostile: no path in it is opened by the host's rules. Before the root is ours
:func:`open_inside` resolves links by hand.
"""

# pathlib and contextlib are slow to import.
# ruff: noqa: PTH103, PTH110, PTH112, PTH116, PTH123, SIM105

from __future__ import annotations

import errno
import os
import signal
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wherry.sandbox.spec import Spec

# linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h, linux/personality.h
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 8192, 16384, 1 << 18
NOATIME, NODIRATIME, RELATIME, DETACH = 1024, 2048, 1 << 21, 2
PDEATHSIG, CAPBSET_DROP, NO_NEW_PRIVS, SUBREAPER = 1, 24, 38, 36
ADDR_NO_RANDOMIZE, KEEP_PERSONALITY = 0x40000, 0xFFFFFFFF
SYS_MOUNT_SETATTR, AT_EMPTY_PATH, AT_RECURSIVE = 442, 0x1000, 0x8000  # the same number on every architecture
SI_KERNEL = 128

# What Docker leaves to root in a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
# net_bind_service, net_raw, sys_chroot, audit_write, setfcap; but not mknod, as no device cgroup guards the disks.
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_NUMBERS = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
# What runtimes hide of /proc and /sys, and what they make read-only.
MASKED = (
    *(f"/proc/{name}" for name in ("acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi")),
    *(f"/proc/{name}" for name in ("timer_list", "timer_stats", "interrupts")),
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READ_ONLY = tuple(f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger"))

TERMINAL_STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
FORWARDED = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
}
WAITED = FORWARDED | TERMINAL_STOPS | {signal.SIGCHLD, signal.SIGIO}
HARMLESS = {signal.SIGWINCH}  # what does not end a process that has no handler for it


class Failed(Exception):
    """Ends the child with a status line."""

    def __init__(self, kind: str, number: int, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.number = number


# -- paths ------------------------------------------------------------------------------------------


def open_inside(root: int, path: str, make: str = "") -> int:  # noqa: PLR0912
    """An O_PATH descriptor of ``path`` as a process whose root directory is ``root`` would find it.

    Links lead nowhere but inside. ``make`` ("dir" or "file") makes what is missing, with the directories above it.
    Raises OSError.
    """
    todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    stack = [os.dup(root)]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(stack) > 1:
                    os.close(stack.pop())
                continue
            try:
                found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=stack[-1])
            except FileNotFoundError:
                if not make:
                    raise
                if make == "file" and not todo:
                    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=stack[-1]))
                else:
                    os.mkdir(name, 0o755, dir_fd=stack[-1])
                todo.append(name)
                continue
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                stack.append(found)
                continue
            os.close(found)
            links += 1
            if links > 40:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(name, dir_fd=stack[-1])
            if target.startswith("/"):
                while len(stack) > 1:
                    os.close(stack.pop())
            todo += [part for part in reversed(target.split("/")) if part not in {"", "."}]
        return stack.pop()
    finally:
        for descriptor in stack:
            os.close(descriptor)


# -- system calls -----------------------------------------------------------------------------------


class Libc:
    """The C library's functions; each raises OSError."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._library = ctypes.CDLL(None, use_errno=True)

    def call(self, name: str, *args: int | bytes | None) -> int:
        ctypes = self._ctypes
        words = [ctypes.c_ulong(arg & 0xFFFFFFFFFFFFFFFF) if isinstance(arg, int) else arg for arg in args]
        result: int = getattr(self._library, name)(*words)
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def mount(self, source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
        words = [os.fsencode(word) if word else None for word in (source or "none", target, kind)]
        try:
            self.call("mount", *words, flags, os.fsencode(data) if data else None)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"mounting {kind or source}") from None

    def read_only_tree(self, descriptor: int) -> None:
        """Make the mount at ``descriptor`` and those below it read-only. Needs Linux 5.12."""
        attributes = (1).to_bytes(8, sys.byteorder) + bytes(24)  # struct mount_attr: set MOUNT_ATTR_RDONLY
        flags = AT_EMPTY_PATH | AT_RECURSIVE
        self.call("syscall", SYS_MOUNT_SETATTR, descriptor, b"", flags, attributes, len(attributes))

    def set_capabilities(self, kept: int) -> None:
        """Set permitted and effective to ``kept``, inheritable to none (capset(2), version 3)."""

        def words(*values: int) -> bytes:
            return b"".join(value.to_bytes(4, sys.byteorder) for value in values)

        low, high = kept & 0xFFFFFFFF, kept >> 32
        self.call("capset", words(0x20080522, 0), words(low, low, 0, high, high, 0))


def unshared(libc: Libc, spec: Spec) -> bool:
    """Enter all new namespaces but that of mounts; False where even root may not. Raises :class:`Failed`."""
    flags = NEWPID | NEWIPC | NEWUTS | (NEWNET if spec["network"] == "none" else 0)
    own = needs_user_namespace()
    uid, gid = os.geteuid(), os.getegid()
    try:
        libc.call("unshare", flags | (NEWUSER if own else 0))
    except OSError as error:
        if uid == 0 and not own and error.errno in {errno.EPERM, errno.ENOSYS}:
            return False
        raise Failed("namespace", error.errno or 0, "new namespaces are refused") from None
    if own:
        # One ID can be mapped without help: it is the user that the command asks for, so that it sees itself as that.
        try:
            write_map("setgroups", "deny")
            write_map("uid_map", f"{spec['uid']} {uid} 1")
            write_map("gid_map", f"{spec['gid']} {gid} 1")
        except OSError as error:
            raise Failed("namespace", error.errno or 0, "the user namespace's IDs cannot be mapped") from None
    return True


def write_map(name: str, text: str) -> None:
    """Write one of this process's ID maps (user_namespaces(7))."""
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)


def mapped_ids() -> int:
    """How many user IDs exist here: 2³²-1 outside of any user namespace."""
    with open("/proc/self/uid_map") as file:
        return sum(int(line.split()[2]) for line in file)


def needs_user_namespace() -> bool:
    """Whether only a user namespace of its own lets the command be the user that it wants to be."""
    if os.geteuid() != 0:
        return True
    try:
        return mapped_ids() == 1
    except OSError:
        return False  # no /proc: no namespaces either


# -- the file system --------------------------------------------------------------------------------


class _Tree:
    """The root filesystem of the command, being built."""

    def __init__(self, libc: Libc, spec: Spec, note: Callable[[str], None]) -> None:
        self.libc = libc
        self.spec = spec
        self.note = note
        self.root = -1

    def build(self) -> None:
        """Mount everything and make the root ours. The keeper stays with the host's mounts."""
        self.libc.call("unshare", NEWNS)
        self.libc.mount("", "/", "", REC | PRIVATE)
        self.mount_root()
        self.mount_proc()
        self.mount_sys()
        self.mount_dev()
        for source, target, read_only in self.spec["mounts"]:
            self.bind(source, target, read_only)
        self.pivot()
        self.hide()
        enter_directory(self.spec["cwd"])
        if self.spec["read_only"]:
            self.libc.mount("", "/", "", REMOUNT | BIND | RDONLY | locked_flags("/"))

    def mount_root(self) -> None:
        root = self.spec["root"]
        if self.spec["overlay"]:
            lower, folder = self.spec["overlay"]
            # Relative names spare us the escapes that commas and colons in the store's path would need.
            os.chdir(folder)
            options = f"lowerdir={os.path.relpath(lower, folder)},upperdir=upper,workdir=work"
            inner = mapped_ids() != 0xFFFFFFFF
            try:
                self.libc.mount("overlay", "merged", "overlay", NODEV, options + (",userxattr" if inner else ""))
            except OSError as error:
                raise Failed("overlay", error.errno or 0, "an overlay cannot be mounted") from None
        else:
            self.libc.mount(root, root, "", BIND | REC)
            self.libc.mount("", root, "", REMOUNT | BIND | NODEV | locked_flags(root))
        self.root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def at(self, path: str, make: str = "dir") -> str:
        """A name for the place ``path`` in the new root, made if it is missing."""
        return f"/proc/self/fd/{open_inside(self.root, path, make)}"

    def mount_proc(self) -> None:
        try:
            self.libc.mount("proc", self.at("/proc"), "proc", NOSUID | NODEV | NOEXEC)
        except PermissionError:
            # Inside another container, whose own /proc is partly hidden: then only that one may be shown.
            self.libc.mount("/proc", self.at("/proc"), "", BIND | REC)
            self.note("no /proc of its own may be mounted here: the command sees the processes around the container")

    def mount_sys(self) -> None:
        place = self.at("/sys")
        try:
            self.libc.mount("sysfs", place, "sysfs", NOSUID | NODEV | NOEXEC | RDONLY)
            return
        except PermissionError:
            pass  # the host's network is not ours: sysfs belongs to it
        try:
            self.libc.mount("/sys", place, "", BIND | REC)
            self.libc.read_only_tree(open_inside(self.root, "/sys"))
        except OSError:
            self.note("/sys is not available in the container")

    def mount_dev(self) -> None:
        mount = self.libc.mount
        mount("tmpfs", self.at("/dev"), "tmpfs", NOSUID | NODEV, "mode=755,size=65536k")
        for name in DEVICES:
            if os.path.exists(f"/dev/{name}"):
                mount(f"/dev/{name}", self.at(f"/dev/{name}", "file"), "", BIND)
        try:
            mount("devpts", self.at("/dev/pts"), "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
        except OSError:  # group 5 does not exist here
            mount("devpts", self.at("/dev/pts"), "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
        mount("shm", self.at("/dev/shm"), "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777,size=65536k")
        try:
            mount("mqueue", self.at("/dev/mqueue"), "mqueue", NOSUID | NODEV | NOEXEC)
        except OSError:
            pass  # a kernel without POSIX message queues
        dev = open_inside(self.root, "/dev")
        links = {"fd": "/proc/self/fd", "ptmx": "pts/ptmx", "core": "/proc/kcore"}
        links |= {name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))}
        for name, target in links.items():
            os.symlink(target, name, dir_fd=dev)
        if os.isatty(0):
            try:
                mount(os.ttyname(0), self.at("/dev/console", "file"), "", BIND)
            except OSError:
                pass  # a terminal of another container: nobody there can know its name
        self.mount_files(dev)

    def mount_files(self, dev: int) -> None:
        """Show the spec's small files; they live in the tmpfs of /dev, under no name."""
        for path, data in self.spec["files"].items():
            with open(os.open(".file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=dev), "wb") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(data)
            try:
                self.libc.mount(self.at("/dev/.file", "file"), self.at(path, "file"), "", BIND)
            finally:
                os.unlink(".file", dir_fd=dev)

    def bind(self, source: str, target: str, read_only: bool) -> None:
        try:
            kind = "dir" if os.path.isdir(source) else "file"
            self.libc.mount(source, self.at(target, kind), "", BIND | REC)
            if read_only:
                place = open_inside(self.root, target)
                try:
                    self.libc.read_only_tree(place)
                except OSError:
                    name = f"/proc/self/fd/{place}"
                    self.libc.mount("", name, "", REMOUNT | BIND | RDONLY | locked_flags(name))
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{source} cannot be mounted at {target}") from None

    def pivot(self) -> None:
        os.fchdir(self.root)
        os.close(self.root)
        try:
            self.libc.call("pivot_root", b".", b".")
            self.libc.call("umount2", b".", DETACH)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # The host runs from an initramfs, which cannot be pivoted away from.
            self.libc.mount(".", "/", "", MOVE)
            os.chroot(".")
        os.chdir("/")

    def hide(self) -> None:
        """Cover what of /proc and /sys tells of the host or changes it. What the host hides already stays so."""
        for path in READ_ONLY:
            try:
                self.libc.mount(path, path, "", BIND | REC)
                self.libc.mount("", path, "", REMOUNT | BIND | RDONLY | NOSUID | NODEV | NOEXEC | locked_flags(path))
            except FileNotFoundError:
                pass
        for path in MASKED:
            try:
                if stat.S_ISDIR(os.stat(path).st_mode):
                    self.libc.mount("tmpfs", path, "tmpfs", RDONLY)
                else:
                    self.libc.mount("/dev/null", path, "", BIND)
            except FileNotFoundError:
                pass


def locked_flags(path: str) -> int:
    """The flags of the mount at ``path``: a remount in a user namespace must repeat them."""
    flags = os.statvfs(path).f_flag
    same = flags & (RDONLY | NOSUID | NODEV | NOEXEC | NOATIME | NODIRATIME)
    return same | (RELATIME if flags & 4096 else 0)  # ST_RELATIME


def enter_directory(path: str) -> None:
    """Go to ``path``, made if it is missing."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chdir(path)
    except OSError as error:
        raise Failed("setup", error.errno or 0, f"the working directory {path} cannot be entered") from None


def build_plain(spec: Spec, note: Callable[[str], None]) -> None:
    """Where no namespace can be had: change the root, and make do."""
    if spec["network"] == "none":
        raise Failed("namespace", errno.EPERM, "a container without a network needs a network namespace")
    if spec["overlay"]:
        raise Failed("overlay", errno.EPERM, "an overlay needs a mount namespace")
    if spec["mounts"]:
        raise Failed("namespace", errno.EPERM, "volumes need a mount namespace")
    note("namespaces are not permitted here: the command runs in a plain chroot, without /proc and /sys")
    root = os.open(spec["root"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    dev = open_inside(root, "/dev", "dir")
    for name, minor in DEVICE_NUMBERS.items():
        try:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(1, minor), dir_fd=dev)
            os.chmod(name, 0o666, dir_fd=dev)
        except OSError:
            pass  # it is there, or may not be made
    for path, data in spec["files"].items():
        place = open_inside(root, path, "file")
        if stat.S_ISREG(os.fstat(place).st_mode):
            with open(f"/proc/self/fd/{place}", "wb") as file:
                file.write(data)
    os.chroot(spec["root"])
    os.chdir("/")
    enter_directory(spec["cwd"])


def raise_loopback() -> None:
    """Bring up ``lo`` in a new network namespace (netdevice(7))."""
    import _socket  # without its Python half, which takes long to import
    import fcntl

    any_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = b"lo".ljust(16, b"\0") + (1).to_bytes(2, sys.byteorder) + bytes(22)  # struct ifreq: IFF_UP
    fcntl.ioctl(any_socket.fileno(), 0x8914, request)  # SIOCSIFFLAGS
    any_socket.close()


# -- the inner process ------------------------------------------------------------------------------


def become(libc: Libc, spec: Spec, *, namespaced: bool, own: bool, status: int, terminal: bool, joined: int) -> None:
    """Become the command. Does not return; raises :class:`Failed` or OSError.

    The pipe ``joined`` breaks when the keeper hears the terminal, too.
    """

    def note(text: str) -> None:
        report(status, "note", 0, text)

    libc.call("prctl", PDEATHSIG, signal.SIGKILL)
    if terminal:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        os.read(joined, 1)  # a Ctrl-C that only process 1 hears of would be lost
    os.umask(0)
    if namespaced:
        if spec["hostname"]:
            name = os.fsencode(spec["hostname"])
            libc.call("sethostname", name, len(name))
        if spec["network"] == "none":
            raise_loopback()
        _Tree(libc, spec, note).build()
    else:
        build_plain(spec, note)
    drop_privileges(libc, spec, own)
    # Changing the user forgets it.
    libc.call("prctl", PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    if not spec["randomized"]:
        try:
            libc.call("personality", libc.call("personality", KEEP_PERSONALITY) | ADDR_NO_RANDOMIZE)
        except OSError:
            pass  # a seccomp filter around us
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # those that Python changes
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    report(status, "exec", 0, "")
    execute(spec["argv"], spec["env"])


def drop_privileges(libc: Libc, spec: Spec, own: bool) -> None:
    """Keep what Docker would leave to this user, and nothing more."""
    try:
        for number in range(64):
            if number not in CAPABILITIES:
                libc.call("prctl", CAPBSET_DROP, number)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EPERM}:  # past the last one; not ours to drop
            raise
    if not own:
        try:
            os.setgroups(spec["groups"])
            os.setresgid(spec["gid"], spec["gid"], spec["gid"])
            os.setresuid(spec["uid"], spec["uid"], spec["uid"])
        except OSError as error:
            text = f"user {spec['uid']}:{spec['gid']} cannot be had here"
            raise Failed("user", error.errno or 0, text) from None
    if spec["uid"] == 0:
        try:
            libc.set_capabilities(sum(1 << number for number in CAPABILITIES) & permitted())
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
    if spec["no_new_privileges"]:
        libc.call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)


def permitted() -> int:
    """The capabilities that this process may have."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm:"))
    except (OSError, StopIteration):
        return (1 << 64) - 1


def execute(argv: list[str], env: dict[str, str]) -> None:
    """Replace this process by ``argv``, found as a shell would. Raises :class:`Failed`."""
    name = argv[0]
    paths = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in env.get("PATH", "").split(":")]
    denied: OSError | None = None
    for path in paths:
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.exists(path):
                raise Failed("command", 127, f"{path} needs an interpreter or a loader that is not there") from None
        except OSError as error:
            denied = denied or error
    if denied is not None:
        raise Failed("command", 126, f"{name} cannot be executed: {(denied.strerror or '').lower()}")
    where = "" if "/" in name else " in PATH"
    raise Failed("command", 127, f"{name} is not there{where}")


def report(status: int, kind: str, number: int, text: str) -> None:
    """Tell Wherry something."""
    line = text.replace("\n", " ")
    os.write(status, f"{kind}\t{number}\t{line}\n".encode("utf-8", "surrogateescape"))


# -- the keeper -------------------------------------------------------------------------------------


def keep(pid: int, life: int, started: int, namespaced: bool) -> int:
    """Look after the command until it ends; gives its exit code."""
    import fcntl

    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.read(started, 1)  # signals wait until there is a command that can take them
    code: int | None = None
    killed_by = 0
    broken = False
    while code is None:
        if not broken and is_broken(life):
            broken = True
            os.kill(pid, signal.SIGKILL)
        info = signal.sigwaitinfo(WAITED)
        if info.si_signo == signal.SIGCHLD:
            for ended, status in children():
                if ended == pid:
                    code = os.waitstatus_to_exitcode(status)
        elif info.si_signo in FORWARDED:
            number = signal.Signals(info.si_signo)
            # The terminal's own reach the command by themselves, being in the same group; so do all that go to the
            # whole group: of those only the one that Wherry passes on is meant for us.
            from_terminal = info.si_code == SI_KERNEL
            if not from_terminal and info.si_pid != os.getppid():
                continue
            if not from_terminal:
                os.kill(pid, number)
            # Process 1 is spared what it has no handler for; any other process would end.
            if namespaced and number not in HARMLESS and not has_handler(pid, number):
                killed_by = number
                os.kill(pid, signal.SIGKILL)
    if not namespaced:
        end_descendants()
    if killed_by and code == -signal.SIGKILL:
        return 128 + killed_by
    return code if code >= 0 else 128 - code


def join_group(pid: int) -> None:
    """Be in the group of process ``pid``, which has the terminal, so as to hear of Ctrl-C."""
    try:
        os.setpgid(pid, pid)  # it does so itself, but perhaps later
    except OSError:
        pass
    try:
        os.setpgid(0, pid)
    except OSError:
        pass  # it has ended already


def is_broken(life: int) -> bool:
    """Whether the other end of the pipe ``life`` is closed: its owner lives no more."""
    try:
        return os.read(life, 1) == b""
    except BlockingIOError:
        return False


def children() -> Iterator[tuple[int, int]]:
    """The children that have ended, with their wait statuses."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def has_handler(pid: int, number: int) -> bool:
    """Whether process ``pid`` catches, ignores or blocks the signal."""
    bit = 1 << (number - 1)
    try:
        with open(f"/proc/{pid}/status") as file:
            masks = [line.split() for line in file if line.startswith(("SigBlk:", "SigIgn:", "SigCgt:"))]
    except OSError:
        return True
    return any(int(mask, 16) & bit for _, mask in masks)


def end_descendants() -> None:
    """End what a command without a process namespace left behind; it has become ours (see SUBREAPER)."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                pids = [int(word) for word in file.read().split()]
        except OSError:
            return
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(-1, 0)


# -- the beginning ----------------------------------------------------------------------------------


def main(spec_file: int, status: int, life: int) -> int:
    """Carry out the spec; gives the exit code of the keeper."""
    import marshal

    for descriptor in (spec_file, status, life):
        os.set_inheritable(descriptor, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    with open(spec_file, "rb") as file:
        spec: Spec = marshal.load(file)
    libc = Libc()
    try:
        own = needs_user_namespace()
        namespaced = unshared(libc, spec)
        if not namespaced:
            libc.call("prctl", SUBREAPER, 1, 0, 0, 0)
        terminal = owns_terminal()
        started, starting = os.pipe()
        joined, joining = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(started)
            os.close(joining)
            os.close(life)
            become(libc, spec, namespaced=namespaced, own=own, status=status, terminal=terminal, joined=joined)
    except Failed as error:
        report(status, error.kind, error.number, str(error))
        return 125
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        report(status, "setup", error.errno or 0, f"the sandbox cannot be set up{what}")
        return 125
    os.close(status)
    os.close(starting)
    screen = os.dup(0)
    group = os.getpgrp()
    if terminal:
        join_group(pid)
    os.close(joining)
    os.close(joined)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):  # a pipe must end when the command closes it
        os.dup2(null, descriptor)
    code = keep(pid, life, started, namespaced)
    if terminal:
        try:
            os.tcsetpgrp(screen, group)
        except OSError:
            pass  # the terminal is gone
    return code


def owns_terminal() -> bool:
    """Whether the command is alone with a terminal, which then is its own: Ctrl-C and job control happen in there."""
    try:
        return all(os.isatty(number) for number in (0, 1, 2)) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


if __name__ == "__main__":
    os._exit(main(*map(int, sys.argv[1:4])))

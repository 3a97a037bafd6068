"""The inside of the sandboxes, run by a fresh interpreter with the arguments SPEC STATUS LIFE (see :func:`begin`).

Stands alone: it imports nothing of Wherry and only what starts fast. It reads a :class:`~wherry.sandbox.spec.Spec`
from the descriptor SPEC, makes the namespaces, and splits in two. The *keeper* stays outside of the process namespace:
it hands signals on, ends the command when LIFE breaks, which means that Wherry is gone, and in the end clears the mount
points away. The *inner* process is process 1 in there: it builds the file system, gives up its privileges and becomes
the command, or the OCI runtime that starts it. STATUS carries lines "kind, number, text" to Wherry; if it ends after
an "exec" line, the command runs.

A root filesystem is hostile: no path in it is opened by the host's rules. Before the root is ours
:func:`open_inside` resolves links by hand.
"""

# pathlib and contextlib are slow to import.
# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH108, PTH106, PTH110, PTH112, PTH114, PTH115, PTH116, PTH123, PTH208, PTH211
# ruff: noqa: SIM105

from __future__ import annotations

import errno
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from wherry.sandbox.spec import FileSpec, MountSpec, Spec

else:
    import _signal as signal  # what the Python half adds, enumerations, takes as long to import as all the rest

# linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h, linux/personality.h
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 8192, 16384, 1 << 18
NOATIME, NODIRATIME, RELATIME, DETACH = 1024, 2048, 1 << 21, 2
PDEATHSIG, CAPBSET_DROP, NO_NEW_PRIVS, SUBREAPER = 1, 24, 38, 36
ADDR_NO_RANDOMIZE, KEEP_PERSONALITY = 0x40000, 0xFFFFFFFF
SET_RDONLY, SET_NODEV = 1, 4  # MOUNT_ATTR_…
SYS_MOUNT_SETATTR, AT_EMPTY_PATH, AT_RECURSIVE = 442, 0x1000, 0x8000  # the same number on every architecture
SI_KERNEL = 128

# What Docker leaves to root in a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
# net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap. No device cgroup guards the disks, but all mounts
# that the command can write are "nodev": its nodes can be made, and go into a layer, and cannot be opened.
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
# Redirects, metacopies and indexes would leave more in the upper directory than files, whiteouts and opaque marks.
# Nothing of it must outlive a crash of the machine, so nothing is synchronised.
_PLAIN = ",redirect_dir=nofollow,metacopy=off,index=off"
OVERLAY_OPTIONS = (f"{_PLAIN},volatile", _PLAIN, "")
GROUP = "wherry-KEEPER-"  # what the names of our control groups begin with: the keeper puts its number there
# Those mounted before the mounts of RUN, as BuildKit does.
NETWORK_FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
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


def open_inside(  # noqa: PLR0912
    root: int, path: str, make: str = "", making: Callable[[int, str], None] | None = None
) -> int:
    """An O_PATH descriptor of ``path`` as a process whose root directory is ``root`` would find it.

    Links lead nowhere but inside. ``make`` ("dir" or "file") makes what is missing, with the directories above it;
    ``making`` is told before of each: the directory it is made in, and its real path. Raises OSError.
    """
    names = [""]
    todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    stack = [os.dup(root)]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if len(stack) > 1:
                    os.close(stack.pop())
                    names.pop()
                continue
            try:
                found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=stack[-1])
            except FileNotFoundError:
                if not make:
                    raise
                if making is not None:
                    making(stack[-1], "/".join((*names[1:], name)))
                if make == "file" and not todo:
                    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=stack[-1]))
                else:
                    os.mkdir(name, 0o755, dir_fd=stack[-1])
                todo.append(name)
                continue
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                stack.append(found)
                names.append(name)
                continue
            os.close(found)
            links += 1
            if links > 40:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(name, dir_fd=stack[-1])
            if target.startswith("/"):
                while len(stack) > 1:
                    os.close(stack.pop())
                del names[1:]
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

    def restrict_tree(self, descriptor: int, restrictions: int) -> None:
        """Make the mount at ``descriptor`` and those below it read-only or so. Needs Linux 5.12."""
        attributes = restrictions.to_bytes(8, sys.byteorder) + bytes(24)  # struct mount_attr
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
    flags = NEWPID
    if not spec["runtime"]:
        flags |= NEWIPC | NEWUTS | (NEWNET if spec["network"] == "none" else 0)
    own = needs_user_namespace()
    uid, gid = os.geteuid(), os.getegid()
    try:
        libc.call("unshare", flags | (NEWUSER if own else 0))
    except OSError as error:
        if uid == 0 and not own and not spec["runtime"] and error.errno in {errno.EPERM, errno.ENOSYS}:
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


# -- mount points -----------------------------------------------------------------------------------

Times = tuple[str, int, int, int]
"""Of a directory in the root: path, time of change of its entries before and after our own changes, of itself after."""


class Stubs:
    """What is made in the root filesystem for the sake of mounts, and what must be known to clear it away."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.above: dict[str, tuple[int, int]] = {}

    def making(self, folder: int, path: str) -> None:
        """``path`` is about to be made in the directory that is open as ``folder``."""
        above = path.rpartition("/")[0]
        if above not in self.above and above not in self.made:
            self.above[above] = (os.dup(folder), os.fstat(folder).st_mtime_ns)
        self.made.append(path)

    def changing(self, path: str, real: str) -> None:
        """Entries of the directory ``path``, really ``real``, are about to be replaced."""
        if path not in self.above and path not in self.made:
            descriptor = os.open(real or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.above[path] = (descriptor, os.fstat(descriptor).st_mtime_ns)

    def settle(self) -> list[Times]:
        """The times of the directories; to be asked when all is made."""
        settled = []
        for path, (descriptor, before) in self.above.items():
            status = os.fstat(descriptor)
            settled.append((path, before, status.st_mtime_ns, status.st_ctime_ns))
            os.close(descriptor)
        return settled


def open_exactly(root: int, path: str) -> int:
    """An O_PATH descriptor of the directory ``path`` in ``root``, whatever a command did there. Raises OSError."""
    here = os.dup(root)
    for name in path.split("/"):
        if name:
            above = here
            try:
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                here = os.open(name, flags, dir_fd=above)
            finally:
                os.close(above)
    return here


def clear(root: str, made: list[str], above: list[Times], *, upper: bool) -> None:
    """Remove the empty ones of the mount points ``made`` in ``root``, as BuildKit does, and leave no trace of them.

    In the ``upper`` directory of an overlay, directories that are only there because of them go as well.
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        untouched = {path for path, _, _, changed in above if changed == times(top, path)[1]}
        for path in reversed(made):
            remove_empty(top, path)
        for path, before, after, _ in sorted(above, reverse=True):
            if times(top, path)[0] == after:
                set_time(top, path, before)
        while upper and untouched:
            path = max(untouched, key=len)
            untouched.remove(path)
            if path and remove_empty(top, path):
                untouched.add(path.rpartition("/")[0])
    finally:
        os.close(top)


def times(top: int, path: str) -> tuple[int, int]:
    """When the entries of the directory ``path``, and when it itself, changed last; zeros if it is not there."""
    try:
        folder = open_exactly(top, path)
    except OSError:
        return (0, 0)
    status = os.fstat(folder)
    os.close(folder)
    return (status.st_mtime_ns, status.st_ctime_ns)


def set_time(top: int, path: str, time: int) -> None:
    folder = open_exactly(top, path)
    try:
        name = f"/proc/self/fd/{folder}"
        os.utime(name, ns=(os.stat(name).st_atime_ns, time))
    finally:
        os.close(folder)


def remove_empty(top: int, path: str) -> bool:
    """Remove an empty directory or file; the directory above keeps its time."""
    above, _, name = path.rpartition("/")
    try:
        folder = open_exactly(top, above)
    except OSError:
        return False
    try:
        before = os.fstat(folder).st_mtime_ns
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=folder)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(name, dir_fd=folder)
        else:
            return False
        set_time(folder, "", before)
        return True
    except OSError:
        return False
    finally:
        os.close(folder)


# -- copies, where nothing can be mounted -----------------------------------------------------------


def copy_into(source: str, target: str) -> None:
    """Copy what is in the directory ``source`` into the directory ``target``, with all that belongs to it."""
    with os.scandir(source) as items:
        for item in items:
            place = f"{target}/{item.name}"
            if item.is_dir(follow_symlinks=False):
                if not os.path.isdir(place) or os.path.islink(place):
                    remove_all(place)
                    os.mkdir(place)
                copy_into(item.path, place)
                copy_metadata(item.path, place)
            else:
                remove_all(place)
                copy_item(item.path, place)


def copy_item(source: str, target: str, *, follow: bool = False) -> None:
    """Copy what is no directory; ``follow`` says whether ``source`` is a link to what is meant."""
    status = os.stat(source, follow_symlinks=follow)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(status.st_mode):
        with open(source, "rb") as old, open(target, "xb") as new:
            while piece := old.read(1 << 20):
                new.write(piece)
    else:
        try:
            os.mknod(target, status.st_mode, status.st_rdev)
        except OSError:
            return  # a device or a socket, which a copy is not needed of
    copy_metadata(source, target, follow=follow)


def copy_metadata(source: str, target: str, *, follow: bool = False) -> None:
    """Give ``target`` the owner, mode, attributes and times of ``source``, as far as that is possible here."""
    status = os.stat(source, follow_symlinks=follow)
    try:
        os.lchown(target, status.st_uid, status.st_gid)
    except OSError:
        pass
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    try:
        for name in os.listxattr(source, follow_symlinks=follow):
            if ".overlay." not in name:
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=follow), follow_symlinks=False)
    except OSError:
        pass
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def remove_all(path: str) -> None:
    """Remove whatever is at ``path``; nothing may be."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        with os.scandir(path) as items:
            for item in items:
                remove_all(item.path)
        os.rmdir(path)


# -- the file system --------------------------------------------------------------------------------


class Tree:
    """The root filesystem of the command, being built."""

    def __init__(self, libc: Libc, spec: Spec, note: Callable[[str], None], cleared: int) -> None:
        self.libc = libc
        self.spec = spec
        self.note = note
        self.cleared = cleared
        self.root = self.files = -1
        self.stage = ""
        self.stubs = Stubs()
        self.nodev = 0 if spec["insecure"] else NODEV

    def build(self) -> None:
        """Mount everything and make the root ours. The keeper stays with the host's mounts."""
        self.libc.call("unshare", NEWNS)
        self.libc.mount("", "/", "", REC | PRIVATE)
        self.mount_root(self.spec["root"])
        make_directory(self.root, self.spec)
        self.mount_proc()
        self.mount_sys()
        self.mount_dev()
        self.mount_all()
        self.settle()
        self.pivot()
        if not self.spec["insecure"]:
            self.hide()
        enter_directory(self.spec["cwd"])
        if self.spec["read_only"]:
            self.libc.mount("", "/", "", REMOUNT | BIND | RDONLY | locked_flags("/"))

    def mount_root(self, place: str) -> None:
        """Mount the root filesystem at ``place``."""
        if self.spec["overlay"]:
            lowers, folder = self.spec["overlay"]
            try:
                self.mount_overlay(lowers, folder, place)
            except OSError as error:
                raise Failed("overlay", error.errno or 0, "an overlay cannot be mounted") from None
        else:
            self.libc.mount(self.spec["root"], place, "", BIND | REC)
            self.libc.mount("", place, "", REMOUNT | BIND | self.nodev | locked_flags(place))
        self.root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def mount_overlay(self, lowers: list[str], folder: str, target: str) -> None:
        """Mount a writable view of ``lowers`` at ``target``; ``folder`` has upper and work."""
        try:  # left from an earlier mount, and forbids another one
            remove_all(f"{folder}/work/work/incompat")
        except OSError:
            pass
        # The numbers of descriptors are names that need no escapes, tell nothing of the host to the command, and are
        # short: mount(2) takes one page of options.
        here = os.open(".", os.O_PATH | os.O_CLOEXEC)
        opened: list[int] = []
        try:
            for path in (f"{folder}/upper", f"{folder}/work", target, *lowers):
                opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            upper, work, place, *below = opened
            os.chdir("/proc/self/fd")
            options = f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}"
            if mapped_ids() != 0xFFFFFFFF:
                options += ",userxattr"
            for more in OVERLAY_OPTIONS:
                try:
                    self.libc.mount("overlay", str(place), "overlay", self.nodev, options + more)
                    return
                except OSError as error:
                    if error.errno != errno.EINVAL or not more:
                        raise
        finally:
            os.fchdir(here)
            for descriptor in (here, *opened):
                os.close(descriptor)

    def settle(self) -> None:
        """Tell the keeper what to clear away."""
        import marshal

        if self.stubs.made:
            os.write(self.cleared, marshal.dumps((self.stubs.made, self.stubs.settle())))

    def at(self, path: str, make: str = "dir") -> str:
        """A name for the place ``path`` in the new root, made if it is missing."""
        return f"/proc/self/fd/{open_inside(self.root, path, make)}"

    def open_point(self, path: str, make: str = "") -> int:
        """The mount point ``path``; if it is made, it is to be cleared away after the command."""
        return open_inside(self.root, path, make, self.stubs.making)

    def point(self, path: str, make: str) -> str:
        """A name for the mount point ``path``, made if it is missing."""
        return f"/proc/self/fd/{self.open_point(path, make)}"

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
            self.libc.restrict_tree(open_inside(self.root, "/sys"), SET_RDONLY)
        except OSError:
            self.note("/sys is not available in the container")

    def mount_dev(self) -> None:
        mount = self.libc.mount
        mount("tmpfs", self.at("/dev"), "tmpfs", NOSUID | self.nodev, "mode=755,size=65536k")
        for name in DEVICES:
            if os.path.exists(f"/dev/{name}"):
                mount(f"/dev/{name}", self.at(f"/dev/{name}", "file"), "", BIND)
        try:
            mount("devpts", self.at("/dev/pts"), "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
        except OSError:  # group 5 does not exist here
            mount("devpts", self.at("/dev/pts"), "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
        size = self.spec["shm_size"]
        mount("shm", self.at("/dev/shm"), "tmpfs", NOSUID | NODEV | NOEXEC, f"mode=1777,size={size}")
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
        self.files = dev

    def mount_all(self) -> None:
        """Mount what the command asks for, in BuildKit's order."""
        files = self.spec["files"]
        for path in NETWORK_FILES:
            if path in files:
                self.mount_file(path, files[path])
        for number, mount in enumerate(self.spec["mounts"]):
            self.mount_one(number, mount)
        for path, file in files.items():
            if path not in NETWORK_FILES:
                self.mount_file(path, file)

    def mount_file(self, path: str, file: FileSpec) -> None:
        """Show a small file; it lives in the tmpfs of /dev, under no name."""
        try:
            self.write_file(".file", file)
            try:
                found = os.open(".file", os.O_PATH | os.O_CLOEXEC, dir_fd=self.files)
                self.show(f"/proc/self/fd/{found}", path, "file", SET_RDONLY if file[4] else 0)
            finally:
                os.unlink(".file", dir_fd=self.files)
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{path} cannot be shown") from None

    def write_file(self, name: str, file: FileSpec) -> None:
        """Make a small file in the directory ``self.files``."""
        write_file(self.files, name, file, self.note)

    def show(self, source: str, target: str, make: str, restrictions: int) -> None:
        """Bind ``source`` at ``target``."""
        self.libc.mount(source, self.point(target, make), "", BIND | REC)
        if restrictions:
            place = self.open_point(target)
            try:
                self.libc.restrict_tree(place, restrictions)
            except OSError:
                name = f"/proc/self/fd/{place}"
                flags = (RDONLY if restrictions & SET_RDONLY else 0) | (NODEV if restrictions & SET_NODEV else 0)
                self.libc.mount("", name, "", REMOUNT | BIND | flags | locked_flags(name))

    def mount_one(self, number: int, mount: MountSpec) -> None:
        kind, sources, target, read_only, size, mode = mount
        what = "a tmpfs" if kind == "tmpfs" else sources[0]
        try:
            if kind == "tmpfs":
                known = len(self.stubs.made)
                point = self.point(target, "dir")
                if not mode:  # as runc does it
                    runtime = self.spec["runtime"]
                    was_there = len(self.stubs.made) == known and not (runtime and target in runtime["late"])
                    mode = stat.S_IMODE(os.stat(point).st_mode) if was_there else 0o1777
                options = f"mode={mode:o}" + (f",size={size}" if size else "")
                self.libc.mount("tmpfs", point, "tmpfs", NOSUID | NODEV, options)
                return
            if kind == "overlay":
                self.throw_away(number, sources, target)
                return
            folder = os.path.isdir(sources[0])
            restrictions = (SET_RDONLY if read_only else 0) | (SET_NODEV if folder and self.nodev else 0)
            self.show(sources[0], target, "dir" if folder else "file", restrictions)
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{what} cannot be mounted at {target}") from None

    def throw_away(self, number: int, sources: list[str], target: str) -> None:
        """Show at ``target`` a writable view of ``sources`` that is forgotten: an overlay, or else a copy."""
        in_memory = not self.spec["overlay"]
        if self.spec["overlay"]:
            folder = f"{self.spec['overlay'][1]}/mount-{number}"
            os.mkdir(folder, 0o700)
        else:
            os.mkdir(".mount", 0o700, dir_fd=self.files)
            folder = f"/proc/self/fd/{self.files}/.mount"
            self.libc.mount("tmpfs", folder, "tmpfs", NODEV, "mode=700")
        try:
            merged = f"{folder}/merged"
            if os.path.isdir(sources[0]):
                for name in ("upper", "work", "merged"):
                    os.mkdir(f"{folder}/{name}")
                copy_metadata(sources[0], f"{folder}/upper", follow=True)
                try:
                    self.mount_overlay(sources, folder, merged)
                    mounted = True
                except OSError:
                    mounted = False
                    copy_metadata(sources[0], merged, follow=True)
                    for source in reversed(sources):
                        copy_into(source, merged)
                self.show(merged, target, "dir", SET_NODEV if self.nodev else 0)
                if mounted:
                    self.libc.call("umount2", os.fsencode(merged), DETACH)
            else:
                copy_item(sources[0], merged, follow=True)
                self.show(merged, target, "file", 0)
        finally:
            if in_memory:
                self.libc.call("umount2", os.fsencode(folder), DETACH)
                os.rmdir(".mount", dir_fd=self.files)

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


class Stage(Tree):
    """The root filesystem of a command that an OCI runtime is to start, with the bundle that says so."""

    number = 0

    def prepare(self) -> None:
        """Mount all that the runtime does not, and write the bundle."""
        runtime = self.spec["runtime"]
        assert runtime is not None
        stage = self.stage = runtime["stage"]
        self.libc.call("unshare", NEWNS)
        self.libc.mount("", "/", "", REC | PRIVATE)
        self.open_sources()
        self.libc.mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)  # of our own process namespace
        self.libc.mount("tmpfs", stage, "tmpfs", NODEV, "mode=755")
        for name in ("root", "bundle", "late", "files"):
            os.mkdir(f"{stage}/{name}", 0o755)
        self.files = os.open(f"{stage}/files", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.mount_root(f"{stage}/root")
        self.check_points()
        make_directory(self.root, self.spec)
        self.mount_all()
        self.settle()
        self.look_up()
        with open(f"{stage}/bundle/config.json", "w") as file:
            file.write(runtime["config"])

    def check_points(self) -> None:
        """A runtime mounts on nothing but directories: refuse links, which are a hostile image's."""
        for name in ("proc", "sys", "dev"):
            try:
                status = os.stat(name, dir_fd=self.root, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                raise Failed("setup", 0, f"/{name} of the root filesystem is not a directory")

    def open_sources(self) -> None:
        """Give the sources names that stay valid when the stage and a new /proc cover what is there."""

        def opened(path: str) -> str:
            try:
                return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"
            except OSError as error:
                raise Failed("setup", error.errno or 0, f"{path} cannot be mounted") from None

        spec = self.spec
        if spec["overlay"]:
            lowers, folder = spec["overlay"]
            spec["overlay"] = ([opened(path) for path in lowers], opened(folder))
        else:
            spec["root"] = opened(spec["root"])
        spec["mounts"] = [
            (kind, sources if kind == "tmpfs" else [opened(path) for path in sources], target, read_only, size, mode)
            for kind, sources, target, read_only, size, mode in spec["mounts"]
        ]

    def mount_file(self, path: str, file: FileSpec) -> None:
        # Under a name: what has none, the runtime cannot bind once more.
        name = f"file-{self.number}"
        self.number += 1
        try:
            self.write_file(name, file)
            found = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=self.files)
            self.show(f"/proc/self/fd/{found}", path, "file", SET_RDONLY if file[4] else 0)
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{path} cannot be shown") from None

    def open_point(self, path: str, make: str = "") -> int:
        runtime = self.spec["runtime"]
        assert runtime is not None
        if path not in runtime["late"]:
            return super().open_point(path, make)
        top = os.open(self.stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_inside(top, runtime["late"][path], make)
        finally:
            os.close(top)

    def look_up(self) -> None:
        """Find the command as :func:`execute` will. Raises :class:`Failed`."""
        name, env = self.spec["argv"][0], self.spec["env"]
        paths = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in env.get("PATH", "").split(":")]
        denied = False
        for path in paths:
            inside = path if path.startswith("/") else f"{self.spec['cwd']}/{path}"
            try:
                found = open_inside(self.root, inside)
            except OSError:
                continue
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
                denied = True
                continue
            with open(f"/proc/self/fd/{found}", "rb") as file:
                line = file.readline(256)
            words = line[2:].split(maxsplit=1)
            if line.startswith(b"#!") and words:
                try:
                    os.close(open_inside(self.root, os.fsdecode(words[0])))
                except OSError:
                    text = f"{path} needs an interpreter or a loader that is not there"
                    raise Failed("command", 127, text) from None
            os.close(found)
            return
        if denied:
            raise Failed("command", 126, f"{name} cannot be executed: permission denied")
        raise Failed("command", 127, f"{name} is not there{'' if '/' in name else ' in PATH'}")


def write_file(folder: int, name: str, file: FileSpec, note: Callable[[str], None]) -> None:
    """Make a small file in the directory that is open as ``folder``."""
    data, mode, uid, gid, _ = file
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), "wb") as out:
        out.write(data)
        out.flush()
        try:
            os.fchown(out.fileno(), uid, gid)
        except OSError:
            note(f"user {uid}:{gid} does not exist here: a file that should be theirs is root's")
        os.fchmod(out.fileno(), mode)


def locked_flags(path: str) -> int:
    """The flags of the mount at ``path``: a remount in a user namespace must repeat them."""
    flags = os.statvfs(path).f_flag
    same = flags & (RDONLY | NOSUID | NODEV | NOEXEC | NOATIME | NODIRATIME)
    return same | (RELATIME if flags & 4096 else 0)  # ST_RELATIME


def make_directory(root: int, spec: Spec) -> None:
    """Make the working directory for the command's user, who is to own what is made, as with BuildKit."""
    made: list[str] = []
    try:
        os.close(open_inside(root, spec["cwd"], "dir", lambda _, path: made.append(path)))
        for path in made:
            folder = open_exactly(root, path)
            os.chown(f"/proc/self/fd/{folder}", spec["uid"], spec["gid"])
            os.close(folder)
    except OSError:
        pass  # whoever enters it will see


def enter_directory(path: str) -> None:
    """Go to ``path``, made if it is missing."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chdir(path)
    except OSError as error:
        raise Failed("setup", error.errno or 0, f"the working directory {path} cannot be entered") from None


class Plain:
    """The root filesystem of a command where nothing can be mounted, and what stands in for mounts: copies.

    They lie in the root filesystem itself while the command runs (secrets too: there is no other place that it could
    see), and what was there lies aside. Afterwards the keeper puts it back.
    """

    def __init__(self, spec: Spec, note: Callable[[str], None], cleared: int) -> None:
        self.spec = spec
        self.note = note
        self.cleared = cleared
        self.stubs = Stubs()
        self.aside = f"{spec['root']}.aside-{os.getpid()}"
        self.replaced: list[Replaced] = []
        self.root = -1

    def build(self) -> None:
        """Make the copies and change the root."""
        spec = self.spec
        if spec["overlay"]:
            raise Failed("overlay", errno.EPERM, "an overlay needs a mount namespace")
        self.note("namespaces are not permitted here: the command runs in a plain chroot, without /proc and /sys")
        if spec["network"] == "none":
            self.note("no network namespace is permitted here: the command is not cut off from the network")
        self.root = os.open(spec["root"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in ("proc", "sys", "dev"):
                os.close(open_inside(self.root, name, "dir"))
            make_directory(self.root, spec)
            self.make_devices()
            files = spec["files"]
            for path in NETWORK_FILES:
                if path in files:
                    self.put_file(path, files[path])
            for mount in spec["mounts"]:
                self.put(mount)
            for path, file in files.items():
                if path not in NETWORK_FILES:
                    self.put_file(path, file)
        finally:
            import marshal

            os.write(self.cleared, marshal.dumps((self.stubs.made, self.stubs.settle(), self.replaced, self.aside)))
        os.chroot(spec["root"])
        os.chdir("/")
        enter_directory(spec["cwd"])

    def place(self, target: str, make: str, source: str = "") -> str:
        """An empty place at ``target``: its real path. What was there is laid aside."""
        known = len(self.stubs.made)
        found = open_inside(self.root, target, make, self.stubs.making)
        path = os.readlink(f"/proc/self/fd/{found}")
        inside = path[len(self.spec["root"].rstrip("/")) :].lstrip("/")
        old = ""
        if len(self.stubs.made) == known:
            self.stubs.changing(inside.rpartition("/")[0], path.rpartition("/")[0])
            os.makedirs(self.aside, 0o700, exist_ok=True)
            old = f"{self.aside}/{len(self.replaced)}"
            os.rename(path, old)
            if make == "dir":
                os.mkdir(path, 0o755)
        elif make == "file":
            os.unlink(path)
        os.close(found)
        self.replaced.append((path, old, source))
        return path

    def put(self, mount: MountSpec) -> None:
        kind, sources, target, read_only, _, mode = mount
        what = "a tmpfs" if kind == "tmpfs" else sources[0]
        try:
            if kind == "tmpfs":
                path = self.place(target, "dir")
                old = self.replaced[-1][1]
                os.chmod(path, mode or (stat.S_IMODE(os.stat(old).st_mode) if old else 0o1777))
                return
            status = os.stat(sources[0])
            if stat.S_ISDIR(status.st_mode):
                path = self.place(target, "dir", "" if read_only or kind == "overlay" else sources[0])
                for source in reversed(sources):
                    copy_into(source, path)
                copy_metadata(sources[0], path, follow=True)
            elif stat.S_ISSOCK(status.st_mode):
                os.link(sources[0], self.place(target, "file"))
            else:
                path = self.place(target, "file", "" if read_only or kind == "overlay" else sources[0])
                copy_item(sources[0], path, follow=True)
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{what} cannot be copied to {target}") from None

    def put_file(self, path: str, file: FileSpec) -> None:
        try:
            above, _, name = self.place(path, "file").rpartition("/")
            folder = os.open(above or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            write_file(folder, name, file, self.note)
            os.close(folder)
        except OSError as error:
            raise Failed("setup", error.errno or 0, f"{path} cannot be shown") from None

    def make_devices(self) -> None:
        """A /dev that is forgotten, with what can be had of the usual nodes.

        A root that is only read may be another command's at the same time: that one's own gets the nodes, for good.
        """
        if self.spec["read_only"]:
            dev = f"/proc/self/fd/{open_inside(self.root, '/dev')}"
        else:
            dev = self.place("/dev", "dir")
            os.mkdir(f"{dev}/shm")
            os.chmod(f"{dev}/shm", 0o1777)
        numbers = {name: (1, minor) for name, minor in DEVICE_NUMBERS.items()} | {"tty": (5, 0)}
        for name, number in numbers.items():
            try:
                os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666, os.makedev(*number))
                os.chmod(f"{dev}/{name}", 0o666)
            except FileExistsError:
                continue
            except OSError:
                self.note(f"/dev/{name} cannot be made here")


Replaced = tuple[str, str, str]
"""A path in the root, where that which was there lies now (empty: there was nothing), where its changes go to."""


def put_back(replaced: list[Replaced], aside: str, begun: int) -> None:
    """Undo what :class:`Plain` did, now that the command has ended."""
    for path, old, source in reversed(replaced):
        above = path.rpartition("/")[0] or "/"
        status = os.stat(above)
        if source:
            copy_back(path, source, begun)
        remove_all(path)
        if old:
            os.rename(old, path)
        os.utime(above, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        os.rmdir(aside)
    except OSError:
        pass  # nothing was there


def copy_back(path: str, source: str, begun: int) -> None:
    """Bring what a command changed in ``path``, a copy of ``source`` made at the time ``begun``, home to that."""
    if not os.path.isdir(path) or os.path.islink(path):
        if changed(path, source):
            replace(path, source)
        return
    there = set()
    with os.scandir(path) as items:
        for item in items:
            there.add(item.name)
            home = f"{source}/{item.name}"
            if item.is_dir(follow_symlinks=False):
                if not os.path.isdir(home) or os.path.islink(home):
                    remove_all(home)
                    os.mkdir(home)
                copy_back(item.path, home, begun)
                copy_metadata(item.path, home)
            elif changed(item.path, home):
                replace(item.path, home)
    with os.scandir(source) as items:
        for item in items:
            # What is newer than our copy is another's.
            if item.name not in there and item.stat(follow_symlinks=False).st_ctime_ns < begun:
                remove_all(item.path)


def changed(path: str, home: str) -> bool:
    try:
        new, old = os.lstat(path), os.lstat(home)
    except OSError:
        return True
    return (new.st_mode, new.st_size, new.st_mtime_ns, new.st_uid) != (
        old.st_mode,
        old.st_size,
        old.st_mtime_ns,
        old.st_uid,
    )


def replace(path: str, home: str) -> None:
    """Put a copy of ``path`` at ``home`` at once, as others may be reading there."""
    new = f"{home}.{os.getpid()}"
    copy_item(path, new)
    if os.path.isdir(home) and not os.path.islink(home):
        remove_all(home)
    if os.path.lexists(new):
        os.rename(new, home)


def raise_loopback() -> None:
    """Bring up ``lo`` in a new network namespace (netdevice(7))."""
    import _socket  # without its Python half, which takes long to import
    import fcntl

    any_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = b"lo".ljust(16, b"\0") + (1).to_bytes(2, sys.byteorder) + bytes(22)  # struct ifreq: IFF_UP
    fcntl.ioctl(any_socket.fileno(), 0x8914, request)  # SIOCSIFFLAGS
    any_socket.close()


# -- the inner process ------------------------------------------------------------------------------


def become(
    libc: Libc, spec: Spec, *, namespaced: bool, own: bool, status: int, terminal: bool, joined: int, cleared: int
) -> None:
    """Become the command. Does not return; raises :class:`Failed` or OSError.

    The pipe ``joined`` breaks when the keeper hears the terminal, too; ``cleared`` takes what it is to clear away.
    """

    def note(text: str) -> None:
        report(status, "note", 0, text)

    libc.call("prctl", PDEATHSIG, signal.SIGKILL)
    if terminal:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        os.read(joined, 1)  # a Ctrl-C that only process 1 hears of would be lost
    os.umask(0)
    if spec["runtime"]:
        Stage(libc, spec, note, cleared).prepare()
        become_runtime(spec["runtime"]["argv"], status)
    if namespaced:
        if spec["hostname"]:
            name = os.fsencode(spec["hostname"])
            libc.call("sethostname", name, len(name))
        if spec["network"] == "none":
            raise_loopback()
        Tree(libc, spec, note, cleared).build()
    else:
        Plain(spec, note, cleared).build()
    set_limits(spec["ulimits"], note)
    drop_privileges(libc, spec, own)
    # Changing the user forgets it.
    libc.call("prctl", PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    if not spec["randomized"]:
        try:
            libc.call("personality", libc.call("personality", KEEP_PERSONALITY) | ADDR_NO_RANDOMIZE)
        except OSError:
            pass  # a seccomp filter around us
    reset_signals()
    report(status, "exec", 0, "")
    execute(spec["argv"], spec["env"])


def become_runtime(argv: list[str], status: int) -> None:
    """Replace this process by the OCI runtime, which has to do the rest."""
    os.umask(0o022)
    reset_signals()
    os.chdir("/")
    report(status, "exec", 0, "")
    os.execv(argv[0], argv)


def reset_signals() -> None:
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # those that Python changes
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def set_limits(limits: list[tuple[str, int, int]], note: Callable[[str], None]) -> None:
    """Set resource limits; a hard one that may not be raised stays."""
    if not limits:
        return
    import resource  # from memory: main has loaded it while its file could be seen

    for name, soft, hard in limits:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise Failed("setup", 0, f"there is no ulimit {name!r}")
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError:
            most = resource.getrlimit(number)[1]
            note(f"ulimit {name}: its hard limit cannot be raised here; it stays {most}")
            resource.setrlimit(number, (soft if 0 <= soft <= most else most, most))


def drop_privileges(libc: Libc, spec: Spec, own: bool) -> None:
    """Keep what Docker would leave to this user, and nothing more."""
    capabilities = range(64) if spec["insecure"] else CAPABILITIES
    try:
        for number in range(64):
            if number not in capabilities:
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
            libc.set_capabilities(sum(1 << number for number in capabilities) & permitted())
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


def keep(pid: int, life: int, started: int, namespaced: bool, runtime: bool) -> int:
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
            number = info.si_signo
            # The terminal's own reach the command by themselves, being in the same group; so do all that go to the
            # whole group: of those only the one that Wherry passes on is meant for us.
            from_terminal = info.si_code == SI_KERNEL
            if not from_terminal and info.si_pid != os.getppid():
                continue
            target = child_of(pid) if runtime else pid
            if not target:  # the runtime is not that far, or done
                killed_by = number
                os.kill(pid, signal.SIGKILL)
                continue
            if not from_terminal:
                os.kill(target, number)
            # Process 1 is spared what it has no handler for; any other process would end.
            if namespaced and number not in HARMLESS and not has_handler(target, number):
                killed_by = number
                os.kill(target, signal.SIGKILL)
    if not namespaced:
        end_descendants()
    if killed_by and code in {-signal.SIGKILL, 128 + signal.SIGKILL if runtime else code + 1}:
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


def child_of(pid: int) -> int:
    """The child of an OCI runtime, which is the command; 0 if there is none or more."""
    pids: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                pids += map(int, file.read().split())
    except OSError:
        return 0
    return pids[0] if len(pids) == 1 else 0


def remove_group(group: str) -> None:
    """Remove the control group ``group``, if a runtime that was killed has left it; also those of other such runs."""
    above, _, name = group.rpartition("/")
    try:
        with open("/proc/self/cgroup") as file:
            ours = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for _, controllers, path in ours:
        hierarchy = controllers.removeprefix("name=")
        tops = [f"/sys/fs/cgroup/{hierarchy}"] if hierarchy else ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        for top in tops:
            folder = top + above if group.startswith("/") else f"{top}{path.rstrip('/')}/{above}".rstrip("/")
            try:
                found = [item for item in os.listdir(folder) if item.startswith("wherry-")]
            except OSError:
                continue
            for item in found:
                owner = item.split("-")[1]
                if item == name or not os.path.exists(f"/proc/{owner}"):
                    try:
                        os.rmdir(f"{folder}/{item}")
                    except OSError:
                        pass  # something runs there, or it is gone already


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


def load(spec_file: int) -> Spec:
    """Read the spec, and load what it needs while this machine's files can be seen."""
    import marshal

    with open(spec_file, "rb") as file:
        spec: Spec = marshal.load(file)
    if spec["runtime"]:
        for field in ("group", "config"):
            spec["runtime"][field] = spec["runtime"][field].replace(GROUP, GROUP.replace("KEEPER", str(os.getpid())))
    if spec["ulimits"]:
        import resource  # noqa: F401
    return spec


def main(spec_file: int, status: int, life: int) -> int:
    """Carry out the spec; gives the exit code of the keeper."""
    for descriptor in (spec_file, status, life):
        os.set_inheritable(descriptor, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, WAITED)
    spec = load(spec_file)
    libc = Libc()
    try:
        own = needs_user_namespace()
        namespaced = unshared(libc, spec)
        if not namespaced:
            libc.call("prctl", SUBREAPER, 1, 0, 0, 0)
        terminal = owns_terminal()
        started, starting = os.pipe()
        joined, joining = os.pipe()
        cleared = os.memfd_create("cleared")
        begun = time_now()
        pid = os.fork()
        if pid == 0:
            os.close(started)
            os.close(joining)
            os.close(life)
            become(
                libc,
                spec,
                namespaced=namespaced,
                own=own,
                status=status,
                terminal=terminal,
                joined=joined,
                cleared=cleared,
            )
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
    let_go_of_streams()
    code = keep(pid, life, started, namespaced, bool(spec["runtime"]))
    clear_away(spec, cleared, begun)
    if spec["runtime"] and spec["runtime"]["group"]:
        remove_group(spec["runtime"]["group"])
    if terminal:
        try:
            os.tcsetpgrp(screen, group)
        except OSError:
            pass  # the terminal is gone
    return code


def clear_away(spec: Spec, cleared: int, begun: int) -> None:
    """Clear away what the inner process has made for mounts."""
    import marshal

    os.lseek(cleared, 0, os.SEEK_SET)
    with open(cleared, "rb") as file:
        data = file.read()
    if not data:
        return
    made, above, *plain = marshal.loads(data)
    try:
        if plain:
            put_back(plain[0], plain[1], begun)
        if spec["overlay"]:
            clear(f"{spec['overlay'][1]}/upper", made, above, upper=True)
        else:
            clear(spec["root"], made, above, upper=False)
    except OSError:
        pass  # it is gone, or no longer ours


def let_go_of_streams() -> None:
    """A pipe must end when the command closes it."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def time_now() -> int:
    import time

    return time.time_ns()


def owns_terminal() -> bool:
    """Whether the command is alone with a terminal, which then is its own: Ctrl-C and job control happen in there."""
    try:
        return all(os.isatty(number) for number in (0, 1, 2)) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def begin() -> None:
    """Be the child: the arguments are the numbers of the descriptors SPEC, STATUS and LIFE."""
    os._exit(main(*map(int, sys.argv[1:4])))

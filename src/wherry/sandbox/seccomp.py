"""The system calls that a command run by an OCI runtime is refused, in the spirit of Docker's default profile.

Docker lists what is allowed, some 360 names; compiling that takes runc longer than all the rest of a start. Here is
what Docker's list leaves out: all else is allowed.
"""

from __future__ import annotations

import os

from wherry.image.json import Json

_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "armv7l": ("SCMP_ARCH_ARM",),
    "i686": ("SCMP_ARCH_X86",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}

_REFUSED = """
    acct add_key bpf clock_adjtime clock_adjtime64 clock_settime clock_settime64 create_module delete_module
    fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module io_uring_enter
    io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mount
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pivot_root quotactl
    quotactl_fd query_module reboot request_key setdomainname sethostname setns settimeofday stime swapoff swapon
    syslog _sysctl sysfs umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""

_NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW…
_REFUSED_FAMILIES = (38, 40)  # AF_ALG, AF_VSOCK
_EPERM, _ENOSYS = 1, 38


def profile() -> Json:
    """The ``linux.seccomp`` of a runtime's configuration; None where the architecture is unknown."""
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        return None
    flags = 1 if machine == "s390x" else 0  # which argument of clone(2) has them

    def refuse(names: list[str], number: int, index: int | None = None, value: int = 0, mask: bool = False) -> Json:
        rule: dict[str, Json] = {"names": list[Json](names), "action": "SCMP_ACT_ERRNO", "errnoRet": number}
        if index is not None:
            compare: dict[str, Json] = {"index": index, "value": value, "op": "SCMP_CMP_EQ"}
            if mask:
                compare |= {"valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            rule["args"] = [compare]
        return rule

    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": list(_ARCHITECTURES[machine]),
        "syscalls": [
            refuse(_REFUSED.split(), _EPERM),
            # A filter cannot see what clone3 is asked for: programs then fall back to clone.
            refuse(["clone3"], _ENOSYS),
            *(refuse(["clone"], _EPERM, flags, value, mask=True) for value in _NEW_NAMESPACES),
            *(refuse(["socket"], _EPERM, 0, family) for family in _REFUSED_FAMILIES),
        ],
    }

"""What a target accepts: its wheel tags, best first, its marker environment, and uv's name for it.

Everything is computed from the :class:`~wherry.target.Target` alone, so that the host's own system, C library
and Python have no say (PEP 425, 508, 600, 656).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.target import Target

if TYPE_CHECKING:
    from packaging.tags import Tag

_MACHINES = {
    ("amd64", ""): "x86_64",
    ("arm64", ""): "aarch64",
    ("386", ""): "i686",
    ("arm", "v7"): "armv7l",
    ("arm", "v6"): "armv6l",
    ("loong64", ""): "loongarch64",
}
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_UV_GLIBC = (40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17)  # glibc 2.N that `uv --python-platform` knows
_UV_MACHINES = {"x86_64", "aarch64"}


def machine(target: Target) -> str:
    """The processor in the kernel's words (``uname -m``), as wheel tags and markers have it."""
    platform = target.platform
    known = _MACHINES.get((platform.architecture, platform.variant)) or _MACHINES.get((platform.architecture, ""))
    return known or platform.architecture


@lru_cache(maxsize=8)
def tags(target: Target) -> tuple[Tag, ...]:
    """The tags of wheels that run on ``target``, the most specific first."""
    from packaging.tags import compatible_tags, cpython_tags

    version = _release(target)[:2]
    interpreter = f"cp{version[0]}{version[1]}"
    platforms = list(_platforms(target))
    return (
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    )


def environment(target: Target) -> dict[str, str]:
    """The marker environment of ``target`` (PEP 508)."""
    full = target.interpreter.version
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": machine(target),
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "platform_python_implementation": "CPython",
        "python_version": target.interpreter.minor,
        "sys_platform": "linux",
    }


def uv_platform(target: Target) -> str:
    """The ``--python-platform`` of uv that is nearest to ``target`` from below.

    Raises :class:`UsageError` for processors that uv cannot resolve for.
    """
    name = machine(target)
    if name == "riscv64" and target.libc.family == "glibc":
        return "riscv64-unknown-linux"
    if name not in _UV_MACHINES:
        raise UsageError(
            f"uv cannot resolve requirements for {target.platform}",
            hint="Give the project a lock that covers it: pylock.toml or uv.lock.",
        )
    if target.libc.family == "musl":
        return f"{name}-unknown-linux-musl"
    minor = next((known for known in _UV_GLIBC if known <= target.libc.minor), _UV_GLIBC[-1])
    return f"{name}-manylinux_2_{minor}"


def uv_version(target: Target) -> str:
    """The target's Python as uv's ``--python-version`` takes it: without a pre-release suffix."""
    return ".".join(str(number) for number in _release(target))


def _release(target: Target) -> tuple[int, ...]:
    from packaging.version import Version

    return Version(target.interpreter.version).release


def _platforms(target: Target) -> Iterator[str]:
    libc, name = target.libc, machine(target)
    if libc.family == "musl":
        for minor in range(libc.minor, -1, -1):
            yield f"musllinux_{libc.major}_{minor}_{name}"
    else:
        oldest = 5 if name in {"x86_64", "i686"} else 17
        for minor in range(libc.minor, oldest - 1, -1):
            yield f"manylinux_{libc.major}_{minor}_{name}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{name}"
    yield f"linux_{name}"

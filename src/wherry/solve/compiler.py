"""Who makes the bytecode: the base's own Python if it can run here, else its twin, else one of this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wherry.events import Task
from wherry.image import Platform
from wherry.solve.image import base_image, facts_of
from wherry.solve.rootfs import interpreter_launcher
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.sources.base import is_debian
from wherry.target import Interpreter

if TYPE_CHECKING:
    from wherry.wheels.bytecode import Compiler, Launch


@contextmanager
def open_compiler(snapshot: Snapshot, work: Work, task: Task) -> Iterator[Compiler | None]:
    """A compiler for the stage's Python; None, with a note to the user, if there is none to be had.

    The first choice gives the same bytecode on every machine. A Python of this machine with the same
    feature version makes bytecode that works as well, but it may differ in a byte.
    """
    from wherry.wheels.bytecode import Compiler

    interpreter = target_of(snapshot).interpreter
    launch, reason = _own(snapshot, work, task)
    version, maker = interpreter.version, ""
    if launch is None:
        launch, version = _of_this_machine(interpreter)
        maker = "host"
    if launch is None:
        work.reporter.note(
            f"no bytecode: the base's Python {interpreter.version} cannot run here ({reason}), and this machine has "
            f"no Python {interpreter.minor}. The image works, its first start is slower."
        )
        yield None
        return
    with Compiler(launch, version, maker=maker) as compiler:
        yield compiler


def _own(snapshot: Snapshot, work: Work, task: Task) -> tuple[Launch | None, str]:
    """The base's own interpreter in the sandbox, or that of the same base for this machine's processor."""
    target = target_of(snapshot)
    image, interpreter = snapshot.base, target.interpreter
    if target.platform != Platform.native() and is_debian(snapshot.origin.source):
        twin = base_image(snapshot.origin, Platform.native(), work, task)
        if interpreter in facts_of(twin, work).interpreters:  # the same version: it makes the same bytecode
            image = twin
    return interpreter_launcher(image, interpreter, work.store)


def _of_this_machine(interpreter: Interpreter) -> tuple[Launch | None, str]:
    """An interpreter of this machine with the same feature version, and its full version."""
    import shutil

    from wherry.wheels.bytecode import host_launch

    own = ".".join(map(str, sys.version_info[:3]))
    if sys.implementation.name == "cpython" and own.startswith(f"{interpreter.minor}."):
        return host_launch(sys.executable), own
    found = shutil.which(f"python{interpreter.minor}")
    if found is None:
        return None, ""
    script = "import platform; print(platform.python_implementation(), platform.python_version())"
    try:
        said = subprocess.run([found, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None, ""
    implementation, _, version = said.stdout.strip().partition(" ")
    return (host_launch(found), version) if implementation == "CPython" else (None, "")

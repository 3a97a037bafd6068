"""Runs a command in a root filesystem, by an OCI runtime or the built-in sandbox; as root or as an ordinary user.

A :class:`Sandbox` starts a :class:`Command` in a directory or an :class:`Overlay`. The host is left as it was:
mounts, processes and overlays end with the command, and the command with us.
"""

from wherry.sandbox.builtin import BuiltinSandbox
from wherry.sandbox.command import (
    Command,
    CommandError,
    File,
    Mount,
    Network,
    Overlay,
    OverlayError,
    Root,
    Sandbox,
    SandboxError,
    Ulimit,
)
from wherry.sandbox.finding import Isolation, find_sandbox
from wherry.sandbox.oci import OciSandbox
from wherry.sandbox.userns import Namespace, enter_user_namespace
from wherry.sandbox.users import User, find_user

__all__ = [
    "BuiltinSandbox",
    "Command",
    "CommandError",
    "File",
    "Isolation",
    "Mount",
    "Namespace",
    "Network",
    "OciSandbox",
    "Overlay",
    "OverlayError",
    "Root",
    "Sandbox",
    "SandboxError",
    "Ulimit",
    "User",
    "enter_user_namespace",
    "find_sandbox",
    "find_user",
]

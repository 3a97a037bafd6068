"""Runs a command in a root filesystem: the built-in sandbox, made of Linux namespaces, as root or as an ordinary user.

A :class:`Sandbox` starts a :class:`Command` in a directory or an :class:`Overlay`. The host is left as it was:
mounts, processes and overlays end with the command, and the command with us.
"""

from wherry.sandbox.builtin import BuiltinSandbox
from wherry.sandbox.command import (
    Command,
    CommandError,
    Mount,
    Network,
    Overlay,
    OverlayError,
    Root,
    Sandbox,
    SandboxError,
)
from wherry.sandbox.userns import Namespace, enter_user_namespace
from wherry.sandbox.users import User, find_user

__all__ = [
    "BuiltinSandbox",
    "Command",
    "CommandError",
    "Mount",
    "Namespace",
    "Network",
    "Overlay",
    "OverlayError",
    "Root",
    "Sandbox",
    "SandboxError",
    "User",
    "enter_user_namespace",
    "find_user",
]

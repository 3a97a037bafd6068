"""Wherry builds container images of Python applications.

This module is the public API; every command is a thin caller of it. ``wherry.build("project", names=["hello"])``
does what ``wherry build -t hello project`` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.api import (
        BaseImage,
        BuildResult,
        DockerfileRequest,
        Options,
        Platform,
        ProjectOptions,
        build,
        dockerfile,
        images,
        init,
        plans,
        prune,
        remove,
        run,
    )
    from wherry.distribution import Transferred, copy, login, logout, pull, push
    from wherry.errors import WherryError
    from wherry.locking import Locked, check_lock, lock
    from wherry.opening import default_store, find, open_store
    from wherry.running import RunOptions
    from wherry.version import VERSION as __version__  # noqa: N811

__all__ = [
    "BaseImage",
    "BuildResult",
    "DockerfileRequest",
    "Locked",
    "Options",
    "Platform",
    "ProjectOptions",
    "RunOptions",
    "Transferred",
    "WherryError",
    "__version__",
    "build",
    "check_lock",
    "copy",
    "default_store",
    "dockerfile",
    "find",
    "images",
    "init",
    "lock",
    "login",
    "logout",
    "open_store",
    "plans",
    "prune",
    "pull",
    "push",
    "remove",
    "run",
]

_ELSEWHERE = {
    **{name: ("wherry.distribution", name) for name in ("Transferred", "copy", "login", "logout", "pull", "push")},
    **{name: ("wherry.locking", name) for name in ("Locked", "check_lock", "lock")},
    **{name: ("wherry.opening", name) for name in ("default_store", "find", "open_store")},
    "RunOptions": ("wherry.running", "RunOptions"),
    "WherryError": ("wherry.errors", "WherryError"),
    "__version__": ("wherry.version", "VERSION"),
}


def __getattr__(name: str) -> object:
    # Imported on first use: `wherry --version` should not wait for a builder.
    if name not in __all__:
        raise AttributeError(f"module 'wherry' has no attribute {name!r}")
    module, attribute = _ELSEWHERE.get(name, ("wherry.api", name))
    return getattr(import_module(module), attribute)

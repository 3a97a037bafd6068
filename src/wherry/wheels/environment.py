"""The virtual environment itself: where it is, and what an empty one holds (PEP 405)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname

from wherry.errors import UsageError
from wherry.layers.entry import Entry, parents
from wherry.target import Interpreter


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment at ``prefix`` (an absolute path in the image) for ``interpreter``.

    Paths of files in layers are relative to the image's root, as :class:`~wherry.layers.entry.Entry` has them.
    """

    interpreter: Interpreter
    prefix: str = "/opt/venv"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(/[^/\0]+)+", self.prefix) or not {".", ".."}.isdisjoint(self.prefix.split("/")):
            raise UsageError(
                f"{self.prefix!r} cannot be a virtual environment", hint="Give an absolute path such as /opt/venv."
            )

    @property
    def root(self) -> str:
        """``prefix`` as a path in a layer."""
        return self.prefix[1:]

    @property
    def python(self) -> str:
        """The interpreter that scripts name in their first line."""
        return f"{self.prefix}/bin/python"

    @property
    def site_packages(self) -> str:
        """The folder of modules, as a path in a layer."""
        return f"{self.root}/lib/python{self.interpreter.minor}/site-packages"


def skeleton(environment: Environment, epoch: int) -> Iterator[tuple[Entry, bytes]]:
    """The entries of an empty virtual environment, with the folders above it, sorted by path.

    ``epoch`` is every entry's time in seconds since 1970.
    """
    root = environment.root
    dirs = {*parents(root), root, *(f"{root}/{path}" for path in folders_of(environment))}
    links = {f"{root}/{path}": link for path, link in links_of(environment).items()}
    config = configuration(environment).encode()
    entries = [Entry(path, "dir", 0o755, mtime=epoch) for path in dirs]
    entries += [Entry(path, "symlink", 0o777, link=link, mtime=epoch) for path, link in links.items()]
    entries.append(Entry(f"{root}/pyvenv.cfg", "file", 0o644, len(config), mtime=epoch))
    for entry in sorted(entries, key=lambda entry: entry.path):
        yield entry, config if entry.kind == "file" else b""


def folders_of(environment: Environment) -> frozenset[str]:
    """The folders of the environment, relative to its prefix."""
    minor = environment.interpreter.minor
    return frozenset({"bin", "include", "lib", f"lib/python{minor}", f"lib/python{minor}/site-packages"})


def links_of(environment: Environment) -> Mapping[str, str]:
    """The symbolic links of the environment, relative to its prefix, with their targets."""
    minor = environment.interpreter.minor
    return {
        "bin/python": environment.interpreter.executable,
        "bin/python3": "python",
        f"bin/python{minor}": "python",
        "lib64": "lib",
    }


def configuration(environment: Environment) -> str:
    """The text of pyvenv.cfg."""
    executable = environment.interpreter.executable
    return (
        f"home = {dirname(executable)}\n"
        "include-system-site-packages = false\n"
        f"version = {environment.interpreter.version}\n"
        f"executable = {executable}\n"
    )

"""Says hello, and where from."""

import getpass
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in this image
        return "nobody we know"


def system() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"')
    return platform.system()


facts = Table.grid(padding=(0, 2))
facts.add_row("Python", f"{platform.python_version()} on {platform.machine()}")
facts.add_row("Environment", sys.prefix)
facts.add_row("Distributions", ", ".join(sorted(f"{found.name} {found.version}" for found in distributions())))
facts.add_row("System", system())
facts.add_row("User", user())
facts.add_row("Folder", str(Path.cwd()))

Console(width=None if sys.stdout.isatty() else 80).print(Panel(facts, title="Hello from a wherry", expand=False))

"""Makes docs/build.svg, the README's picture: a real build in a real terminal (tmux's), as it stood at the end.

Run it with the environment's Python: ``.venv/bin/python docs/picture.py``. It needs tmux.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
WIDTH = 92
COMMANDS = ("wherry build -t hello .", "wherry run hello")


def main() -> None:
    """Type the commands in a terminal of its own and draw what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        socket = ["tmux", "-S", f"{folder}/tmux", "-f", "/dev/null"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "WHERRY_STORE": f"{folder}/store", "PATH": path, "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        shell = ["new-session", "-d", "-x", str(WIDTH), "-y", "60", "-c", str(ROOT / "examples" / "hello")]
        subprocess.run([*socket, *shell, "bash", "--norc", "--noprofile"], env=environment, check=True)
        try:
            _settle(socket)
            for command in COMMANDS:
                subprocess.run([*socket, "send-keys", command, "Enter"], check=True)
                _settle(socket)
            screen = subprocess.run([*socket, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True)
        finally:
            subprocess.run([*socket, "kill-server"], check=False)
    lines = screen.stdout.rstrip().splitlines()[:-1]  # without the prompt that waits
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines)))
    picture = console.export_svg(title="wherry")
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # nothing to be fetched by who looks
    (ROOT / "docs" / "build.svg").write_text(picture)


def _settle(socket: list[str]) -> None:
    """Wait until the shell's prompt is back."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        time.sleep(0.3)
        show = [*socket, "display-message", "-p", "#{pane_current_command}"]
        if subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip() == "bash":
            return
    raise SystemExit("the command does not end")


if __name__ == "__main__":
    main()

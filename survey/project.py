"""The project that requires one distribution: requirements.txt, main.py and, to build it from source, wherry.toml."""

from __future__ import annotations

import json
from pathlib import Path

from survey.distributions import Distribution

_MAIN = '''\
"""Import what was installed, and say what was loaded."""

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

NAME = {name}
IMPORTS = {imports}
PURE = {pure}
COMMAND = {command}

found = importlib.metadata.distribution(NAME)
pure = PURE and "none-any" in (found.read_text("WHEEL") or "")
for module in PURE if pure else IMPORTS:
    importlib.import_module(module)
said = ""
if COMMAND:
    path = Path(sys.prefix, "bin", COMMAND[0])
    said = subprocess.run([path, *COMMAND[1:]], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
files = {{str(found.locate_file(file)) for file in found.files or () if ".so" in file.name}}
paths = {{getattr(module, "__file__", None) for module in list(sys.modules.values())}}
print()
print(json.dumps({{"version": found.version, "loaded": len(files & paths), "said": said}}))
'''


def write_project(folder: Path, distribution: Distribution, *, source: bool) -> None:
    """Write the project of ``distribution`` into ``folder``; with ``source`` it is not to be taken as a wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in (distribution.name, *distribution.more)))
    words = {"imports": distribution.imports, "pure": distribution.pure, "command": distribution.command}
    texts = {what: json.dumps(some) for what, some in words.items()}
    (folder / "main.py").write_text(_MAIN.format(name=json.dumps(distribution.name), **texts))
    settings = folder / "wherry.toml"
    settings.unlink(missing_ok=True)
    if source and distribution.sdist is not None:
        lines = [f"no-binary = {json.dumps([distribution.name])}"]
        lines += [f"build-packages = {json.dumps(list(distribution.sdist.packages))}"]
        if distribution.sdist.environment:
            lines += ["", "[build-env]"]
            lines += [f"{name} = {json.dumps(text)}" for name, text in distribution.sdist.environment.items()]
        settings.write_text("\n".join(lines) + "\n")

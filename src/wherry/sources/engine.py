"""The Docker or Podman of this machine, through its own client."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wherry.children import tended
from wherry.errors import WherryError

_PATIENCE = 15  # seconds for a client to say whether it has a daemon
_CHOSEN = ("DOCKER_HOST", "DOCKER_CONTEXT")
_FILE = "use a file instead: -o type=docker,dest=FILE in a build, docker-archive:FILE in a copy."


@dataclass(frozen=True, slots=True)
class Engine:
    """A client that answers: ``name`` is docker or podman, ``path`` its program."""

    name: str
    path: str


def find_engine(environment: Mapping[str, str] | None = None) -> Engine:
    """Docker if its daemon answers, else Podman; Docker alone where DOCKER_HOST or DOCKER_CONTEXT choose one.

    Raises :class:`WherryError` that says what each answered.
    """
    environment = os.environ if environment is None else environment
    chosen = next((name for name in _CHOSEN if environment.get(name)), None)
    answers = []
    for name in ("docker",) if chosen else ("docker", "podman"):
        path = shutil.which(name, path=environment.get("PATH"))
        if path is None:
            answers.append(f"{name}: not installed")
            continue
        answer = _ask(Engine(name, path), environment)
        if answer is None:
            return Engine(name, path)
        answers.append(f"{name}: {answer}")
    hint = f"Check {chosen}, or {_FILE}" if chosen else f"Start Docker, install podman, or {_FILE}"
    raise WherryError("neither Docker nor Podman answers:\n  " + "\n  ".join(answers), hint=hint)


def _ask(engine: Engine, environment: Mapping[str, str]) -> str | None:
    """What speaks against ``engine``; None if it works."""
    import subprocess

    # Docker's client needs its daemon for this question, Podman for none.
    question = "{{.Server.Version}}" if engine.name == "docker" else "{{.Client.Version}}"
    try:
        result = subprocess.run(
            [engine.path, "version", "--format", question],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_PATIENCE} seconds"
    except OSError as error:
        return error.strerror or str(error)
    if result.returncode == 0:
        return None
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return " ".join(lines).strip() or f"exit code {result.returncode}"


def save(engine: Engine, name: str, path: Path, environment: Mapping[str, str] | None = None) -> None:
    """Write the image that ``engine`` calls ``name`` to ``path``, as ``docker save`` does.

    Raises :class:`WherryError` with the engine's own words if it does not.
    """
    import subprocess

    words = [engine.path, "save", name]
    with path.open("wb") as file, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=log, start_new_session=True
        )
        with tended(process):
            code = process.wait()
        if code:
            said = "\n  ".join(lines(log)) or f"exit code {code}"
            hint = f"`{engine.name} images` lists what it has."
            raise WherryError(f"{engine.name} does not give {name}: {said}", hint=hint)


def lines(log: IO[bytes]) -> list[str]:
    """What a client has written to ``log``."""
    log.seek(0)
    text = log.read(1 << 16).decode("utf-8", "replace")
    # Progress bars redraw their line: what stands there in the end counts.
    return [line.rpartition("\r")[2].strip() for line in text.splitlines() if line.strip()]

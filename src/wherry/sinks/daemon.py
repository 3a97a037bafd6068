"""``--load``: an image into the Docker or Podman of this machine, through its own client."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from wherry.errors import WherryError

if TYPE_CHECKING:
    import subprocess

_PATIENCE = 15  # seconds for a client to say whether it has a daemon
_CHOSEN = ("DOCKER_HOST", "DOCKER_CONTEXT")
_HINT = "Start Docker, install podman, or write a file with -o type=docker,dest=FILE."


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
    hint = f"Check {chosen}, or write a file with -o type=docker,dest=FILE." if chosen else _HINT
    raise WherryError("no Docker or Podman to load the image into:\n  " + "\n  ".join(answers), hint=hint)


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


@contextmanager
def loading(engine: Engine, environment: Mapping[str, str] | None = None) -> Iterator[tuple[IO[bytes], list[str]]]:
    """A stream into ``docker load``, and the lines that it says, there after the block.

    An error in the block ends the load. Raises :class:`WherryError` with the engine's own words if it refuses.
    """
    import subprocess

    said: list[str] = []
    with tempfile.TemporaryFile() as log:  # a file does not fill up as a pipe would
        process = subprocess.Popen(
            [engine.path, "load"], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
        assert process.stdin is not None
        broken = False
        try:
            yield process.stdin, said
            process.stdin.close()
        except BrokenPipeError:  # it has gone; its words say why
            broken = True
        except BaseException:
            _end(process)
            raise
        code = process.wait()
        lines = _lines(log)
        if code or broken:
            _drop(process.stdin)
            raise WherryError(
                f"{engine.name} load failed: " + ("\n  ".join(lines) or f"exit code {code}"),
                hint="The image is in the store; it can be written to a file with -o type=docker,dest=FILE.",
            )
        said += lines


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        _drop(process.stdin)


def _drop(stream: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone."""
    with suppress(BrokenPipeError):
        stream.close()


def _lines(log: IO[bytes]) -> list[str]:
    log.seek(0)
    text = log.read(1 << 16).decode("utf-8", "replace")
    # Progress bars redraw their line: what stands there in the end counts.
    return [line.rpartition("\r")[2].strip() for line in text.splitlines() if line.strip()]

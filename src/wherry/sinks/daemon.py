"""``--load``: an image into the Docker or Podman of this machine, through its own client."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from wherry.errors import WherryError
from wherry.sources.engine import Engine, find_engine, lines

if TYPE_CHECKING:
    import subprocess

__all__ = ["Engine", "find_engine", "loading"]


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
        words = lines(log)
        if code or broken:
            _drop(process.stdin)
            raise WherryError(
                f"{engine.name} load failed: " + ("\n  ".join(words) or f"exit code {code}"),
                hint="The image is in the store; it can be written to a file with -o type=docker,dest=FILE.",
            )
        said += words


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        _drop(process.stdin)


def _drop(stream: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone."""
    with suppress(BrokenPipeError):
        stream.close()

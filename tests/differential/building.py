"""A case made into folders and a command line, and built: by Docker, and by wherry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.differential import recording
from tests.differential.case import Case, write
from tests.differential.engines import Engine
from tests.differential.recording import Outcome
from tests.differential.server import PLACEHOLDER

if TYPE_CHECKING:
    from tests.conftest import Wherry

RESULT = "wherry.test/result"
Rename = Callable[[Path], str]


def prepare(case: Case, folder: Path, server: str) -> Path:
    """Write the case's contexts and secrets below ``folder``; gives the build context."""
    context = context_of(folder)
    write(case.context, context)
    text = case.dockerfile.encode() if isinstance(case.dockerfile, str) else case.dockerfile
    file = context / case.file
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.replace(PLACEHOLDER.encode(), server.encode()))
    for name, tree in case.contexts.items():
        if not isinstance(tree, str):
            write(tree, context_of(folder, name))
    for name, secret in case.secrets.items():
        (folder / f"secret-{name}").write_text(secret)
    return context


def context_of(folder: Path, name: str = "") -> Path:
    """Where a context is. No two have the same name: BuildKit takes files of equal name, size and time in a
    folder of a name that it has seen to be those that it has.
    """
    return folder / f"context-{name.replace('/', '-')}-{folder.name}"


def arguments(case: Case, folder: Path, server: str, seen: Rename = str) -> list[str]:
    """The words of the command line after ``build``, but for the name; ``seen`` is what the command calls a path."""
    context = context_of(folder)
    words = []
    if case.file != "Dockerfile":
        words += ["-f", seen(context / case.file)]
    for argument in case.args:
        words += ["--build-arg", argument]
    if case.target:
        words += ["--target", case.target]
    for name, value in case.contexts.items():
        words += ["--build-context", f"{name}={value if isinstance(value, str) else seen(context_of(folder, name))}"]
    for name in case.secrets:
        words += ["--secret", f"id={name},src={seen(folder / f'secret-{name}')}"]
    words += [word.replace(PLACEHOLDER, server) for word in case.options]
    return [*words, seen(context)]


class EngineEnded(Exception):
    """The engine has crashed on a case; there are some that old ones do not survive."""


def build_with_docker(case: Case, engine: Engine, folder: Path, server: str) -> Outcome:
    """What Docker makes of the case."""
    prepare(case, folder, server)
    words = arguments(case, folder, server, engine.inside)
    options = ("--progress=plain", "--network=host", "--no-cache", "-t", RESULT)
    result = engine("build", *options, *words, env=dict(case.env))
    if b"cannot connect to the docker daemon" in result.stderr.lower():
        raise EngineEnded
    if result.returncode:
        return recording.refusal(result.stderr.decode(errors="replace"), case, server)
    archive = engine.ok("save", RESULT)
    engine.ok("rmi", RESULT)
    return recording.outcome_of(archive, case, server)


def build_with_wherry(case: Case, wherry: Wherry, folder: Path, server: str) -> tuple[Outcome, str]:
    """What the command makes of the case, and all that it says."""
    prepare(case, folder, server)
    command = replace(wherry, env={**wherry.env, **case.env})
    archive = folder / "image.tar"
    # Files of another time are the same to the cache: what other cases have built must not come in.
    words = ["build", "--progress=plain", "--no-cache", "-t", RESULT, "-o", f"type=docker,dest={archive}"]
    result = command(*words, *arguments(case, folder, server), timeout=60)
    said = result.stdout + result.stderr
    if result.returncode:
        return recording.refusal(result.stderr, case, server), said
    return recording.outcome_of(archive, case, server), said

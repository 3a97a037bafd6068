"""Running uv: the binary of the ``uv`` distribution, with this store's cache and nothing of the terminal's.

What uv says when it fails becomes one of our errors, in as few lines as tell the whole.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import NetworkError, Place, UsageError, WherryError
from wherry.store import Store
from wherry.wheels.indexes import Settings, redact

if TYPE_CHECKING:
    from wherry.events import Task

_KEPT = 4000  # lines of a command's output that an error may quote from
_LONG = 600  # characters of reasoning that nobody reads to the end
_REFUSED = ("401 unauthorized", "403 forbidden", "lack of valid authentication", "missing credentials")
_UNREACHABLE = (
    "error sending request",
    "dns error",
    "connection refused",
    "request failed after",
    "failed to fetch",
    "client error (connect)",
    "timed out",
)
_UNDEFINED = (
    (r"(?:Requested extra not found: |Extra `)([^`\s]+)", "extra", "[project.optional-dependencies]"),
    (r"(?:[Gg]roup [`'])([^`']+)[`'] (?:was not found|is not defined)", "dependency group", "[dependency-groups]"),
)
_DECORATION = re.compile(r"^[\s×│├╰─▶╭·]+")


class UvFailed(Exception):
    """uv ended with an error; ``output`` is what it said, without credentials."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


def uv_binary() -> str:
    """The path of the uv executable, that of our own dependency first."""
    import shutil

    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        if found := shutil.which("uv"):
            return found
    raise WherryError("uv is not installed", hint="It comes with wherry: install wherry again with pip or uv.")


def uv_identity() -> str:
    """A text that changes with the uv that is installed; cheap, as every build asks for it."""
    binary = uv_binary()
    status = Path(binary).stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def run_uv(
    arguments: Sequence[str],
    *,
    store: Store,
    settings: Settings,
    cwd: Path,
    offline: bool,
    stdin: str = "",
    environment: dict[str, str] | None = None,
    task: Task | None = None,
) -> str:
    """Run uv in ``cwd``; gives its standard output. Lines of its standard error go to ``task``.

    Raises :class:`UvFailed`.
    """
    import os
    import subprocess

    from wherry.children import tended

    command = [uv_binary(), *arguments, "--color", "never", "--no-progress", *(["--offline"] if offline else [])]
    env = {
        **settings.environment,
        **(environment or {}),
        "UV_CACHE_DIR": str(store.path / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",  # asked for a version that the host lacks, uv would look for one to install
        "NO_COLOR": "1",
    }
    said: deque[str] = deque(maxlen=_KEPT)
    answer = store.scratch() / f"uv-{os.urandom(8).hex()}"
    try:
        with (
            answer.open("wb") as output,
            subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.PIPE,
                start_new_session=True,
            ) as process,
            tended(process),
        ):
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(stdin.encode())
            process.stdin.close()
            for raw in process.stderr:
                line = redact(raw.decode(errors="replace").rstrip())
                said.append(line)
                if task is not None:
                    task.output(line)
            code = process.wait()
        if code != 0:
            raise UvFailed("\n".join(said))
        return answer.read_text(encoding="utf-8")
    except OSError as error:
        raise WherryError(f"uv cannot be run: {error}") from error
    finally:
        answer.unlink(missing_ok=True)


def python_options() -> list[str]:
    """The interpreter that uv runs backends with: ours. (UV_PYTHON would not keep it from searching for others.)"""
    return ["--python", sys.executable] if sys.executable else []


def explained(output: str, *, what: str, context: Path, offline: bool = False) -> WherryError:
    """uv's complaint about ``what`` (a file) as our error."""
    problem, hints = _essence(output)
    low = output.lower()
    if place := _place(output, context):
        return UsageError(_reading(problem), place=place)
    if lost := re.search(r"Distribution not found at: (\S+)", output):
        return UsageError(
            f"{what} names a file or project that is not there: {_relative(lost[1], context)}",
            hint="Correct the path; relative ones start at the project's folder.",
        )
    for pattern, thing, table in _UNDEFINED:
        if found := re.search(pattern, output):
            return UsageError(f"{what} has no {thing} {found[1]!r}", hint=f"Those that it has are in {table}.")
    unknown = re.search(r"Because (\S+) was not found in the (?:package registry|provided package locations)", output)
    lacking = re.search(r"Because there (?:is no version|are no versions) of (\S+) and you require", output)
    rules: tuple[tuple[bool, type[WherryError], str, str], ...] = (
        (
            "network was disabled" in low or "network connectivity is disabled" in low,
            NetworkError,
            f"{what} cannot be resolved with --offline",
            "Build once without --offline; what that fetches is kept.",
        ),
        (
            "build backend returned an error" in low,
            WherryError,
            f"the backend of a local project that {what} names cannot tell what it requires",
            "`uv build --wheel` in its folder shows the whole output.",
        ),
        (
            _says(low, _REFUSED),
            NetworkError,
            f"an index refused access while resolving {what}",
            "Put credentials into netrc or into the index's URL.",
        ),
        (
            "certificate" in low and _says(low, ("invalid", "unknown", "verif")),
            NetworkError,
            f"an index's certificate is not trusted while resolving {what}",
            "Behind an intercepting proxy, name its certificates in SSL_CERT_FILE.",
        ),
        (
            _says(low, _UNREACHABLE),
            NetworkError,
            f"the index cannot be reached to resolve {what}",
            "Check the network, the proxy and the index settings; with --offline what is cached serves.",
        ),
        (
            unknown is not None,
            WherryError,
            f"{unknown[1] if unknown else ''}, required by {what}, does not exist in the package index",
            "Check its spelling, and whether it needs another index (--extra-index-url).",
        ),
        (
            lacking is not None,
            WherryError,
            f"there is no {lacking[1] if lacking else ''}, required by {what}, in the package index",
            " ".join(hints) or "Require a version that exists.",
        ),
        (
            "no solution found" in low,
            WherryError,
            f"the requirements of {what} cannot be satisfied together",
            " ".join(hints) or "Change the version of one of them.",
        ),
    )
    for applies, kind, headline, hint in rules:
        if applies:
            only = " With --offline, only what is cached counts." if offline and kind is WherryError else ""
            return kind(f"{headline}:\n{_indented(problem)}", hint=hint + only)
    return WherryError(f"{what} cannot be resolved:\n{_indented(problem)}", hint=" ".join(hints) or None)


def failed_builds(output: str) -> list[tuple[str, str]]:
    """(name, version) of each distribution of an index whose build made uv fail."""
    return re.findall(r"Failed to (?:download and )?build[\s│]+`([A-Za-z0-9._-]+)==([^`\s]+)`", output)


def failed_direct(output: str) -> list[str]:
    """What was named by a path, a URL or a repository, and whose build made uv fail: ``name @ URL``."""
    found = re.findall(r"Failed to (?:download and )?build[\s│]+`([A-Za-z0-9._-]+)[\s│]+@[\s│]+([^`\s]+)`", output)
    return [f"{name} @ {url}" for name, url in found]


def without_builds() -> dict[str, str]:
    """Variables for a uv that must not run any backend: an interpreter that does not ignore them ends at once.

    uv's own look at the interpreter does (``-I``). To forbid it builds (``--no-build``) would hide all sdists from it.
    """
    return {"PYTHONHOME": "/nonexistent/wherry"}


def without_wheel(output: str) -> list[tuple[str, str]]:
    """(name, version) of each distribution that uv could not use as none of its files fits the target."""
    stated = r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+) (?:has|have) no (?:usable wheels|wheels with a matching)"
    hinted = r"(?:Wheels are available for|we only found wheels for) `([^`]+)` \(v([^)]+)\)"
    found: dict[str, str] = {}
    for name, version in [*re.findall(hinted, output), *re.findall(stated, output)]:
        found.setdefault(name, version)
    return list(found.items())


def reasoning(output: str) -> str:
    """How uv came to its conclusion, in one line; empty if nothing had to be concluded, or too much."""
    problem, _ = _essence(output)
    text = " ".join(line for line in problem if not line.startswith("No solution found"))
    return text if "depend" in text and len(text) < _LONG else ""


def last_lines(output: str, count: int = 12) -> str:
    """The end of a command's output, where it says why it failed."""
    lines = [line for line in output.splitlines() if line.strip()]
    return _indented(lines[-count:])


def _says(low: str, signs: Sequence[str]) -> bool:
    return any(sign in low for sign in signs)


def _place(output: str, context: Path) -> Place | None:
    """Where in a requirements file uv stopped reading; it counts in characters, or in lines and columns."""
    if found := re.search(r" in `([^`]+)` at position (\d+)", output):
        try:
            before = (context / found[1]).read_text(encoding="utf-8", errors="replace")[: int(found[2])]
        except OSError:
            return Place(found[1])
        return Place(found[1], before.count("\n") + 1)
    if found := re.search(r": (\S+?):(\d+):(\d+)$", output, re.MULTILINE):
        return Place(found[1], int(found[2]), int(found[3]))
    return None


def _reading(problem: list[str]) -> str:
    """What is wrong in a requirements file, without the position, which is told apart."""
    cause = problem[1] if len(problem) > 1 and "at position" in problem[0] else "".join(problem[:1])
    return re.sub(r": \S+:\d+:\d+$", "", cause) or "cannot be read"


def _relative(url: str, context: Path) -> str:
    """A ``file:`` URL as a path below ``context``, if it is there."""
    from urllib.parse import unquote

    return unquote(url).removeprefix("file://").removeprefix(f"{context}/")


def _essence(output: str) -> tuple[list[str], list[str]]:
    """uv's error and its causes, one a line, and its hints; warnings and tracebacks' middles left out."""
    problem: list[str] = []
    hints: list[str] = []
    current = problem
    for raw in output.splitlines():
        line = _DECORATION.sub("", raw).rstrip()
        if not line or line.startswith(("warning:", "Resolved ", "Using ")):
            continue
        if line.lower().startswith("hint:"):
            current = hints
            line = line[5:].strip()
        for word in ("error:", "cause:", "Caused by:"):
            if line.startswith(word):
                current, line = problem, line.removeprefix(word).strip()
        if line not in current:
            current.append(line)
    if len(problem) > 14:
        problem = [*problem[:8], "…", *problem[-5:]]
    return problem, hints


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)

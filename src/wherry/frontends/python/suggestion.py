"""First settings for a project that has none: what a build would guess, written down to be changed.

Only what is guessed is suggested, and it says what the guess says. What the project says itself (a single console
script, a Procfile, a version of Python) stays where it is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import UsageError
from wherry.frontends.python import base, entrypoint, requirements, version
from wherry.frontends.python.config import FILE, Config
from wherry.frontends.python.document import Document
from wherry.frontends.python.entrypoint import BIN, PORT, EntryPoint, Project
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import ProjectOptions
from wherry.frontends.python.planner import WORKDIR
from wherry.plan import Fact

Command = tuple[str, ...]

_HEADER = "[tool.wherry]"
_SPEAKS = {"uvicorn": "ASGI", "gunicorn": "WSGI"}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Settings that may be added to ``file``: ``text`` is what is added, ``content`` the whole file with it.

    ``found`` is what the project says, ``undecided`` what it does not and somebody must: a build fails until then.
    """

    file: str
    text: str
    content: bytes
    found: tuple[Fact, ...]
    undecided: tuple[str, ...] = ()


def suggest(context: Path) -> Suggestion:
    """Settings for the project in ``context``: for its pyproject.toml, or where there is none for a wherry.toml.

    Raises :class:`UsageError` if there are settings already, or if a file of the project cannot be read.
    """
    folder = Folder(context)
    pyproject = Document.read(folder, "pyproject.toml")
    _refuse_others(folder, pyproject)
    findings = _Findings(folder, pyproject)
    keys = "\n".join(_keys(findings))
    found, undecided = tuple(findings.facts), tuple(findings.undecided)
    if folder.has(pyproject.file):
        before = (folder.root / pyproject.file).read_bytes()
        content = _appended(before, f"{_HEADER}\n{keys}")
        if content is not None:
            return Suggestion(pyproject.file, f"{_HEADER}\n{keys}", content, found, undecided)
    return Suggestion(FILE, keys, keys.encode(), found, undecided)


def _refuse_others(folder: Folder, pyproject: Document) -> None:
    has_table = "wherry" in pyproject.table("tool")
    if not has_table and not folder.has(FILE):
        return
    where = f"{_HEADER} of {pyproject.file}" if has_table else FILE
    hint = "Change them there. `wherry build --print plan` shows what they come to."
    raise UsageError(f"there are settings already, in {where}", hint=hint)


def _appended(before: bytes, text: str) -> bytes | None:
    """A TOML file with ``text`` at its end, all else as it is; None if no table may stand there."""
    import tomllib

    newline = "\r\n" if b"\r\n" in before else "\n"
    blank = newline if not before or before.endswith(b"\n") else 2 * newline
    after = before + (blank if before else "").encode() + text.replace("\n", newline).encode()
    try:
        values = tomllib.loads(after.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError:  # `tool = {…}` is closed
        return None
    return after if "wherry" in values.get("tool", {}) else None


# -- what the project says ------------------------------------------------------------------------


class _Findings:
    """What a build would find out, each by itself: what one cannot tell keeps nothing from the others."""

    def __init__(self, folder: Folder, pyproject: Document) -> None:
        self.facts: list[Fact] = []
        self.undecided: list[str] = []
        options, settings = ProjectOptions(), Config()
        names: frozenset[str] = frozenset()
        try:
            needs = requirements.find(folder, pyproject, options)
            names = needs.names
            self.facts.append(Fact("requirements", needs.requirements.path or "none", needs.why))
        except UsageError as error:
            self._cannot_tell("requirements", error)
        self.python: Fact | None = None
        try:
            self.python = version.find(folder, pyproject, settings, options)
            self.facts.append(Fact("python", self.python.value or "the base's own", self.python.why))
        except UsageError as error:
            self._cannot_tell("python", error)
        self.base = base.find(settings, options, self.python.value if self.python else "")
        self.facts.append(self.base)
        self.lacking = ""
        if self.python and not _has(self.base.value, self.python.value):
            self.lacking = f"{self.base.value} has no Python {self.python.value}"
            self.undecided.append(f"base: {self.lacking}")
        self.project = Project(
            folder, pyproject, settings, options, names, shell=base.has_shell(self.base.value), workdir=WORKDIR
        )
        self.entry: EntryPoint | None = None
        self.problem = ""
        try:
            self.entry = entrypoint.find(self.project)
            self.facts.append(Fact("entry point", " ".join(self.entry.words), self.entry.why))
        except UsageError as error:
            self.problem = _first_line(error.message)
            self._cannot_tell("entry point", error)

    def _cannot_tell(self, what: str, error: UsageError) -> None:
        place = f"{error.place}: " if error.place else ""
        self.undecided.append(f"{what}: {place}{_first_line(error.message)}")


def _has(source: str, python: str) -> bool:
    """Whether a Debian base has such a Python, as far as is known of its suite."""
    from wherry.debian.archive import SUITES

    minor = SUITES.get(source.removeprefix("debian://"), "")
    return not minor or base.fits(python, minor)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


# -- the keys -------------------------------------------------------------------------------------


def _keys(findings: _Findings) -> Iterator[str]:
    yield from _entry_point(findings)
    yield from _python(findings)
    if findings.lacking:
        yield _comment(f"The image that both stages start from. {findings.lacking}: name one that has it.")
        yield f"# base = {_text(findings.base.value)}"
    else:
        yield _comment(f"The image that both stages start from: {findings.base.why}.")
        yield f"base = {_text(findings.base.value)}"
    yield ""


def _entry_point(findings: _Findings) -> Iterator[str]:
    entry = findings.entry
    if entry is None:
        yield _comment(f"What the image runs: {findings.problem}. Choose:")
        for command in _candidates(findings.project):
            yield f"# entrypoint = {_list(command)}"
    elif _is_said(entry):
        yield _comment(f"What the image runs is {entry.why}; entrypoint would replace it.")
    else:
        yield _comment(f"What the image runs: {entry.why}.")
        yield f"entrypoint = {_list(map(_short, entry.words))}"
        if entry.ports:
            yield "# The ports that it listens on."
            yield f"ports = [{', '.join(port.partition('/')[0] for port in entry.ports)}]"


def _python(findings: _Findings) -> Iterator[str]:
    from wherry.debian.archive import SUITES

    minor = SUITES.get(findings.base.value.removeprefix("debian://"), "")
    if findings.python is None:
        yield "# The version of Python."
        yield f"# python = {_text(minor)}"
    elif not findings.python.value and minor:
        yield _comment(f"The version of Python: {findings.python.why}, {findings.base.value} has this one.")
        yield f"python = {_text(minor)}"


def _is_said(entry: EntryPoint) -> bool:
    """Whether the project itself says what it runs, in scripts or a Procfile. Written down again it would mean less: a
    script brings its wheel, a Procfile its variables.
    """
    return entry.installed or bool(entry.env) or entry.words[1:2] == ("-c",)


def _candidates(project: Project) -> Iterable[Command]:
    """Commands that may be meant, of the first kind that there is."""
    folder = project.folder
    scripts = project.pyproject.table("project", "scripts") or project.pyproject.table("tool", "poetry", "scripts")
    if scripts:
        return [(name,) for name in sorted(scripts)]
    if applications := list(_applications(project)):
        return applications
    files = [name for name in ("main.py", "app.py", "__main__.py") if folder.has(name)]
    if files:
        return [("python", name) for name in files]
    packages = {name for name in folder.directories if folder.has(f"{name}/__main__.py")}
    packages |= {path.parent.name for path in (folder.root / "src").glob("*/__main__.py")}
    if packages:
        return [("python", "-m", name) for name in sorted(packages)]
    modules = sorted(name for name in folder.files if name.endswith(".py") and name != "setup.py")
    return [("python", name) for name in modules] or [("python", "main.py")]


def _applications(project: Project) -> Iterator[Command]:
    from wherry.frontends.python import web

    for path in ("main.py", "app.py", "app/main.py"):
        found = web.find(project.folder.text(path)) if project.folder.has(path) else None
        if not found:
            continue
        target = f"{path.removesuffix('.py').replace('/', '.')}:{found[0]}"
        for server, protocol in _SPEAKS.items():
            if server in project.names and protocol in found[1]:
                listen = ("--host", "0.0.0.0", "--port", PORT) if server == "uvicorn" else ("--bind", f"0.0.0.0:{PORT}")
                yield (server, target, *listen)


# -- TOML -----------------------------------------------------------------------------------------


def _short(word: str) -> str:
    """A program of the environment by its name: that is first in PATH."""
    return word.removeprefix(f"{BIN}/")


def _comment(text: str) -> str:
    return "# " + re.sub(r"[\x00-\x1f\x7f]", " ", text)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, words))}]"

"""The Plan: what is to be built, as plain frozen data.

A frontend writes a Plan, solve carries it out; the two know nothing else of each other. A Plan holds no
absolute path and no content: files are named relative to the build context and read when it is solved.
It can be compared, hashed, printed as text for people (:func:`describe`) and as JSON (:func:`to_json`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

from wherry.image.json import Json
from wherry.image.platform import Platform
from wherry.urls import redacted

RequirementsKind = Literal["pylock", "uv.lock", "requirements.txt", "pyproject", "none"]

DEFAULT_EPOCH = 315532800
"""1980-01-01T00:00:00Z: the time of every file of a project build. Zip files cannot hold an earlier one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a frontend found out, and why it believes it: ``entry point``, ``main.py``, ``the only …``."""

    name: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where distributions come from, as given on the command line (configuration files are the clients' own).

    ``index_url`` empty means the default index; ``find_links`` are folders or pages of files.
    """

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the application needs: the file that says it, and all that a resolution of it reads.

    Paths are relative to the context, with ``/``. ``inputs`` lists every file whose content decides the
    result (``-r`` and ``-c`` files, local projects' metadata); ``projects`` the local projects to be built
    and installed, ``.`` among them if the application is itself a package.
    """

    kind: RequirementsKind
    path: str = ""
    inputs: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    indexes: Indexes = Indexes()


@dataclass(frozen=True, slots=True)
class Base:
    """The image that a stage starts from: ``scratch``, ``debian://trixie``, a store name, ``oci:DIR[:TAG]``.

    A path in it starts at the context.

    ``python`` is a version (``3.13``) or a specifier set (``>=3.10,<4``) that its Python must satisfy, or empty.
    ``bytecode`` adds that of the standard library where the base has none.
    """

    source: str
    python: str = ""
    mirror: str = ""
    bytecode: bool = False


@dataclass(frozen=True, slots=True)
class StageRef:
    """An earlier stage, by name."""

    stage: str


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files of the build context. ``ignore`` are patterns in .dockerignore's syntax, last match wins."""

    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Virtualenv:
    """Create an empty virtual environment at ``prefix`` for the base's own Python (PEP 405)."""

    prefix: str = "/opt/venv"


@dataclass(frozen=True, slots=True)
class BuildWheels:
    """Build a wheel for what has none: local projects, by their own backend (PEP 517).

    ``packages`` are Debian packages that only the compilation needs; a requirement from an index that
    has only an sdist will be built here too.
    """

    requirements: Requirements
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Install:
    """Resolve ``requirements``, choose a wheel for each, and install them into the environment at ``prefix``."""

    requirements: Requirements
    prefix: str = "/opt/venv"
    bytecode: bool = True


@dataclass(frozen=True, slots=True)
class Packages:
    """Add Debian packages, with their dependencies, to a Debian base."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy ``sources`` of a stage or of the build context to ``destination``.

    A single directory source gives its contents, as COPY does. ``uid``/``gid`` own the copies.
    """

    origin: StageRef | BuildContext
    sources: tuple[str, ...]
    destination: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Configure:
    """Set fields of the runtime config. ``None`` leaves a field as the base has it."""

    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None
    ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


Step = Virtualenv | BuildWheels | Install | Packages | Copy | Configure


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: where it starts, what happens in it, and what it is for."""

    name: str
    base: Base | StageRef
    steps: tuple[Step, ...]
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in order, each using only earlier ones; ``target`` is the one that becomes the image.

    ``epoch`` (seconds since 1970) is the time of the image and of every file in it. ``facts`` explain the
    Plan and do not change what is built.
    """

    stages: tuple[Stage, ...]
    target: str
    platform: Platform
    epoch: int = DEFAULT_EPOCH
    facts: tuple[Fact, ...] = ()

    def stage(self, name: str) -> Stage:
        """The stage called ``name``."""
        return next(stage for stage in self.stages if stage.name == name)


def to_json(value: object) -> Json:
    """A Plan, or a part of one, as JSON; ``kind`` names each part's class. Passwords in URLs are left out."""
    if isinstance(value, Platform):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts: dict[str, Json] = {"kind": type(value).__name__}
        for part in fields(value):
            name = "requirement_kind" if part.name == "kind" else part.name
            parts[name] = to_json(getattr(value, part.name))
        return parts
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, str):
        return redacted(value)
    if value is None or isinstance(value, bool | int):
        return value
    raise TypeError(f"not plan data: {value!r}")


def title(step: Step) -> str:
    """A step in words that a person understands; also its line in the image's history."""
    match step:
        case Virtualenv():
            return f"create the virtual environment {step.prefix}"
        case BuildWheels():
            return f"build wheels of {_list(step.requirements.projects) or 'what has none'}"
        case Install():
            return f"install {step.requirements.path or 'nothing'} into {step.prefix}"
        case Packages():
            return f"add Debian packages {_list(step.names)}"
        case Copy(origin=BuildContext(ignore=("**",))):
            return f"create {step.destination}"
        case Copy():
            origin = f"stage {step.origin.stage}" if isinstance(step.origin, StageRef) else "the project"
            sources = "files" if step.sources == (".",) else _list(step.sources)
            return f"copy {sources} of {origin} to {step.destination}"
        case Configure():
            kinds = dict.fromkeys(name.partition(" ")[0] for name in _settings(step))
            return "set " + (_list(tuple(kinds)) or "nothing")


def describe(plan: Plan) -> str:
    """The Plan as text: what was found and why, then the stages step by step."""
    lines = [f"Platform {plan.platform}", ""]
    if plan.facts:
        lines.append("Found")
        width = max(len(fact.name) for fact in plan.facts)
        lines += [f"  {fact.name:<{width}}  {fact.value}  ({fact.why})" for fact in plan.facts]
        lines.append("")
    for stage in plan.stages:
        base = f"stage {stage.base.stage}" if isinstance(stage.base, StageRef) else stage.base.source
        lines.append(f"Stage {stage.name}, from {base}" + (f": {stage.purpose}" if stage.purpose else ""))
        for number, step in enumerate(stage.steps, 1):
            lines.append(f"  {number}. {title(step)}")
            if isinstance(step, Configure):
                lines += [f"       {name} = {value}" for name, value in _settings(step).items()]
        lines.append("")
    return "\n".join(lines)


def _settings(step: Configure) -> dict[str, str]:
    return dict(_pairs(step))


def _pairs(step: Configure) -> Iterator[tuple[str, str]]:
    for name, value in step.env:
        yield f"env {name}", value
    for name, words in (("entrypoint", step.entrypoint), ("cmd", step.cmd)):
        if words is not None:
            yield name, " ".join(words)
    for name, text in (("workdir", step.workdir), ("user", step.user)):
        if text is not None:
            yield name, text
    if step.ports:
        yield "ports", _list(step.ports)
    for name, value in step.labels:
        yield f"label {name}", value


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(words)

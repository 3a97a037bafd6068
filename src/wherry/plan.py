"""The Plan: what is to be built, as plain frozen data.

A frontend writes a Plan, solve carries it out; the two know nothing else of each other. A Plan holds no
absolute path and no content: files are named relative to the build context and read when it is solved.
It can be compared, hashed, printed as text for people (:func:`describe`) and as JSON (:func:`to_json`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Literal

from wherry.errors import Place
from wherry.image.json import Json
from wherry.image.platform import Platform
from wherry.urls import redacted

RequirementsKind = Literal[
    "pylock",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "conda-lock",
    "requirements.txt",
    "pyproject",
    "lines",
    "none",
]
Times = Literal["fixed", "clamped", "real"]
MountKind = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]
RunNetwork = Literal["default", "none", "host"]
Security = Literal["sandbox", "insecure"]
NativeLibs = Literal["packages", "vendor"]

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

    ``lines`` are requirements that stand in no file, with the constraints ``bounds``: those that a build has (kind
    ``lines``). ``no_binary`` and ``only_binary`` name distributions, or ``:all:``, as pip's options do.
    """

    kind: RequirementsKind
    path: str = ""
    inputs: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    indexes: Indexes = Indexes()
    lines: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()


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
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class StageRef:
    """An earlier stage, by name."""

    stage: str


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files of the build context, or of the named context ``name``.

    ``ignore`` are patterns in .dockerignore's syntax, last match wins.
    """

    ignore: tuple[str, ...] = ()
    name: str = ""


Origin = StageRef | BuildContext | Base
"""Where files come from: a stage, a context, or an image that no stage starts from."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """The words of a Dockerfile that a step comes from: as it is shown, as history has it, and where it stands.

    ``created_by`` is empty where the history says nothing of it; ``excerpt`` are the lines around it, for errors.
    """

    text: str
    created_by: str
    place: Place
    excerpt: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Inline:
    """A file whose content the Dockerfile holds: a here-document of COPY or ADD."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A file that ADD fetches. ``checksum`` (``sha256:…``) may be empty."""

    url: str
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Git:
    """A repository that ADD fetches, or a context: its branch, tag or commit, and a directory in it."""

    url: str
    ref: str = ""
    directory: str = ""
    keep_git: bool = False
    checksum: str = ""


CopySource = str | Inline | Remote | Git
"""What COPY and ADD take: a path or pattern (Go's filepath.Match, and ``**``) in the origin, or something else."""


@dataclass(frozen=True, slots=True)
class RunMount:
    """A ``RUN --mount``; the fields mean what the Dockerfile reference says of the options.

    ``origin`` is what a bind or cache mount shows (None: nothing but the cache); ``id`` that of a cache, secret or
    ssh socket; ``env`` the variable that gets a secret; ``size`` a tmpfs's limit in bytes (0: none).
    ``target`` is absolute, or empty for a secret that only becomes a variable.
    """

    type: MountKind
    target: str
    origin: Origin | None = None
    source: str = "/"
    read_only: bool = True
    id: str = ""
    sharing: Sharing = "shared"
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    size: int = 0
    env: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Virtualenv:
    """Create an empty virtual environment at ``prefix`` for the base's own Python (PEP 405)."""

    prefix: str = "/opt/venv"


@dataclass(frozen=True, slots=True)
class BuildWheels:
    """Build a wheel for what has none: local projects, sdists, repositories, by their own backends (PEP 517).

    What needs a compiler is built in the files of ``base`` (None: those of the stage's own), with Debian's toolchain
    and ``packages`` added, which go no further. ``env`` are variables of the backends; ``config_settings`` theirs too
    (distribution or empty for all, key, values); ``constraints`` bound the versions of what backends require.
    ``native_libs`` says how the shared libraries come along that only the compilation has: as Debian packages of the
    stage that asks for them (:class:`Packages`), or vendored into the wheel.
    """

    requirements: Requirements
    base: Base | None = None
    packages: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    config_settings: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    constraints: tuple[str, ...] = ()
    native_libs: NativeLibs = "packages"


@dataclass(frozen=True, slots=True)
class Install:
    """Resolve ``requirements``, choose a wheel for each, and install them into the environment at ``prefix``."""

    requirements: Requirements
    prefix: str = "/opt/venv"
    bytecode: bool = True


@dataclass(frozen=True, slots=True)
class Packages:
    """Add Debian packages, with their dependencies, to a Debian base.

    Beside those in ``names``, those whose libraries the wheels need that the stage ``libraries_of`` has built.
    """

    names: tuple[str, ...]
    libraries_of: StageRef | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and ADD: files of ``origin``, or from elsewhere, into one layer at ``destination``.

    ``destination`` is absolute; a slash at its end says that it is a directory. A directory gives its contents.
    ``owner`` is ``user[:group]``, names or numbers as the image knows them (empty: 0:0); ``mode`` a --chmod, octal or
    symbolic. ``link`` makes a layer that does not depend on what is below; ``parents`` keeps the sources' own paths
    (below a ``/./`` in them); ``exclude`` are patterns; ``unpack`` says whether archives are unpacked.
    ``normalise`` sets modes to 0755 or 0644 and every time to the Plan's, for layers that are the same everywhere.
    """

    origin: Origin
    sources: tuple[CopySource, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    unpack: bool = False
    normalise: bool = False
    instruction: Instruction | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Run:
    """RUN: ``argv`` in the stage's root filesystem, with the environment, user and directory that it has by then.

    ``args`` are build arguments, which become variables of this command alone. ``files`` (path, content) are shown to
    it, executable, for as long as it runs: here-documents. ``proxies`` are variables (HTTP_PROXY and the like) that no
    cache key and no history knows.
    """

    argv: tuple[str, ...]
    args: tuple[tuple[str, str], ...] = ()
    mounts: tuple[RunMount, ...] = ()
    network: RunNetwork = "default"
    security: Security = "sandbox"
    files: tuple[tuple[str, str], ...] = ()
    proxies: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    instruction: Instruction | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Workdir:
    """WORKDIR: make the directory ``path`` (absolute) if it is missing, and start there."""

    path: str
    instruction: Instruction | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """HEALTHCHECK. ``test`` begins with NONE, CMD or CMD-SHELL; times are in nanoseconds, 0: the runtime's default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Configure:
    """Set fields of the runtime config. ``None`` leaves a field as the base has it; an empty CMD or ENTRYPOINT is one.

    ``onbuild`` are triggers to add; ``onbuild_done`` drops those of the base, which have been carried out.
    ``author`` is MAINTAINER's. ``args_escaped`` is a mark that Docker's builder leaves beside a CMD.
    """

    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None
    ports: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    onbuild_done: bool = False
    author: str | None = None
    args_escaped: bool = False
    instruction: Instruction | None = field(default=None, compare=False)


Step = Virtualenv | BuildWheels | Install | Packages | Copy | Run | Workdir | Configure


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

    ``epoch`` (seconds since 1970) is the time of the image and of every file in it where ``times`` is ``fixed``;
    ``clamped``, no file is younger; ``real``, times are those at which things happen, and the epoch is only that of
    assembled bases. ``facts`` explain the Plan and ``notes`` say what may be a mistake; neither changes what is built.
    """

    stages: tuple[Stage, ...]
    target: str
    platform: Platform
    epoch: int = DEFAULT_EPOCH
    facts: tuple[Fact, ...] = ()
    times: Times = "fixed"
    notes: tuple[str, ...] = ()

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
            if part.repr:
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
    """A step in words that a person understands; also its line in the history, unless an instruction has one."""
    match step:
        case Copy(instruction=Instruction(text=text)) | Run(instruction=Instruction(text=text)):
            return text
        case Workdir(instruction=Instruction(text=text)) | Configure(instruction=Instruction(text=text)):
            return text
        case Virtualenv():
            return f"create the virtual environment {step.prefix}"
        case BuildWheels():
            return f"build wheels of {_list(step.requirements.projects) or 'what has none'}"
        case Install():
            return f"install {step.requirements.path or 'nothing'} into {step.prefix}"
        case Packages():
            built = "those that compiled wheels need" if step.libraries_of else ""
            return f"add Debian packages {_list(tuple(filter(None, (*step.names, built))))}"
        case Copy(origin=BuildContext(ignore=("**",))):
            return f"create {step.destination}"
        case Copy():
            sources = "files" if step.sources == (".",) else _list(tuple(map(_source, step.sources)))
            return f"copy {sources} of {_origin(step.origin)} to {step.destination}"
        case Run():
            return f"run {' '.join(step.argv)}"
        case Workdir():
            return f"work in {step.path}"
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


def _source(source: CopySource) -> str:
    match source:
        case str():
            return source
        case Inline():
            return source.name
        case Remote() | Git():
            return redacted(source.url)


def _origin(origin: Origin) -> str:
    match origin:
        case StageRef():
            return f"stage {origin.stage}"
        case BuildContext():
            return f"the context {origin.name}" if origin.name else "the project"
        case Base():
            return f"the image {origin.source}"


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(words)

"""The instructions of a Dockerfile, as written: nothing is expanded yet."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.source import Heredoc
from wherry.plan import Healthcheck, RunNetwork, Security

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What all have: where the instruction stands, and its text, continuation lines joined."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Written):
    """FROM: begins a stage. ``name`` is lower case; ``comments`` those above it."""

    base: str
    name: str = ""
    platform: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Written):
    """ARG: names and defaults; None is none."""

    args: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Written):
    """ENV."""

    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Written):
    """LABEL."""

    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Written):
    """What RUN, CMD and ENTRYPOINT have: words in the exec form, or one text in the shell form."""

    words: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Command):
    """RUN. ``network`` None is the build's."""

    mounts: tuple[str, ...] = ()
    network: RunNetwork | None = None
    security: Security = "sandbox"
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Command):
    """CMD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Command):
    """ENTRYPOINT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Written):
    """What COPY and ADD have."""

    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Files):
    """COPY. ``origin`` is ``--from``."""

    origin: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Files):
    """ADD. None is what the kind of source asks for."""

    checksum: str = ""
    keep_git: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Written):
    """WORKDIR."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Written):
    """USER."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Written):
    """EXPOSE, its words sorted."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Written):
    """VOLUME."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(Written):
    """HEALTHCHECK."""

    healthcheck: Healthcheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Written):
    """SHELL."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Written):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Written):
    """ONBUILD: the trigger's text, here-documents below it."""

    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Written):
    """MAINTAINER."""

    author: str


Statement = (
    Arg
    | Env
    | Label
    | Run
    | Cmd
    | Entrypoint
    | Copy
    | Add
    | Workdir
    | User
    | Expose
    | Volume
    | Health
    | Shell
    | StopSignal
    | Onbuild
    | Maintainer
)
"""What a stage consists of."""

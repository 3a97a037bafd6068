"""The instructions of a Dockerfile, as written: nothing is expanded yet.

Each begins with ``span``, where it stands, and ``text``, its words with continuation lines joined. They are named
tuples, which take a fraction of a data class's time to define: every build waits for that.
"""

from __future__ import annotations

from typing import NamedTuple

from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.source import Heredoc
from wherry.plan import Healthcheck, RunNetwork, Security

Pairs = tuple[tuple[str, str], ...]


class From(NamedTuple):
    """FROM: begins a stage. ``name`` is lower case; ``comments`` those above it."""

    span: Span
    text: str
    base: str
    name: str = ""
    platform: str = ""
    comments: tuple[str, ...] = ()


class Arg(NamedTuple):
    """ARG: names and defaults; None is none."""

    span: Span
    text: str
    args: tuple[tuple[str, str | None], ...]


class Env(NamedTuple):
    """ENV."""

    span: Span
    text: str
    pairs: Pairs


class Label(NamedTuple):
    """LABEL."""

    span: Span
    text: str
    pairs: Pairs


class Run(NamedTuple):
    """RUN: words in the exec form, or one text in the shell form. ``network`` None is the build's."""

    span: Span
    text: str
    words: tuple[str, ...]
    shell: bool
    mounts: tuple[str, ...] = ()
    network: RunNetwork | None = None
    security: Security = "sandbox"
    heredocs: tuple[Heredoc, ...] = ()


class Cmd(NamedTuple):
    """CMD, as RUN in one of two forms."""

    span: Span
    text: str
    words: tuple[str, ...]
    shell: bool


class Entrypoint(NamedTuple):
    """ENTRYPOINT, as RUN in one of two forms."""

    span: Span
    text: str
    words: tuple[str, ...]
    shell: bool


class Copy(NamedTuple):
    """COPY. ``origin`` is ``--from``."""

    span: Span
    text: str
    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    origin: str = ""
    parents: bool = False


class Add(NamedTuple):
    """ADD. None is what the kind of source asks for."""

    span: Span
    text: str
    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git: bool | None = None
    unpack: bool | None = None


class Workdir(NamedTuple):
    """WORKDIR."""

    span: Span
    text: str
    path: str


class User(NamedTuple):
    """USER."""

    span: Span
    text: str
    user: str


class Expose(NamedTuple):
    """EXPOSE, its words sorted."""

    span: Span
    text: str
    ports: tuple[str, ...]


class Volume(NamedTuple):
    """VOLUME."""

    span: Span
    text: str
    paths: tuple[str, ...]


class Health(NamedTuple):
    """HEALTHCHECK."""

    span: Span
    text: str
    healthcheck: Healthcheck


class Shell(NamedTuple):
    """SHELL."""

    span: Span
    text: str
    words: tuple[str, ...]


class StopSignal(NamedTuple):
    """STOPSIGNAL."""

    span: Span
    text: str
    signal: str


class Onbuild(NamedTuple):
    """ONBUILD: the trigger's text, here-documents below it."""

    span: Span
    text: str
    trigger: str


class Maintainer(NamedTuple):
    """MAINTAINER."""

    span: Span
    text: str
    author: str


Command = Run | Cmd | Entrypoint
"""What has an exec form and a shell form."""

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

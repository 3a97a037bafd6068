"""The Plan of a project build as a Dockerfile: the same two stages, for ``docker build``.

What it makes has the same ``/opt/venv`` and the same application as wherry's own build. uv installs there, too: it
reads every kind of requirements, and what is locked comes out as it is locked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from wherry.errors import UsageError
from wherry.frontends.dockerfile import installing
from wherry.frontends.dockerfile.contextfiles import ContextFiles, divided, exclude_flag
from wherry.image.reference import Reference
from wherry.plan import (
    Base,
    BuildContext,
    BuildWheels,
    Configure,
    Copy,
    Install,
    Packages,
    Plan,
    Requirements,
    Step,
    Virtualenv,
)
from wherry.sources.base import is_debian, names_path

Kind = TypeVar("Kind", bound=Step)
Block = list[str]

_PLAIN = re.compile(r"[\w./:@%+,-]+", re.ASCII)  # means itself wherever it stands
_NONROOT = 65532
_DEBIAN = ("ca-certificates", "libstdc++6", "netbase", "passwd", "python3", "tzdata")  # wherry's own, and useradd
_TOOLCHAIN = ("gcc", "g++", "libc6-dev")
_APT = tuple(f"type=cache,target={path},sharing=locked" for path in ("/var/cache/apt", "/var/lib/apt/lists"))
_HEAD = """\
# syntax=docker/dockerfile:1

# Written by `wherry dockerfile`: the two stages of its own build of this project, for `docker build`.
# What `wherry dockerfile --ignore` prints belongs beside it, in this file's name with .dockerignore behind it: without
# that the image would have files that wherry leaves out."""


@dataclass(frozen=True, slots=True)
class Written:
    """A Dockerfile, the .dockerignore that belongs to it, and what the user should know of them."""

    dockerfile: str
    ignore: str
    notes: tuple[str, ...] = ()


def write(plan: Plan, digests: Mapping[str, str], *, uv: str, compiles: bool = False) -> Written:
    """``plan`` as a Dockerfile. ``digests`` are those of bases, by their names in the Plan; ``uv`` is the version of uv
    that installs; ``compiles`` says that a local project has something to compile, which no Plan tells.

    Raises :class:`UsageError` for a base that docker has no name for, for a Plan that is not a project's, and for a
    value that no Dockerfile can hold.
    """
    parts = replace(_Parts.of(plan), compiles=compiles)
    context = divided(parts.application, parts.requirements)
    blocks = [
        [_HEAD],
        *_base_stages(parts, digests),
        *_compile_stage(parts, uv),
        *_runtime_stage(parts, context),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return Written(text, context.ignore_file, tuple(_notes(parts, digests)))


def pinnable(plan: Plan) -> tuple[Base, ...]:
    """The bases of ``plan`` that a digest can be looked up for."""
    parts = _Parts.of(plan)
    bases = dict.fromkeys((parts.base, parts.build_base))
    return tuple(base for base in bases if not is_debian(base.source) and _image_name(base) and "@" not in base.source)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The steps of a project's Plan, each by what it is for."""

    base: Base
    build_base: Base
    prefix: str
    builds: BuildWheels | None
    install: Install | None
    packages: tuple[str, ...]
    application: Copy
    configure: Configure
    compiles: bool = False

    @classmethod
    def of(cls, plan: Plan) -> _Parts:
        """Those of ``plan``. Raises :class:`UsageError` if it is not a project's."""
        stages = {stage.name: stage for stage in plan.stages}
        if stages.keys() != {"compile", "runtime"}:
            raise UsageError("only the Plan of a project can be written as a Dockerfile")
        compiling, runtime = stages["compile"].steps, stages["runtime"].steps
        base = stages["runtime"].base
        venv, configure, application = _find(compiling, Virtualenv), _find(runtime, Configure), _application(runtime)
        if not (isinstance(base, Base) and venv and configure and application):
            raise UsageError("only the Plan of a project can be written as a Dockerfile")
        builds, packages = _find(compiling, BuildWheels), _find(runtime, Packages)
        return cls(
            base=base,
            build_base=builds.base if builds and builds.base else base,
            prefix=venv.prefix,
            builds=builds,
            install=_find(compiling, Install),
            packages=packages.names if packages else (),
            application=application,
            configure=configure,
        )

    @property
    def requirements(self) -> Requirements | None:
        """What is installed, if anything is."""
        return self.install.requirements if self.install else None

    @property
    def build_packages(self) -> tuple[str, ...]:
        """Debian packages of the compile stage alone: with a compiler, where it is said that something is built."""
        said = self.builds and (self.builds.packages or self.builds.requirements.no_binary or self.compiles)
        if not self.builds or not said:
            return ()
        headers = ("python3-dev",) if is_debian(self.build_base.source) else ()
        return tuple(dict.fromkeys((*_TOOLCHAIN, *headers, *self.builds.packages)))


def _find(steps: Iterable[Step], kind: type[Kind]) -> Kind | None:
    return next((step for step in steps if isinstance(step, kind)), None)


def _application(steps: Iterable[Step]) -> Copy | None:
    return next((step for step in steps if isinstance(step, Copy) and isinstance(step.origin, BuildContext)), None)


# -- the stages -----------------------------------------------------------------------------------


def _base_stages(parts: _Parts, digests: Mapping[str, str]) -> Iterator[Block]:
    yield _base_stage(parts.base, "base", digests)
    if parts.build_base.source != parts.base.source:
        yield _base_stage(parts.build_base, "build-base", digests)


def _base_stage(base: Base, name: str, digests: Mapping[str, str]) -> Block:
    """A stage that is the base and has Python."""
    if not is_debian(base.source):
        digest = digests.get(base.source)
        pin = f"@{digest}" if digest else ""
        said = [] if digest or "@" in base.source else ["# Its digest could not be had here: it is not pinned."]
        # The user of some images may not install anything; the last stage sets its own.
        return [*said, f"FROM {_image_name(base)}{pin} AS {name}", "USER root"]
    from wherry.debian.base import Recipe

    recipe = Recipe.parse(base.source)
    return [
        f"# Debian's own image in place of {base.source}, which wherry assembles. Its digest is not pinned.",
        f"FROM debian:{recipe.suite}-slim AS {name}",
        _run(
            *_apt(sorted({*_DEBIAN, *recipe.include})),
            f"groupadd --gid {_NONROOT} nonroot",
            f"useradd --uid {_NONROOT} --gid nonroot --create-home --shell /usr/sbin/nologin nonroot",
            mounts=_APT,
        ),
        _fields("ENV", (("LANG", "C.UTF-8"), ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))),
    ]


def _compile_stage(parts: _Parts, uv: str) -> Iterator[Block]:
    separate = parts.build_base.source != parts.base.source
    stage = [f"FROM {'build-base' if separate else 'base'} AS compile"]
    needed = [
        *(["python3-venv"] if is_debian(parts.build_base.source) and parts.install else []),
        *parts.build_packages,
    ]
    if needed:
        stage.append(_run(*_apt(needed), mounts=_APT))
    yield stage
    yield [
        "# The environment as wherry makes it: the base's own Python, and nothing but links to it.",
        _run(
            """python="$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')\"""",
            f'"$python" -m venv --without-pip {parts.prefix}',
            f"cd {parts.prefix}",
            "sed -i '/^command = /d' pyvenv.cfg",
            "rm -rf .gitignore bin/* include/*",
            'ln -s "$python" bin/python',
            "ln -s python bin/python3",
            'ln -s python "bin/${python##*/}"',
        ),
    ]
    if parts.install:
        yield from _installed(parts, parts.install, uv)


def _installed(parts: _Parts, install: Install, uv: str) -> Iterator[Block]:
    """Installing, by a uv that stands beside the environment."""
    requirements, builds = install.requirements, parts.builds
    python = f"{install.prefix}/bin/python"
    variables = {"UV_PYTHON": python, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    if requirements.kind == "uv.lock":
        variables["UV_PROJECT_ENVIRONMENT"] = install.prefix
    yield [
        "# uv installs, from a place of its own; what it downloads is kept for the next build.",
        _run(
            "python3 -m venv /opt/uv",
            " ".join(("/opt/uv/bin/pip install", *installing.pip_options(requirements.indexes), f"uv=={uv}")),
            mounts=["type=cache,target=/root/.cache/pip"],
        ),
        _fields("ENV", variables.items()),
        f"WORKDIR {installing.SOURCE}",
    ]
    cache = "type=cache,target=/root/.cache/uv"
    constraints = [installing.constraints_command(builds)] if builds and builds.constraints else []
    if first := installing.locked_first(requirements):
        yield [
            "# All but the project itself, which changes most.",
            _run(*constraints, *installing.commands(requirements, builds, first=True), mounts=[cache, *first]),
        ]
    mounts = [cache, *installing.mounts(requirements)]
    yield [_run(*constraints, *installing.commands(requirements, builds), mounts=mounts)]
    tidy = [
        f"cd {install.prefix}",
        "rm -f .lock",
        "find lib -path '*.dist-info/uv_*.json' -delete",
        "find lib -path '*.dist-info/RECORD' -exec sed -i '/\\.dist-info\\/uv_[a-z]*\\.json,/d' {} +",
    ]
    yield ["# What uv notes for itself stays behind.", _run(*tidy)]
    if install.bytecode:
        words = f"{python} -m compileall -q -f --invalidation-mode unchecked-hash {install.prefix}/lib"
        yield [
            "# Bytecode without times, the same in every build. A source that does not compile goes without.",
            _run(f"PYTHONHASHSEED=0 {words} || true"),
        ]


def _runtime_stage(parts: _Parts, context: ContextFiles) -> Iterator[Block]:
    stage = ["FROM base AS runtime"]
    if parts.build_packages:
        stage.append("# The packages whose libraries compiled wheels load have to be named: wherry finds them itself.")
    if parts.packages:
        stage.append(_run(*_apt(parts.packages), mounts=_APT))
    configure = parts.configure
    destination = parts.application.destination
    stage.append(f"COPY --link --from=compile {parts.prefix} {parts.prefix}")
    stage.append(f"WORKDIR {_quoted(configure.workdir or destination)}")
    if context.copied:
        stage.append(_copy(destination, context.exclude))
    yield stage
    yield list(_config(configure))


def _copy(destination: str, exclude: tuple[str, ...]) -> str:
    """The application's files: root's, with the modes that wherry gives them."""
    flags = ["COPY --link --chmod=u=rwX,go=rX", *map(exclude_flag, exclude)]
    directory = destination.rstrip("/") + "/"
    words = f". {directory}" if _PLAIN.fullmatch(directory) else _array((".", _escaped(directory)))
    if not exclude:
        return f"{flags[0]} {words}"
    return " \\\n    ".join((*flags, words))


def _config(configure: Configure) -> Iterator[str]:
    if configure.env:
        yield _fields("ENV", configure.env)
    if configure.labels:
        yield _fields("LABEL", configure.labels)
    if configure.ports:
        yield f"EXPOSE {' '.join(configure.ports)}"
    if configure.user:
        yield f"USER {configure.user}"
    if configure.entrypoint is not None:
        yield f"ENTRYPOINT {_array(configure.entrypoint)}"
    if configure.cmd is not None:
        yield f"CMD {_array(configure.cmd)}"


# -- what the user should know --------------------------------------------------------------------


def _notes(parts: _Parts, digests: Mapping[str, str]) -> Iterator[str]:
    for base in dict.fromkeys((parts.base, parts.build_base)):
        if is_debian(base.source):
            yield f"{base.source} is written as Debian's own image, without a digest: `docker build --pull` renews it"
        elif base.source not in digests and "@" not in base.source:
            yield f"{base.source} is written without a digest: none could be had"
        if base.mirror:
            yield f"the mirror {base.mirror} is left out: Debian's image has its own sources"
    if parts.requirements and installing.has_secrets(parts.requirements.indexes):
        yield "user names and passwords of indexes are left out: give them to `docker build` as a secret"
    if parts.builds and parts.builds.native_libs == "vendor":
        yield "docker does not put the shared libraries of compiled wheels into them; name their packages"
    elif parts.build_packages:
        yield "docker does not find out which packages compiled wheels need when they run; name them in `packages`"


# -- the language ---------------------------------------------------------------------------------


def _image_name(base: Base) -> str:
    """The base as docker names it, with a tag, so that no stage is meant. Raises :class:`UsageError` if it has none."""
    if names_path(base.source) or base.source == "scratch" or base.source.startswith("oci-layout:"):
        hint = "Give the image a name that docker knows (docker load, docker push) and choose it with --base."
        raise UsageError(f"docker has no name for the base {base.source}", hint=hint)
    return Reference.parse(base.source.removeprefix("docker-image://")).familiar


def _apt(names: Iterable[str]) -> tuple[str, ...]:
    """Commands that install Debian packages; the caches that they fill are mounts, so none is cleared."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    wanted = f"{install} \\\n        {' '.join(names)}"
    return "rm -f /etc/apt/apt.conf.d/docker-clean", "apt-get update", wanted


def _run(*commands: str, mounts: Iterable[str] = ()) -> str:
    first, *rest = (*(f"--mount={mount}" for mount in mounts), commands[0])
    return " \\\n    ".join((f"RUN {first}", *rest)) + "".join(f" \\\n && {command}" for command in commands[1:])


def _fields(keyword: str, pairs: Iterable[tuple[str, str]]) -> str:
    """ENV and LABEL. Raises :class:`UsageError` for what they cannot hold."""
    words = []
    for name, value in pairs:
        if "\n" in value or "\r" in value or not re.fullmatch(r"[^\s=\\\"'$]+", name):
            raise UsageError(f"{keyword} {name} cannot be written into a Dockerfile", hint="Its name or its value.")
        key = name if keyword == "ENV" else f'"{name}"'
        words.append(f"{key}={_quoted(value)}")
    return " \\\n    ".join((f"{keyword} {words[0]}", *words[1:]))


def _quoted(text: str) -> str:
    """``text`` as one word that means just that: where needed in quotes, in which ``$`` and ``\\`` are escaped."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'[\\"$]', r"\\\g<0>", text) + '"'


def _escaped(text: str) -> str:
    """``text`` as a word in which variables would be filled in."""
    return re.sub(r"[\\\"'$]", r"\\\g<0>", text)


def _array(words: tuple[str, ...]) -> str:
    return json.dumps(words, ensure_ascii=False)

"""A project folder to a Plan: two stages, and what was found."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from wherry.errors import Place, UsageError
from wherry.frontends.python import base, config, entrypoint, files, requirements, version
from wherry.frontends.python.config import Config
from wherry.frontends.python.document import Document
from wherry.frontends.python.entrypoint import EntryPoint, Project
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.options import ProjectOptions
from wherry.frontends.python.requirements import Needs
from wherry.image.platform import Platform
from wherry.plan import (
    DEFAULT_EPOCH,
    Base,
    BuildContext,
    BuildWheels,
    Configure,
    Copy,
    Fact,
    Install,
    Packages,
    Plan,
    Stage,
    StageRef,
    Step,
    Virtualenv,
)
from wherry.sources.ignore import Patterns

_LATEST = 253402300799  # 9999-12-31T23:59:59Z: the last second that RFC 3339 can write

VENV = "/opt/venv"
WORKDIR = "/usr/src/app"
USER = "65532:65532"
PATH = f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def plan(context: Path, options: ProjectOptions | None = None) -> Plan:
    """The Plan of the project in ``context``, for one platform.

    Raises :class:`~wherry.errors.UsageError` if the project, its settings or ``options`` make no sense, or
    ask for several platforms (see :func:`plans`); :class:`~wherry.errors.WherryError` for what cannot be read.
    """
    found = plans(context, options)
    if len(found) > 1:
        names = ", ".join(str(one.platform) for one in found)
        raise UsageError(f"the project asks for several platforms: {names}", hint="Choose one with --platform.")
    return found[0]


def plans(context: Path, options: ProjectOptions | None = None) -> tuple[Plan, ...]:
    """A Plan for each platform that ``options``, or else the settings, ask for; this machine's by default."""
    options = options or ProjectOptions()
    folder = Folder(context)
    pyproject = Document.read(folder, "pyproject.toml")
    settings = config.read(folder, pyproject)
    first = _plan(folder.reaching(settings.outside), pyproject, settings, options)
    platforms = dict.fromkeys(options.platforms or settings.platforms or (Platform.native(),))
    for platform in platforms:
        if platform.os != "linux":
            raise UsageError(f"images are Linux images, not {platform}", hint="Write linux/amd64 or linux/arm64.")
    return tuple(replace(first, platform=platform) for platform in platforms)


def _plan(folder: Folder, pyproject: Document, settings: Config, options: ProjectOptions) -> Plan:
    needs = requirements.find(folder, pyproject, options)
    python = version.find(folder, pyproject, settings, options)
    source = base.find(settings, options, python.value)
    workdir = config.workdir(options.workdir, Place("--workdir")) if options.workdir else settings.workdir or WORKDIR
    chosen_env = {**dict(settings.env), **dict(options.env)}
    project = Project(
        folder=folder,
        pyproject=pyproject,
        settings=settings,
        options=options,
        names=needs.names,
        shell=base.has_shell(source.value),
        workdir=workdir,
        environment=chosen_env,
    )
    entry = entrypoint.find(project)
    ignore, which = _files(folder, settings, needs, entry)
    if ignore != files.NONE:
        ignore += files.paths(options.leave_out)
    _check_script(folder, entry, ignore)
    bytecode = _bytecode(settings, options)
    origin = Base(source.value, python.value, options.mirror or settings.mirror, bytecode)
    packages = tuple(dict.fromkeys((*settings.packages, *options.packages)))
    compiling = _compile(needs, settings, options, bytecode, origin)
    builds = next((step for step in compiling if isinstance(step, BuildWheels)), None)
    user = config.user(options.user, Place("--user")) if options.user else settings.user or USER
    own_ports = (*settings.ports, *(config.port(port, Place("--port")) for port in options.ports))
    configure = Configure(
        env=tuple(
            {"PATH": PATH, "VIRTUAL_ENV": VENV, "PYTHONUNBUFFERED": "1", **dict(entry.env), **chosen_env}.items()
        ),
        entrypoint=entry.words,
        cmd=entry.cmd or None,
        workdir=workdir,
        user=user,
        ports=tuple(dict.fromkeys(own_ports or entry.ports)),
        labels=tuple({**dict(settings.labels), **dict(options.labels)}.items()),
    )
    libraries_of = StageRef("compile") if builds and builds.native_libs == "packages" else None
    runtime: list[Step] = [Packages(packages, libraries_of)] if packages or libraries_of else []
    runtime.append(Copy(StageRef("compile"), (VENV,), VENV, normalise=True))
    runtime.append(Copy(BuildContext(ignore), (".",), workdir, normalise=True))
    runtime.append(configure)
    facts = (
        *_project(pyproject),
        Fact("requirements", needs.requirements.path or "none", needs.why),
        replace(python, value=python.value or "the base's own"),
        source,
        Fact("entry point", " ".join(entry.words or entry.cmd), entry.why),
        Fact("files", "none" if ignore == files.NONE else f"the project's, in {workdir}", which),
        *([Fact("packages", ", ".join(packages), settings.source or "--package")] if packages else []),
        *_compiled(builds, settings),
    )
    return Plan(
        stages=(
            Stage("compile", origin, compiling, f"install the requirements into {VENV}"),
            Stage("runtime", origin, tuple(runtime), f"the base, {VENV} and the application"),
        ),
        target="runtime",
        platform=Platform("linux", "unknown"),  # plans() sets it
        epoch=_epoch(options),
        facts=facts,
    )


def _bytecode(settings: Config, options: ProjectOptions) -> bool:
    chosen = settings.bytecode if options.bytecode is None else options.bytecode
    return chosen is not False


def _compile(needs: Needs, settings: Config, options: ProjectOptions, bytecode: bool, origin: Base) -> tuple[Step, ...]:
    wanted = replace(
        needs.requirements,
        no_binary=_names(settings.no_binary, options.no_binary),
        only_binary=_names(settings.only_binary, options.only_binary),
    )
    if wanted.kind == "none" and not wanted.projects:
        return (Virtualenv(VENV),)
    source = options.build_base or settings.build_base
    building = BuildWheels(
        wanted,
        base=Base(source, origin.python, origin.mirror) if source else None,
        packages=tuple(dict.fromkeys((*settings.build_packages, *options.build_packages))),
        env=tuple({**dict(settings.build_env), **dict(options.build_env)}.items()),
        config_settings=(*settings.config_settings, *options.config_settings),
        constraints=settings.build_constraints,
        native_libs=options.native_libs or settings.native_libs or "packages",
    )
    return Virtualenv(VENV), building, Install(wanted, VENV, bytecode)


def _names(*given: tuple[str, ...]) -> tuple[str, ...]:
    """Distributions in the order of ``given``; as with pip, ``:none:`` forgets those before it."""
    found: list[str] = []
    for name in (name for names in given for name in names):
        found = [] if name == ":none:" else [*found, name]
    return tuple(dict.fromkeys(found))


def _compiled(builds: BuildWheels | None, settings: Config) -> tuple[Fact, ...]:
    """What was said of how to compile."""
    if builds is None:
        return ()
    told = {"build base": builds.base.source if builds.base else "", "build packages": ", ".join(builds.packages)}
    return tuple(Fact(name, value, settings.source or "command line") for name, value in told.items() if value)


def _files(folder: Folder, settings: Config, needs: Needs, entry: EntryPoint) -> tuple[tuple[str, ...], str]:
    """The patterns that choose the application's files, and a word on why."""
    if entry.installed and "." in needs.requirements.projects:
        return files.only(settings)
    return files.patterns(folder, settings)


def _check_script(folder: Folder, entry: EntryPoint, ignore: tuple[str, ...]) -> None:
    """A script that the entry point runs must not be left out."""
    for word in (*entry.words, *entry.cmd)[:4]:
        path = word.removeprefix("./")
        if path.endswith(".py") and not path.startswith("/") and folder.has(path) and Patterns(ignore).matches(path):
            raise UsageError(
                f"the entry point {path} is left out of the image",
                place=Place(files.IGNORE_FILE) if folder.has(files.IGNORE_FILE) else None,
                hint=f'Take it back in with !{path} in .dockerignore, or include = ["{path}"] in [tool.wherry].',
            )


def _project(pyproject: Document) -> tuple[Fact, ...]:
    name = pyproject.table("project").get("name")
    return (Fact("project", name, pyproject.file),) if isinstance(name, str) else ()


def _epoch(options: ProjectOptions) -> int:
    if options.epoch is not None:
        return options.epoch
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return DEFAULT_EPOCH
    if not text.isdecimal() or int(text) > _LATEST:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="It is a whole number of seconds since 1970.")
    return int(text)

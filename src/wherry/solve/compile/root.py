"""The files that a compile stage builds in: a base with the target's Python, a toolchain, and what was asked for.

They are a stage like any other: a base with layers on top, each kept and unpacked once. None of them ships.
"""

from __future__ import annotations

from dataclasses import replace

from wherry.errors import UsageError, WherryError
from wherry.events import Task
from wherry.layers.compression import Compression
from wherry.plan import Base, BuildWheels, Install, Packages, Requirements, Virtualenv
from wherry.solve.base import open_base
from wherry.solve.compile.backend import ENVIRONMENT
from wherry.solve.snapshot import Snapshot
from wherry.solve.target import target_of
from wherry.solve.work import Work
from wherry.target import Target
from wherry.wheels.select import describe

TOOLCHAIN = (
    *("bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "gawk", "grep", "gzip", "hostname"),
    *("perl-base", "sed", "tar", "file", "bzip2", "xz-utils", "patch"),
    *("binutils", "g++", "gcc", "libc6-dev", "make", "pkgconf"),
)
"""Debian packages of a toolchain for C and C++, with the programs that builds take for granted."""

_COMPRESSION = Compression("zstd", 1)  # nobody sends these layers anywhere


def local(work: Work) -> Work:
    """``work`` for layers that stay on this machine."""
    return replace(work, options=replace(work.options, compression=_COMPRESSION))


def compile_base(step: BuildWheels, snapshot: Snapshot, target: Target, work: Work, task: Task) -> Snapshot:
    """The base of the compile stage for ``target``: the one that was asked for, or else that of ``snapshot``.

    Raises :class:`UsageError` if what is built on it would not run on the target.
    """
    if step.base is None:
        return replace(snapshot, added=(), history=(), wheels=(), chosen=())
    base = replace(step.base, platform=target.platform)
    try:
        opened = open_base(base, work, task)
    except WherryError as error:
        error.message = f"build-base {step.base.source}: {error.message}"
        raise
    return checked(opened, target, step.base.source)


def checked(snapshot: Snapshot, target: Target, name: str) -> Snapshot:
    """``snapshot``, whose base is called ``name``, if what is built on it runs on ``target``."""
    try:
        here = target_of(snapshot)
    except UsageError as error:
        raise UsageError(f"build-base {name}: {error.message}", hint="Choose one that has the base's Python.") from None
    hint = "build-base must have the C library and the Python of the base that the image stands on."
    if here.platform.architecture != target.platform.architecture:
        raise UsageError(f"build-base {name} is for {here.platform}, the image for {target.platform}", hint=hint)
    if here.libc.family != target.libc.family:
        raise UsageError(
            f"build-base {name} has {here.libc}, the image's base {target.libc}: "
            f"an extension that is built for one cannot be loaded by the other",
            hint=hint,
        )
    if (here.libc.major, here.libc.minor) > (target.libc.major, target.libc.minor):
        raise UsageError(
            f"build-base {name} has {here.libc}, newer than the {target.libc} of the image's base: "
            f"what is built there may need what is not in the other",
            hint="Choose an older build-base, or a newer base.",
        )
    if here.interpreter.minor != target.interpreter.minor:
        raise UsageError(
            f"build-base {name} has Python {here.interpreter.version}, the image's base {target.interpreter.version}: "
            f"an extension is built for one feature version",
            hint=hint,
        )
    return snapshot


def furnished(base: Snapshot, step: BuildWheels, work: Work, task: Task, *, toolchain: bool) -> Snapshot:
    """``base`` with what compiling takes: with ``toolchain`` that and Python's headers, and the step's packages.

    A base that was chosen to build on has its own toolchain. Raises :class:`UsageError` if nothing can be added.
    """
    target = target_of(base)
    names: tuple[str, ...] = ()
    if toolchain:
        names = step.packages
        if step.base is None:
            names = (*TOOLCHAIN, *_headers(target), *names)
    if not names:
        return _stacked(base)
    if step.base is None and target.libc.family == "musl":
        raise UsageError(
            f"to compile for {describe(target)} takes a build-base: the base itself has no toolchain that "
            "could be added to it",
            hint='build-base = "IMAGE" under [tool.wherry], or --build-base: an image with the same C library and '
            "Python, a compiler and what the extensions need.",
        )
    from wherry.solve.packages import add_packages

    with task.step("toolchain") as part:
        return _stacked(add_packages(Packages(tuple(dict.fromkeys(names))), base, local(work), part))


def _headers(target: Target) -> tuple[str, ...]:
    """The package with the headers of Debian's own Python; another one's come with it."""
    executable = target.interpreter.executable
    return (f"libpython{target.interpreter.minor}-dev",) if executable.startswith("/usr/bin/") else ()


def environment(requirements: Requirements, root: Snapshot, work: Work, task: Task) -> Snapshot:
    """``root`` with a virtual environment of ``requirements`` (those of a backend), whose wheels are all there."""
    from wherry.solve.install import install
    from wherry.solve.virtualenv import create_virtualenv

    here = local(work)
    empty = create_virtualenv(Virtualenv(ENVIRONMENT), root, here, task)
    if not requirements.lines:
        return _stacked(empty)
    return _stacked(install(Install(requirements, ENVIRONMENT, bytecode=False), empty, here, task))


def _stacked(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with each layer a folder of its own on the disk, which all stages that have it share."""
    added = tuple(replace(one, state=f"layer {one.layer.descriptor.digest}") for one in snapshot.added)
    return replace(snapshot, added=added)


def native_base(base: Base) -> Base:
    """``base`` for this machine."""
    from wherry.image import Platform

    return replace(base, platform=Platform.native())

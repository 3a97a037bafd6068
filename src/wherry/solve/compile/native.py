"""The shared libraries that a built wheel takes from elsewhere: whose they are, which the runtime lacks, vendoring."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from wherry.errors import WherryError
from wherry.events import Task
from wherry.fetch import Download
from wherry.image import Platform
from wherry.image.json import as_strings
from wherry.sandbox.trial import KINDS
from wherry.solve.keys import cache_key, content_of
from wherry.solve.snapshot import Snapshot
from wherry.solve.states import open_stack
from wherry.solve.work import Work
from wherry.sources.files import files
from wherry.store.files import remove_tree, storing
from wherry.target import Target
from wherry.wheels.built import Library
from wherry.wheels.distribution import Distribution
from wherry.wheels.elf import Machine
from wherry.wheels.libraries import Needed, external
from wherry.wheels.linker import CONF, Found, Linker, provided
from wherry.wheels.owners import Owners
from wherry.wheels.root import Root
from wherry.wheels.select import describe
from wherry.wheels.vendor import vendor
from wherry.wheels.wheelfile import WheelFile

Patchelf = Callable[[Sequence[str], Path], None]
"""Runs patchelf with these arguments in this folder."""


def libraries_of(
    wheel: Path, snapshot: Snapshot, target: Target, work: Work, task: Task, *, what: str
) -> tuple[Library, ...]:
    """The libraries that ``wheel`` needs and does not hold, as they are in the files of ``snapshot``, by name.

    Those of the C library are left out. Raises :class:`WherryError` for a wheel that is linked to another C library
    than the target's. ``what`` was built, for errors.
    """
    needs = _needs(wheel, target)
    others = {one.libc for one in needs} - {"", target.libc.family}
    if others:
        raise WherryError(
            f"the wheel of {what} is linked to {' and '.join(sorted(others))}, and is for {describe(target)}",
            hint="Its build did not use the compile stage's own compiler and libraries.",
        )
    wanted = [one for one in needs if not one.libc]
    if not wanted:
        return ()
    with open_stack(snapshot, work, task.note) as lowers:
        root = Root(lowers)
        found = Linker(root, target.libc.family).resolve(wanted)
        owners = Owners(root)
        for one in found.missing:
            if not one.elsewhere:
                task.note(f"{what}: {', '.join(one.by)} needs {one.soname}, which is nowhere in the compile stage")
        return tuple(
            Library(one.soname, owners.owner(found.found[one.soname].name) or "")
            for one in sorted(wanted, key=lambda one: one.soname)
            if one.soname in found.found
        )


def packages_for(libraries: Iterable[Library], snapshot: Snapshot, work: Work) -> set[str]:
    """The Debian packages of those of ``libraries`` that the base of ``snapshot`` lacks.

    Raises :class:`WherryError` for a library that came from no package.
    """
    wanted = sorted(set(libraries), key=lambda one: one.soname)
    lacking = _lacking((one.soname for one in wanted), snapshot, work)
    strays = [one.soname for one in wanted if one.soname in lacking and not one.package]
    if strays:
        raise WherryError(
            f"wheels that were built need {', '.join(strays)}, which the base does not have, "
            "and which no Debian package of the compile stage brought",
            hint='native-libs = "vendor" under [tool.wherry] puts them into the wheels.',
        )
    return {one.package for one in wanted if one.soname in lacking}


def vendored(
    wheel: Path,
    libraries: Iterable[Library],
    runtime: Snapshot,
    snapshot: Snapshot,
    target: Target,
    work: Work,
    task: Task,
    patchelf: Callable[[Path], Patchelf],
) -> tuple[Path, tuple[Library, ...]]:
    """``wheel`` with the libraries in it that ``runtime`` lacks and ``snapshot`` has, and those that are left.

    ``patchelf`` makes a function that edits the files in a folder. Raises :class:`WherryError` if one cannot be edited.
    """
    known = tuple(libraries)
    needs = [one for one in _needs(wheel, target) if one.soname in {library.soname for library in known}]
    with open_stack(snapshot, work, task.note) as lowers:
        root = Root(lowers)
        closure = Linker(root, target.libc.family).resolve(needs).found
        lacking = _lacking(closure, runtime, work)
        taken = [one for name, one in closure.items() if name in lacking]
        if not taken:
            return wheel, known
        with task.step(f"vendor {', '.join(sorted(one.soname for one in taken))}"):
            made = _made(wheel, taken, root, target, work, patchelf)
    return made, tuple(one for one in known if one.soname not in lacking)


def _made(
    wheel: Path,
    taken: Sequence[Found],
    root: Root,
    target: Target,
    work: Work,
    patchelf: Callable[[Path], Patchelf],
) -> Path:
    place = work.store.scratch() / f"vendor-{os.urandom(8).hex()}"
    with storing(place):
        place.mkdir(parents=True)
    new = wheel.with_name(f"{wheel.name}.new")
    try:
        with WheelFile.open(wheel, _distribution(wheel)) as opened:
            vendor(
                opened,
                taken,
                root,
                python=target.interpreter.minor,
                epoch=work.plan.epoch,
                patchelf=patchelf(place),
                work=place,
                target=new,
            )
        new.replace(wheel)
    finally:
        remove_tree(place)
    return wheel


def _lacking(sonames: Iterable[str], snapshot: Snapshot, work: Work) -> frozenset[str]:
    """Those of ``sonames`` that the base of ``snapshot`` does not have where its linker looks; remembered."""
    asked = sorted(set(sonames))
    if not asked:
        return frozenset()
    base = snapshot.base
    key = cache_key("lacking", base=content_of(base), sonames=list(asked))
    value = work.store.cache.get(key)
    if value is None:
        found = files(base, work.store, CONF)
        libc = snapshot.facts.libc
        family = libc.family if libc else "glibc"
        have = provided(found.entries, machine_of(base.config.platform), family, found.data)
        value = {"lacking": [name for name in asked if name not in have]}
        work.store.cache.put(key, value)
    return frozenset(as_strings(value.get("lacking"), key))


def machine_of(platform: Platform) -> Machine:
    """What programs for ``platform`` are made for."""
    kind = KINDS.get(platform.architecture, KINDS["amd64"])
    return Machine(kind.machine, kind.bits, kind.order == "<")


def _needs(wheel: Path, target: Target) -> tuple[Needed, ...]:
    with WheelFile.open(wheel, _distribution(wheel)) as opened:
        return external(opened, target.interpreter.minor)


def _distribution(wheel: Path) -> Distribution:
    """What the wheel's name says that it is."""
    from packaging.utils import parse_wheel_filename

    name, version, _, _ = parse_wheel_filename(wheel.name)
    return Distribution(str(name), str(version), Download(wheel.as_uri(), name=wheel.name))

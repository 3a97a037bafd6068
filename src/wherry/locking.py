"""``wherry lock`` as a function: everything that floats in a project's build, pinned in a file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherry import lockfile
from wherry.events import Listener, Reporter
from wherry.fetch import Fetcher
from wherry.frontends.python import ProjectOptions
from wherry.opening import using
from wherry.pins import Ledger, Pins
from wherry.planning import project_folder
from wherry.registry.registries import Registries
from wherry.solve.work import Options, Work
from wherry.sources.supply import supplying
from wherry.store import Store


@dataclass(frozen=True, slots=True)
class Locked:
    """The lock at ``path``, what it pins, and whether it is another than before."""

    path: Path
    pins: Pins
    changed: bool


def lock(
    folder: Path | str = ".",
    request: ProjectOptions | None = None,
    *,
    options: Options | None = None,
    store: Store | None = None,
    listener: Listener | None = None,
) -> Locked:
    """Write wherry.lock beside the project in ``folder``: what a build of ``request`` is made of, as it is now.

    What is locked already and still fits stays, unless ``options.upgrade`` says otherwise; the file is written only if
    something changes. Raises :class:`~wherry.errors.WherryError`; then it is as it was.
    """
    from wherry.frontends.python.planner import plans
    from wherry.solve.pinning import ask, made_for

    root = project_folder(folder)
    options = options or Options()
    known = None if options.upgrade else lockfile.read(root)
    found = plans(root, request)
    ledger = Ledger(known, "locking")
    reporter = Reporter(listener)
    with (
        using(store) as opened,
        Fetcher(opened.files, offline=options.offline) as fetcher,
        Registries(insecure=options.insecure, offline=options.offline, note=reporter.note) as registries,
        supplying(opened, registries, reporter),
    ):
        opened.scratch()  # says to other processes that the store is in use
        for plan in found:
            ask(Work(plan, root, opened, fetcher, registries, options, reporter, pins=ledger))
    pins = ledger.taken(made_for(found, root))
    path = root / lockfile.NAME
    changed = pins != known
    if changed:
        from wherry.sinks.destination import write_file

        write_file(path, lockfile.write(pins).encode())
    return Locked(path, pins, changed)


def check_lock(folder: Path | str = ".", request: ProjectOptions | None = None) -> tuple[str, ...]:
    """What keeps the wherry.lock of the project in ``folder`` from being that of a build of ``request``, in words.

    Nothing if it is up to date. Nothing is fetched or built. Raises :class:`~wherry.errors.UsageError` for a file that
    is no lock, and as planning a build does.
    """
    from wherry.frontends.python.planner import plans
    from wherry.solve.pinning import differences, made_for

    root = project_folder(folder)
    now = made_for(plans(root, request), root)
    pins = lockfile.read(root)
    return ("there is none",) if pins is None else differences(pins.made_for, now)

"""WORKDIR: a directory that is there, and where commands start."""

from __future__ import annotations

from dataclasses import replace

from wherry.events import Task
from wherry.plan import Workdir
from wherry.solve.keys import cache_key
from wherry.solve.results import now, result_once
from wherry.solve.snapshot import Result, Snapshot
from wherry.solve.stage import instruction_of, look_of, placed, stage_tree, state_of, times_key
from wherry.solve.work import Work


def create_workdir(step: Workdir, snapshot: Snapshot, work: Work, task: Task) -> Snapshot:
    """Make the directory and those above it if they are missing (mode 0755); they belong to the stage's USER.

    As with Docker there is always a layer, which may be empty, but for ``/``.
    """
    parent, user = state_of(snapshot), snapshot.runtime.user
    key = cache_key(
        "workdir",
        parent=parent,
        path=step.path,
        user=user,
        compression=str(work.options.compression),
        times=times_key(work),
    )

    def make() -> Result:
        from wherry.solve.copy.owners import find_owner
        from wherry.solve.copy.pack import pack
        from wherry.solve.copy.target import Target

        with stage_tree(snapshot, work) as own:
            target = Target(own)
            target.make_directories(step.path, replace(look_of(work), owner=find_owner(user, own, task.note)))
            layer = pack(target.output(), work, task)
        return Result(layer, cache_key("state", of=key), now(work))

    runtime = replace(snapshot.runtime, working_dir=step.path)
    if step.path == "/":
        return snapshot.after(Result(None, parent, snapshot.created or now(work)), instruction_of(step), runtime)
    with placed(step):
        result, was_known = result_once(work, key, make)
    if was_known:
        task.cached()
    return snapshot.after(result, instruction_of(step), runtime)

"""Run: a command in the files of its stage; what it changes is a layer."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

from wherry.errors import Place, WherryError
from wherry.events import Task
from wherry.image import Layer
from wherry.layers.changes import Change, differences, seen, upper
from wherry.layers.entry import WHITEOUT
from wherry.layers.garbage import uncollected
from wherry.plan import Instruction, Run
from wherry.sandbox import (
    Command,
    CommandError,
    File,
    Overlay,
    OverlayError,
    Root,
    Sandbox,
    Ulimit,
    find_sandbox,
    find_user,
)
from wherry.solve.folders import begin_folder, take_folder, trim
from wherry.solve.keys import cache_key
from wherry.solve.mounts import Shown, mounts_key, shown
from wherry.solve.output import lines
from wherry.solve.results import now, result_once
from wherry.solve.snapshot import Result, Snapshot
from wherry.solve.stage import instruction_of, placed, state_of, times_key
from wherry.solve.states import full_folder, open_stack, state_folder, take_full
from wherry.solve.work import Work
from wherry.store.files import remove_tree

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOSTNAME = "buildkitsandbox"
"""What BuildKit calls the machine; programs that write it down give the same with both."""

_LAST_LINES = 20
_LONGEST_PATH = 3900  # bytes: Linux's 4095 without the store's own


_packing = Lock()  # one at a time: threads of Python that read many small files are slower together than in turn


class RunFailed(WherryError):
    """A command of RUN ended with another exit code than 0, in ``scene`` if that was to be kept."""

    def __init__(self, message: str, *, place: Place | None, hint: str, scene: Scene | None) -> None:
        super().__init__(message, place=place, hint=hint)
        self.scene = scene


class Scene:
    """The place where a command failed, kept so that one can look around in it."""

    def __init__(self, sandbox: Sandbox, root: Root, command: Command, held: ExitStack) -> None:
        self._sandbox = sandbox
        self._root = root
        self._command = command
        self._held = held

    def shell(self) -> int:
        """Run the interpreter of the command (of RUN's shell form: a shell) on this process's terminal."""
        return self._sandbox.start(self._root, replace(self._command, argv=self._command.argv[:1])).wait()

    def close(self) -> None:
        """Remove what is there."""
        self._held.close()


def run(step: Run, snapshot: Snapshot, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Snapshot:
    """Carry out ``step``. Raises :class:`RunFailed` if its command fails."""
    instruction = instruction_of(step)
    with placed(step):
        key = cache_key(
            "run",
            state=state_of(snapshot),
            argv=list(step.argv),
            args=[list(pair) for pair in step.args],
            env=list(snapshot.runtime.env),
            user=snapshot.runtime.user,
            workdir=snapshot.runtime.working_dir,
            mounts=mounts_key(step, work, task, stages),
            network=step.network,
            security=step.security,
            files=[list(pair) for pair in step.files],
            hosts=[list(pair) for pair in work.options.run.hosts],
            times=times_key(work),
            compression=str(work.options.compression),
        )
        made = _Execution(step, instruction, snapshot, work, task, stages)
        result, was_cached = result_once(work, key, made.result)
    if was_cached:
        task.cached()
    return snapshot.after(result, instruction)


class _Execution:
    """One command being run."""

    def __init__(
        self,
        step: Run,
        instruction: Instruction,
        snapshot: Snapshot,
        work: Work,
        task: Task,
        stages: Mapping[str, Snapshot],
    ) -> None:
        self._step = step
        self._instruction = instruction
        self._snapshot = snapshot
        self._work = work
        self._task = task
        self._stages = stages
        self._state = os.urandom(32).hex()

    def result(self) -> Result:
        """Run the command and pack what it changed."""
        with ExitStack() as held:
            shown_mounts = held.enter_context(shown(self._step, self._work, self._task, self._stages))
            memory = self._work.store.path / "sandbox"
            sandbox = find_sandbox(self._work.options.run.isolation, note=self._task.note, memory=memory)
            try:
                layer, changed = self._over_lowers(sandbox, shown_mounts, held)
            except OverlayError:
                layer, changed = self._in_copy(sandbox, shown_mounts, held)
        # Every execution is a state of its own: what a command does may differ from one time to the next. Where it
        # did nothing there is an empty layer, as with Docker, on files that are known.
        state = self._state if changed else _same_files(self._snapshot)
        return Result(layer, state, now(self._work))

    def _over_lowers(self, sandbox: Sandbox, mounts: Shown, held: ExitStack) -> tuple[Layer, bool]:
        """Run it in an overlay, whose upper directory becomes that of the layer."""
        store = self._work.store
        name = state_folder(self._state)
        lowers = held.enter_context(open_stack(self._snapshot, self._work, self._task.note))
        folder = held.enter_context(begin_folder(store, name))
        here = folder.path.parent
        discard = held.enter_context(_discarded(here))
        overlay = Overlay(lowers, here / "new").prepare()
        self._run(sandbox, overlay, lowers, mounts, held)
        layer, changed = self._pack(upper(os.fspath(overlay.upper)))
        if changed:
            overlay.upper.replace(folder.path)
            remove_tree(here / "new")
            discard.pop_all()
            trim(store, name)
        return layer, changed

    def _in_copy(self, sandbox: Sandbox, mounts: Shown, held: ExitStack) -> tuple[Layer, bool]:
        """Run it in a directory that holds everything, and find out what it changed."""
        name = full_folder(self._state)
        folder = held.enter_context(take_full(self._snapshot, self._work, self._state, self._task.note))
        discard = held.enter_context(_discarded(folder.path.parent))
        before = seen(os.fspath(folder.path))
        self._run(sandbox, folder.path, (folder.path,), mounts, held)
        lent = {path.strip("/") for path in (*self._files(mounts), *(mount.target for mount in mounts.mounts))}
        layer, changed = self._pack(differences(os.fspath(folder.path), before, lent))
        discard.pop_all()
        if not changed:  # it goes on as the directory of the files that are the same
            folder.close()
            if same := take_folder(self._work.store, name, full_folder(_same_files(self._snapshot))):
                same.close()
        trim(self._work.store, name)
        return layer, changed

    def _run(self, sandbox: Sandbox, root: Root, lowers: tuple[Path, ...], mounts: Shown, held: ExitStack) -> None:
        import subprocess

        from wherry.sandbox.emulation import check_program

        command = self._command(lowers, mounts)
        check_program(command, lowers, self._snapshot.base.config.platform)
        last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            process = sandbox.start(
                root, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except CommandError as error:
            text = f"cannot be run: {error.message} (exit code: {error.exit_code})"
            raise self._failed(text, last, None) from error
        with self._work.stop.watching(process), process:
            for line in lines(process):
                last.append(line)
                self._task.output(line)
            code = process.wait()
        self._work.stop.check()
        if code:
            text = f"did not complete successfully: exit code: {code}"
            scene = None
            if self._work.options.run.shell_on_failure:
                scene = Scene(sandbox, root, command, held.pop_all())
            raise self._failed(text, last, scene)

    def _failed(self, text: str, last: Iterable[str], scene: Scene | None) -> RunFailed:
        lines = [f"{self._instruction.text} {text}", *(f"  | {line}" for line in last)]
        hint = "" if scene else "`wherry build --shell-on-failure` opens a shell where it failed."
        return RunFailed("\n".join(lines), place=None, hint=hint, scene=scene)

    def _command(self, lowers: tuple[Path, ...], mounts: Shown) -> Command:
        step, runtime, options = self._step, self._snapshot.runtime, self._work.options.run
        user = find_user(lowers, runtime.user)
        env = {
            "PATH": DEFAULT_PATH,
            "HOME": user.home,
            **dict(step.proxies),
            **runtime.environment(),
            **dict(step.args),
        }
        if self._work.plan.times == "clamped":
            env.setdefault("SOURCE_DATE_EPOCH", str(self._work.plan.epoch))
        return Command(
            self._step.argv,
            {**env, **mounts.env},
            cwd=runtime.working_dir or "/",
            uid=user.uid,
            gid=user.gid,
            groups=user.groups,
            mounts=mounts.mounts,
            files=self._files(mounts),
            network="none" if self._step.network == "none" else "host",
            hostname=HOSTNAME,
            no_new_privileges=False,
            ulimits=tuple(Ulimit(one.name, one.soft, one.hard) for one in options.ulimits),
            shm_size=options.shm_size,
            cgroup_parent=options.cgroup_parent,
            security=self._step.security,
        )

    def _files(self, mounts: Shown) -> Mapping[str, File]:
        """The small files that the command is shown."""
        return {**mounts.files, **network_files(self._step.network, self._work.options.run.hosts)}

    def _pack(self, changes: Iterable[Change]) -> tuple[Layer, bool]:
        """A layer of ``changes``, and whether there are any."""
        from wherry.layers.records import keep_records
        from wherry.layers.writer import LayerWriter

        plan, store = self._work.plan, self._work.store
        some = False
        made = LayerWriter(store.blobs, self._work.options.compression, records=True)
        with made as writer:
            with _short_paths(), _packing, uncollected():
                for change in changes:
                    some = True
                    row = change.row
                    name = row[0].rpartition("/")[2]
                    if name.startswith(WHITEOUT) and (change.path or row[1] != "file"):
                        self._task.note(f"/{row[0]}: in a layer such a name says that something is removed")
                    if plan.times != "real" and row[6] > plan.epoch:
                        row = (*row[:6], plan.epoch, *row[7:])
                    writer.add_row(row, change.read() if change.path else ())
            layer = writer.finish()
            keep_records(store, layer.descriptor.digest, writer.rows or ())
        return layer, some


def _same_files(snapshot: Snapshot) -> str:
    """The state after a command that did nothing to the files of ``snapshot``."""
    return cache_key("same files", of=state_of(snapshot))


@contextmanager
def _short_paths() -> Iterator[None]:
    """Say what is wrong where a command left directories deeper than a path can say."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        end = os.fspath(error.filename or "")[-60:]
        message = f"the command left a path that is too long to be packed, on this system: …{end}"
        raise WherryError(message, hint=f"Paths have at most some {_LONGEST_PATH} bytes.") from error


def _discarded(folder: Path) -> ExitStack:
    """Removes ``folder`` at its end, unless that is called off."""
    stack = ExitStack()
    stack.callback(_remove, folder)
    return stack


def _remove(folder: Path) -> None:
    if folder.exists():
        remove_tree(folder)


def network_files(network: str, hosts: tuple[tuple[str, str], ...]) -> dict[str, File]:
    """/etc/hosts and /etc/resolv.conf as BuildKit gives them: to be read, not written."""
    lines = [f"127.0.0.1\tlocalhost {HOSTNAME}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in hosts]
    files = {"/etc/hosts": File("\n".join([*lines, ""]).encode(), 0o644)}
    if network != "none":
        with suppress(OSError):
            files["/etc/resolv.conf"] = File(Path("/etc/resolv.conf").read_bytes(), 0o644)
    return files

"""Calls a build backend's hooks (PEP 517) in the sandbox, in the files of a compile stage, without the network."""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import WherryError
from wherry.events import Task
from wherry.image import Image
from wherry.image.json import Json
from wherry.sandbox import Command, CommandError, File, Mount, Network, Overlay, OverlayError, Root, find_sandbox
from wherry.sandbox.builtin import BuiltinSandbox
from wherry.solve.folders import begin_folder
from wherry.solve.mounts import Shown, certificates
from wherry.solve.output import lines
from wherry.solve.rootfs import unpack_into
from wherry.solve.run import DEFAULT_PATH, network_files
from wherry.solve.snapshot import Snapshot
from wherry.solve.states import open_stack, state_folder
from wherry.solve.work import Work
from wherry.store.files import remove_tree
from wherry.wheels.backend import BuildSystem

ENVIRONMENT = "/opt/build"
"""The virtual environment that a backend runs in."""

_PLACE = "/build"
_SOURCE, _OUT, _HOME = f"{_PLACE}/source", f"{_PLACE}/out", f"{_PLACE}/home"
_WORKER = f"{_PLACE}/backend.py"
_ANSWER = "answer.json"
_PROXIES = tuple(name for one in ("http_proxy", "https_proxy", "no_proxy", "all_proxy") for name in (one, one.upper()))
_LAST_LINES = 400  # of output that a failure may quote from
_LARGEST = 1 << 20  # bytes of an answer

Settings = Mapping[str, str | list[str]]


class BackendFailed(Exception):
    """A backend did not do what it was asked for; ``output`` is what it said."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend, ready to be called: the files that it runs in, and the source tree that it works on.

    ``folder`` is on this machine and holds ``subdirectory``, the project; ``out`` takes what is made, ``home`` is
    a home that stays from one call to the next. ``env`` are variables beyond the usual.
    """

    snapshot: Snapshot
    system: BuildSystem
    folder: Path
    subdirectory: str
    out: Path
    home: Path
    env: Mapping[str, str]
    settings: Settings
    work: Work

    def requires(self, task: Task) -> tuple[str, ...]:
        """What else building a wheel requires (``get_requires_for_build_wheel``). Raises :class:`BackendFailed`."""
        answer = self._call("get_requires_for_build_wheel", [self._settings()], task)
        found = [] if answer is None else answer
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise BackendFailed("the backend's get_requires_for_build_wheel gives no list of requirements")
        return tuple(map(str, found))

    def wheel(self, task: Task) -> Path:
        """Build the wheel; gives its file in ``out``. Raises :class:`BackendFailed`."""
        answer = self._call("build_wheel", [_OUT, self._settings()], task)
        name = answer if isinstance(answer, str) else ""
        path = self.out / name
        if "/" in name or not name.endswith(".whl") or path.is_symlink() or not path.is_file():
            raise BackendFailed(f"the backend's build_wheel gives {answer!r}, and there is no such wheel")
        return path

    def run(self, argv: tuple[str, ...], task: Task, *, network: Network = "none") -> None:
        """Run another command in the project's folder. Raises :class:`BackendFailed`."""
        with ExitStack() as held:
            try:
                root: Root = self._overlay(held)
                self._run(root, self._command(argv, network), task)
            except OverlayError:
                self._run(self._copy(held, task), self._command(argv, network), task)

    def _settings(self) -> Json:
        """As a hook takes them: None where there are none."""
        return {name: value if isinstance(value, str) else [*value] for name, value in self.settings.items()} or None

    def _call(self, hook: str, arguments: list[Json], task: Task) -> Json:
        request = {
            "backend": self.system.backend,
            "path": list(self.system.path),
            "hook": hook,
            "arguments": arguments,
            "answer": f"{_OUT}/{_ANSWER}",
        }
        self.run((f"{ENVIRONMENT}/bin/python", _WORKER, json.dumps(request)), task)
        try:
            value = json.loads(_read(self.out / _ANSWER))
        except (OSError, ValueError, RecursionError):
            raise BackendFailed(f"the backend ended without an answer to {hook}") from None
        found: Json = value.get("result") if isinstance(value, dict) else None
        return found

    def _overlay(self, held: ExitStack) -> Root:
        """The files of the stage, for one command to write over."""
        name = state_folder(os.urandom(32).hex())
        lowers = held.enter_context(open_stack(self.snapshot, self.work, self.work.reporter.note))
        folder = held.enter_context(begin_folder(self.work.store, name))
        held.callback(remove_tree, folder.path.parent)
        return Overlay(lowers, folder.path.parent / "new").prepare()

    def _copy(self, held: ExitStack, task: Task) -> Root:
        """The same where there are no overlays."""
        folder = held.enter_context(begin_folder(self.work.store, state_folder(os.urandom(32).hex())))
        held.callback(remove_tree, folder.path.parent)
        image = Image.of(self.snapshot.base.config, self.snapshot.layers, {})
        unpack_into(image, self.work.store, folder.path, task.note)
        return folder.path

    def _run(self, root: Root, command: Command, task: Task) -> None:
        import subprocess

        store = self.work.store
        sandbox = find_sandbox(self.work.options.run.isolation, note=task.note, memory=store.path / "sandbox")
        last: deque[str] = deque(maxlen=_LAST_LINES)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            process = sandbox.start(root, command, **pipes)
        except CommandError as error:
            raise BackendFailed(f"{command.argv[0]} cannot be run: {error.message}") from error
        except OverlayError:
            raise
        except WherryError:
            if isinstance(sandbox, BuiltinSandbox):
                raise
            process = BuiltinSandbox(task.note).start(root, command, **pipes)
        with self.work.stop.watching(process), process:
            for line in lines(process):
                last.append(line)
                task.output(line)
            code = process.wait()
        self.work.stop.check()
        if code:
            raise BackendFailed("\n".join(last) or f"{command.argv[0]} ended with exit code {code}")

    def _command(self, argv: tuple[str, ...], network: Network) -> Command:
        runtime = self.snapshot.runtime.environment()
        shown = self._connected() if network == "host" else Shown()
        env = {
            "LANG": "C.UTF-8",
            **{name: value for name, value in runtime.items() if not name.startswith(("PYTHON", "PIP_"))},
            "PATH": f"{ENVIRONMENT}/bin:{runtime.get('PATH', DEFAULT_PATH)}",
            "HOME": _HOME,
            "VIRTUAL_ENV": ENVIRONMENT,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "SOURCE_DATE_EPOCH": str(self.work.plan.epoch),
            # Nobody debugs in an image, and what debuggers need would be most of it.
            "LDFLAGS": "-Wl,--strip-debug",
            "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1),
            "CARGO_NET_OFFLINE": "true" if network == "none" else "false",
            **shown.env,
            **self.env,
        }
        worker = Path(__file__).parents[2] / "wheels" / "backend_worker.py"
        return Command(
            argv,
            env,
            cwd=f"{_SOURCE}/{self.subdirectory}".removesuffix("/."),
            mounts=(Mount(self.folder, _SOURCE), Mount(self.out, _OUT), Mount(self.home, _HOME)),
            files={_WORKER: File(worker.read_bytes(), 0o644), **shown.files},
            network=network,
            hostname="localhost",
            no_new_privileges=False,
        )

    def _connected(self) -> Shown:
        """What a command needs for the network: how names are resolved, proxies, and certificates as for RUN."""
        run = self.work.options.run
        proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
        lent = certificates() if run.host_certs else Shown()
        named = {"CARGO_HTTP_CAINFO": lent.env["SSL_CERT_FILE"]} if run.host_certs else {}
        return Shown((), {**lent.files, **network_files("default", run.hosts)}, {**lent.env, **named, **proxies})


def _read(path: Path) -> bytes:
    """A small file that a backend has left, whatever it has left there: no link, no pipe, no device is followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            raise OSError("no small file")
        data = file.read(_LARGEST)
    path.unlink()
    return data

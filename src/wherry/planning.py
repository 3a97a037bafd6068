"""What is to be built: a context and what the user says of it, to Plans; a Dockerfile's or a project's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from wherry.errors import UsageError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.frontends.python import ProjectOptions
from wherry.image import Image, ImageConfig, Platform
from wherry.plan import DEFAULT_EPOCH, Base, Plan, RunNetwork
from wherry.registry.registries import Registries
from wherry.solve.work import Options
from wherry.store import Store

Frontend = Literal["auto", "dockerfile", "project"]


@dataclass(frozen=True, slots=True)
class DockerfileRequest:
    """What the user says of a Dockerfile build. ``file`` is its path (``-``: standard input), or empty.

    ``platforms`` empty means this machine's; ``network`` is that of each RUN that does not say one.
    """

    file: str = ""
    build_args: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platforms: tuple[Platform, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    network: RunNetwork = "default"
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """Plans, one for each platform; the folder that is their build context; and the images opened to make them."""

    plans: tuple[Plan, ...]
    context: Path
    images: Mapping[Base, Image]


@contextmanager
def planned(
    context: Path | str,
    request: DockerfileRequest | ProjectOptions,
    options: Options,
    store: Store,
    fetcher: Fetcher,
    registries: Registries,
    reporter: Reporter,
) -> Iterator[Planned]:
    """Plans for ``context``, which is good within the block.

    Raises :class:`~wherry.errors.WherryError` if the context, the Dockerfile or a base makes no sense.
    """
    if isinstance(request, ProjectOptions):
        from wherry.frontends.python.planner import plans

        folder = project_folder(context)
        yield Planned(plans(folder, request), folder, {})
        return
    with ExitStack() as stack:
        yield _dockerfile(str(context), request, options, store, fetcher, registries, reporter, stack)


def is_dockerfile_build(context: Path | str, frontend: Frontend) -> bool:
    """Whether ``context`` is built from a Dockerfile: where one lies in it, or it is no folder of this machine."""
    if frontend != "auto":
        return frontend == "dockerfile"
    folder = Path(context)
    if not folder.is_dir():
        return folder.is_file() or str(context) == "-" or "://" in str(context) or str(context).startswith("git@")
    # One that is no file, or a link to nothing, is meant to be one: to read it says what is wrong.
    return any(os.path.lexists(folder / name) for name in ("Dockerfile", "dockerfile"))


def project_folder(path: Path | str) -> Path:
    """The folder of a project. Raises :class:`UsageError` if it is none."""
    root = Path(path)
    if not root.exists():
        raise UsageError(f"there is no folder {str(path)!r}")
    if not root.is_dir():
        raise UsageError(f"{str(path)!r} is not a folder", hint="Name the folder that holds the project.")
    return root.resolve()


def _dockerfile(
    context: str,
    request: DockerfileRequest,
    options: Options,
    store: Store,
    fetcher: Fetcher,
    registries: Registries,
    reporter: Reporter,
    stack: ExitStack,
) -> Planned:
    from wherry.frontends.dockerfile import DockerfileOptions, plan
    from wherry.sources.dockerfile import find_dockerfile
    from wherry.sources.location import open_context

    with reporter.step("load the build definition") as task:
        opened = stack.enter_context(open_context(context, store=store, fetcher=fetcher, task=task))
        found = find_dockerfile(opened, request.file)
        bases = _Bases(opened.root, options, store, fetcher, registries, task, epoch(dict(request.build_args)))
        asked = DockerfileOptions(
            file=found.name,
            build_args=request.build_args,
            target=request.target,
            build_platform=Platform.native(),
            contexts=tuple(options.contexts),
            labels=request.labels,
            ignore=(*found.ignore, *request.leave_out),
            epoch=epoch({}),
            network=request.network,
        )
        platforms = request.platforms or (Platform.native(),)
        made = tuple(plan(found.text, replace(asked, platform=one), bases.of(one)) for one in platforms)
        task.detail = found.name
        for one in made:
            for note in one.notes:
                task.note(note)
        unknown = set(options.no_cache_stages) - {stage.name for plan in made for stage in plan.stages}
        for name in sorted(unknown):
            task.note(f"--no-cache-filter {name}: there is no such stage")
    return Planned(made, opened.root, bases.images)


def epoch(arguments: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH of the build arguments, or else of the environment; None if there is none."""
    text = arguments.get("SOURCE_DATE_EPOCH", os.environ.get("SOURCE_DATE_EPOCH", ""))
    if not text:
        return None
    if not text.isdecimal() or int(text) > 253402300799:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="It is a whole number of seconds since 1970.")
    return int(text)


class _Bases:
    """The bases that a Dockerfile names, opened when their configs are asked for; each once."""

    def __init__(
        self,
        context: Path,
        options: Options,
        store: Store,
        fetcher: Fetcher,
        registries: Registries,
        task: Task,
        epoch: int | None,
    ) -> None:
        self._context = context
        self._options = options
        self._store = store
        self._fetcher = fetcher
        self._registries = registries
        self._task = task
        self._epoch = DEFAULT_EPOCH if epoch is None else epoch
        self.images: dict[Base, Image] = {}

    def of(self, platform: Platform) -> _Resolver:
        """What answers for stages of ``platform``."""
        return _Resolver(self, platform)

    def image(self, base: Base, platform: Platform) -> Image:
        """The image of ``base``."""
        from wherry.solve.image import open_image

        base = replace(base, platform=base.platform or platform)
        if base not in self.images:
            with self._task.step(f"base {base.source}") as part:
                self.images[base] = open_image(
                    base,
                    platform,
                    context=self._context,
                    store=self._store,
                    fetcher=self._fetcher,
                    registries=self._registries,
                    options=self._options,
                    epoch=self._epoch,
                    task=part,
                )
        return self.images[base]


class _Resolver:
    """The configs of bases for one platform."""

    def __init__(self, bases: _Bases, platform: Platform) -> None:
        self._bases = bases
        self._platform = platform

    def config(self, base: Base) -> ImageConfig:
        """The config of ``base``."""
        return self._bases.image(base, self._platform).config

"""``wherry build``: an image of what a folder holds: a Dockerfile, or a Python project without one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

import wherry
from wherry.cli.dockerfile import build_arguments, dockerfile_options, run_options, run_settings
from wherry.cli.interrupt import stopping
from wherry.cli.measures import human_size, human_time
from wherry.cli.options import insecure_option, key_values, progress_option, store_option
from wherry.cli.progress import STYLES, json_line, progress
from wherry.cli.project import Project, parse_platforms, project_options
from wherry.errors import UsageError, WherryError

if TYPE_CHECKING:
    from wherry.plan import Plan, RunNetwork
    from wherry.planning import Frontend
    from wherry.sinks import Output
    from wherry.solve.settings import Entitlement
    from wherry.sources.base import Pull


class _Build(click.Command):
    """``--pull`` may stand alone, as with Docker, and takes its value after ``=`` only."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        meant = {"--pull": "always", "--pull=true": "always", "--pull=false": "missing"}
        return super().parse_args(ctx, [f"--pull={meant[arg]}" if arg in meant else arg for arg in args])


@click.command("build", cls=_Build)
@click.argument("path", default=".", metavar="[PATH|URL|-]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="A name for the image; many times.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="TYPE,DEST",
    help="Where else the image goes: type=oci|docker|local|tar,dest=PATH or type=registry.",
)
@click.option("--load", is_flag=True, help="Load the image into docker or podman; short for -o type=docker.")
@click.option("--push", is_flag=True, help="Send the image to the registries that its names say; -o type=registry.")
@insecure_option
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="What the image runs on; many times or comma-separated.",
)
@dockerfile_options
@run_options
@project_options
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label in the image's config.")
@click.option("--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="An annotation in the manifest.")
@click.option("--compression", default="gzip", show_default=True, metavar="NAME", help="gzip, zstd or uncompressed.")
@click.option("--compression-level", type=int, metavar="N", help="gzip: 0-9, zstd: 1-22.")
@click.option("--no-cache", is_flag=True, help="Do every step again.")
@click.option(
    "--cache-from",
    "cache_from",
    multiple=True,
    metavar="NAME|TYPE,…",
    help="Results of other machines: type=registry,ref=NAME or type=local,src=DIR; many times.",
)
@click.option(
    "--cache-to",
    "cache_to",
    multiple=True,
    metavar="TYPE,…",
    help="Write the results for other machines: type=registry,ref=NAME, type=local,dest=DIR or type=inline.",
)
@click.option("--upgrade", is_flag=True, help="Resolve the requirements anew.")
@click.option("--no-lock", is_flag=True, help="Build without wherry.lock.")
@click.option(
    "--pull",
    type=click.Choice(["missing", "always", "never"]),
    default="missing",
    show_default=True,
    help="When a base is asked for at its registry; --pull alone is always.",
)
@click.option("--offline", is_flag=True, help="Use no network: what is in the store serves.")
@click.option("--iidfile", type=click.Path(path_type=Path, dir_okay=False), help="Write the image ID to a file.")
@click.option(
    "--metadata-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the result's digests to a file."
)
@click.option(
    "--print",
    "print_",
    type=click.Choice(["plan", "plan-json"]),
    help="Show what would be built, and why; build nothing.",
)
@progress_option(STYLES)
@click.option("-q", "--quiet", is_flag=True, help="Print the image ID only.")
@store_option
def command(
    path: str,
    *,
    tags: tuple[str, ...],
    outputs: tuple[str, ...],
    load: bool,
    push: bool,
    insecure: tuple[str, ...],
    platforms: tuple[str, ...],
    file: str | None,
    frontend: Frontend,
    build_args: tuple[str, ...],
    target: str | None,
    build_contexts: tuple[str, ...],
    no_cache_filters: tuple[str, ...],
    secrets: tuple[str, ...],
    ssh: tuple[str, ...],
    network: RunNetwork,
    hosts: tuple[str, ...],
    ulimits: tuple[str, ...],
    shm_size: str | None,
    cgroup_parent: str | None,
    isolation: str,
    allowed: tuple[Entitlement, ...],
    host_certs: bool,
    shell_on_failure: bool,
    project: Project,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    compression: str,
    compression_level: int | None,
    no_cache: bool,
    cache_from: tuple[str, ...],
    cache_to: tuple[str, ...],
    upgrade: bool,
    no_lock: bool,
    pull: Pull,
    offline: bool,
    iidfile: Path | None,
    metadata_file: Path | None,
    print_: str | None,
    style: str,
    quiet: bool,
    store: Path | None,
) -> int:
    """Build an image of what PATH holds (default: here): its Dockerfile, or the Python project where there is none.

    The image goes into the store under every -t NAME; -o and --load send it elsewhere as well.
    """
    from wherry.layers.compression import Compression

    short_for = {"type=docker": load, "type=registry": push}
    wanted = _outputs((*outputs, *(text for text, asked in short_for.items() if asked)))
    written = [*(output.dest for output in wanted if output.dest not in {"", "-"}), iidfile, metadata_file]
    leave_out = _inside(Path(path), [Path(one) for one in written if one])
    chosen = parse_platforms(platforms)
    asked = {"--file": file, "--build-arg": build_args, "--target": target, "--build-context": build_contexts}
    request: wherry.DockerfileRequest | wherry.ProjectOptions
    if _is_dockerfile(path, frontend, asked):
        _refuse_others(
            "a project build",
            "--frontend project builds the project without its Dockerfile.",
            {**project.given(), **({"no-lock": True} if no_lock else {})},
        )
        request = wherry.DockerfileRequest(
            file=file or "",
            build_args=build_arguments(build_args),
            target=target or "",
            platforms=chosen,
            labels=tuple(key_values(labels, "--label").items()),
            network=network,
            leave_out=leave_out,
        )
    else:
        request = project.request(Path(path), platforms=platforms, labels=labels, leave_out=leave_out)
    options = wherry.Options(
        compression=Compression.of(compression, compression_level),
        no_cache=no_cache,
        no_cache_stages=tuple(name for given in no_cache_filters for name in given.split(",")),
        upgrade=upgrade,
        no_lock=no_lock,
        pull=pull,
        offline=offline,
        insecure=insecure,
        contexts=key_values(build_contexts, "--build-context"),
        run=run_settings(
            secrets=secrets,
            ssh=ssh,
            hosts=hosts,
            ulimits=ulimits,
            shm_size=shm_size,
            cgroup_parent=cgroup_parent,
            isolation=isolation,
            allowed=allowed,
            network=network,
            host_certs=host_certs,
            shell_on_failure=shell_on_failure,
        ),
    )
    _become_root(request)
    if print_:
        with wherry.open_store(store) as opened:
            _show(wherry.plans(path, request, options=options, store=opened), print_)
        return 0
    _check(wanted, chosen, tags, offline=offline)
    style = "quiet" if quiet else style
    start = time.monotonic()
    with (
        wherry.open_store(store, insecure=insecure) as opened,
        _errors_in_json(style),
        progress(style) as listener,
        stopping(listener.close, _stop_children, opened.abandon),
        _shell_on_failure(listener.close),
    ):
        result = wherry.build(
            path,
            request,
            names=tags,
            options=options,
            annotations=annotations,
            cache_from=cache_from,
            cache_to=cache_to,
            store=opened,
            listener=listener,
        )
        image = result.image
        if wanted:
            from wherry.sinks import export

            for output in wanted:
                image = export(
                    result.image, output, names=result.names, store=opened, insecure=insecure, listener=listener
                )
        if iidfile or metadata_file:
            from wherry.sinks import write_image_id, write_metadata

            if iidfile:
                write_image_id(iidfile, image)
            if metadata_file:
                bases = [(base.name, base.platform, base.digest) for base in result.bases]
                write_metadata(metadata_file, image, result.names, bases)
    if quiet:
        # Standard output may have had an archive.
        click.echo(result.image.id, err=any(output.dest == "-" for output in wanted))
    elif style == "json":
        json_line("result", {"names": list(result.names), "digest": result.image.digest, "size": result.size})
    else:
        click.echo(_summary(result, time.monotonic() - start), err=True)
    return 0


def _show(plans: tuple[Plan, ...], form: str) -> None:
    from wherry.plan import describe, to_json

    if form == "plan":
        click.echo("\n".join(describe(one) for one in plans), nl=False)
    else:
        click.echo(json.dumps([to_json(one) for one in plans], indent=2))


def _is_dockerfile(path: str, frontend: Frontend, asked: Mapping[str, object]) -> bool:
    """Whether this is a Dockerfile build: chosen, or there is one, or something is asked that only it has."""
    from wherry.planning import is_dockerfile_build

    given = [name for name, value in asked.items() if value]
    if frontend == "project" and given:
        raise UsageError(f"{given[0]} concerns Dockerfiles, and this is a project build")
    return is_dockerfile_build(path, frontend) or bool(given)


def _refuse_others(kind: str, hint: str, given: Mapping[str, object]) -> None:
    """Options that are of another kind of build must not be passed over in silence."""
    for name in given:
        raise UsageError(f"--{name} concerns {kind}, and this is a Dockerfile build", hint=hint)


def _become_root(request: wherry.DockerfileRequest | wherry.ProjectOptions) -> None:
    """Enter a user namespace, as RUN needs it, before there are threads; root stays as it is."""
    if isinstance(request, wherry.ProjectOptions) or sys.platform != "linux" or os.geteuid() == 0:
        return
    from wherry.sandbox import SandboxError, enter_user_namespace

    with suppress(SandboxError):  # without RUN none is needed; with it the sandbox says what is wrong
        enter_user_namespace()


@contextmanager
def _shell_on_failure(close: Callable[[], None]) -> Iterator[None]:
    """Open a shell where a RUN failed, if its place was kept, before the error is shown."""
    try:
        yield
    except WherryError as error:
        from wherry.solve.run import RunFailed

        if isinstance(error, RunFailed) and error.scene is not None:
            close()
            with closing(error.scene) as scene:
                click.echo(f"wherry: {error.message}\nwherry: a shell where it failed; leave it to end.", err=True)
                scene.shell()
        raise


@contextmanager
def _errors_in_json(style: str) -> Iterator[None]:
    """Where every line is an event, so is what went wrong."""
    try:
        yield
    except WherryError as error:
        if style != "json":
            raise
        place = str(error.place) if error.place else ""
        json_line("error", {"message": error.message, "place": place, "hint": error.hint or ""})
        raise click.exceptions.Exit(error.exit_code) from error


def _stop_children() -> None:
    """End what runs beside us; where nothing was ever started, there is not even the module."""
    if children := sys.modules.get("wherry.children"):
        children.stop_children()


def _outputs(texts: tuple[str, ...]) -> list[Output]:
    """The outputs that were asked for; what is pushed comes last, when all else is done."""
    if not texts:
        return []
    from wherry.sinks import parse_output

    return sorted(map(parse_output, texts), key=lambda output: output.push)


def _check(
    outputs: list[Output], platforms: tuple[wherry.Platform, ...], names: tuple[str, ...], *, offline: bool
) -> None:
    """Find out before anything is built what cannot be written."""
    if outputs:
        from wherry.sinks import check_outputs

        check_outputs(outputs, platforms, names, offline=offline)


def _inside(context: Path, written: list[Path]) -> tuple[str, ...]:
    """Those of the files that this build writes that lie in the project: the next one must not ship them."""
    if not context.is_dir():
        return ()
    root = context.resolve()
    found = [path.resolve() for path in written]
    return tuple(path.relative_to(root).as_posix() for path in found if root in path.parents)


def _summary(result: wherry.BuildResult, seconds: float) -> str:
    """Name, digest, size, layers, and how much of it was there before."""
    name = ", ".join(result.names) or "an image without a name (give it one with -t)"
    layers = sum(len(image.layers) for image in result.images)
    share = f", {100 * result.reused // result.size}% of it reused" if result.size else ""
    return (
        f"\nBuilt {name} in {human_time(seconds)}\n"
        f"  digest  {result.image.digest}\n"
        f"  size    {human_size(result.size)} in {layers} layers{share}"
    )

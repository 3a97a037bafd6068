"""Rows of registries: pushes and pulls of the reference project's image, and what a fresh machine takes from others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import images, shared
from bench.builders import QUICK, Bench, Project
from bench.engine import has_image_store
from bench.measure import Run, run
from bench.servers import registry
from bench.table import Row

LARGE = (50, 500)
"""Megabytes of the one layer of images whose transfers are to take the same memory."""
_SPACE = 5_000_000_000
_SPACE_FOR_DOCKER = 10_000_000_000


def rows(bench: Bench) -> Iterator[Row]:
    """All rows, measured as they are asked for; memory and sizes are noted in ``bench``."""
    needed = _SPACE_FOR_DOCKER if has_image_store(bench.docker.version()) else _SPACE
    if (free := shutil.disk_usage(bench.folder).free) < needed:
        raise SystemExit(
            f"{bench.folder}: {free / 1e9:.1f} GB are free, {needed / 1e9:.0f} are needed: set TMPDIR to another folder"
        )
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            raise SystemExit(f"there is no {program}: apt-get install {program}")
    bench.bases  # noqa: B018
    project = Project(bench, "pushed")
    with bench.fresh() as store:
        yield from _pushes(bench, store, project)
        yield from _pull(bench, store)
    for megabytes in LARGE:
        _note_large(bench, megabytes)
    yield from shared.rows(bench)


# -- the reference project's image -----------------------------------------------------------------------


def _pushes(bench: Bench, store: Path, project: Project) -> Iterator[Row]:
    """Each cold push goes to a registry, and a repository, that nobody has pushed to before."""

    def build() -> None:
        bench.ours(store, project.path, "--frontend", "project")
        bench.theirs(project.path)

    def change() -> None:
        project.change()
        build()

    def cold() -> Run:
        with _registry(bench) as host:
            return _push(bench, store, f"{host}/ours-{bench.number()}")

    def docker_cold() -> Run:
        with _registry(bench) as host:
            return _docker_push(bench, f"{host}/theirs-{bench.number()}")

    def skopeo_cold() -> Run:
        with _registry(bench) as host:
            source = f"oci:{store}:bench:latest"
            return _skopeo("--dest-tls-verify=false", source, f"docker://{host}/skopeo-{bench.number()}")

    build()
    ours, theirs, skopeo = bench.turns(cold, docker_cold, skopeo_cold)
    yield Row("push of the project's image, cold", ours, theirs, 1.0)
    yield Row("push of the project's image, cold (skopeo copy)", ours, skopeo, 1.0)
    with _registry(bench) as host, _registry(bench) as docker_host:
        _push(bench, store, f"{host}/bench")
        _docker_push(bench, f"{docker_host}/bench")
        for title, place in (("wherry", host), ("docker", docker_host)):
            bench.sizes[f"at the registry, {title}"] = images.find(f"{place}/bench").size
        ours, theirs = bench.turns(
            lambda: _push(bench, store, f"{host}/bench"),
            lambda: _docker_push(bench, f"{docker_host}/bench"),
            before=change,
            runs=QUICK,
        )
    yield Row("push, one source line changed", ours, theirs, 1.0)


def _pull(bench: Bench, store: Path) -> Iterator[Row]:
    with _registry(bench) as host:
        name = f"{host}/bench"
        bench.note("push of the project's image", _push(bench, store, name, memory=True))
        ours, skopeo = bench.turns(lambda: _pull_cold(bench, name), lambda: _skopeo_cold(bench, name))
        yield Row("pull of the project's image (skopeo copy to oci:DIR)", ours, skopeo, 1.0)
        bench.note("pull of the project's image", _pull_cold(bench, name, memory=True))
        bench.note("skopeo copy of the project's image", _skopeo_cold(bench, name, memory=True))


def _note_large(bench: Bench, megabytes: int) -> None:
    """The memory that transfers of a layer of random bytes take."""
    context = bench.folder / "random"
    context.mkdir()
    with (context / "data").open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY data /app/\n")
    with _registry(bench) as host, bench.fresh() as store:
        name, what = f"{host}/random", f"a layer of {megabytes} MB"
        bench.ours(store, context)
        bench.remove(context)
        bench.note(f"push of {what}", _push(bench, store, name, memory=True))
        bench.note(f"pull of {what}", _pull_cold(bench, name, memory=True))
        bench.note(f"skopeo copy of {what}", _skopeo_cold(bench, name, memory=True))


@contextmanager
def _registry(bench: Bench) -> Iterator[str]:
    """A registry in a folder of its own."""
    with registry(bench.folder / f"registry-{bench.number()}") as host:
        os.sync()
        yield host


def _push(bench: Bench, store: Path, name: str, *, memory: bool = False) -> Run:
    return bench.wherry(store, "push", "--progress", "plain", "bench", name, memory=memory)


def _docker_push(bench: Bench, name: str) -> Run:
    bench.docker("tag", "bench-docker", name)
    try:
        return bench.docker("push", name)
    finally:
        bench.docker("image", "rm", name)


def _pull_cold(bench: Bench, name: str, *, memory: bool = False) -> Run:
    with bench.fresh() as store:
        os.sync()
        found = bench.wherry(store, "pull", "--progress", "plain", name, memory=memory)
        images.check_layout(store, images.find(name), name)
    return found


def _skopeo_cold(bench: Bench, name: str, *, memory: bool = False) -> Run:
    with bench.fresh() as folder:
        os.sync()
        found = _skopeo("--src-tls-verify=false", f"docker://{name}", f"oci:{folder}:bench", memory=memory)
        images.check_layout(folder, images.find(name), name)
    return found


def _skopeo(*args: str, memory: bool = False) -> Run:
    return run(["skopeo", "copy", "--quiet", *args], memory=memory)

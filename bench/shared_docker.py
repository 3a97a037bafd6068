"""Docker's shared cache: what a fresh engine sends and fetches to build a project that another one has built."""

from __future__ import annotations

from pathlib import Path

from bench import base, images
from bench.builders import REFERENCE, Bench
from bench.engine import Engine, engine
from bench.measure import Run
from bench.servers import index, registry, wire
from bench.traffic import Traffic


def measure(bench: Bench, wheels: Path, requirements: str) -> tuple[Traffic, Traffic]:
    """The reference project's Dockerfile as it is with --push; and as one writes it so that layers are not fetched.

    For that, each COPY is --link, and the image is pushed but neither kept nor unpacked. Each fresh engine has both
    bases, unpacked. The index is there for the first engine alone.
    """
    context = bench.folder / "shared-docker"
    context.mkdir()
    (context / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    (context / "requirements.txt").write_text(requirements)
    bench.bases  # noqa: B018
    found = (Traffic(), Traffic())
    with registry(bench.folder / "shared") as server, wire(server) as way:
        for name in base.NAMES:  # one digest for all engines
            bench.docker("tag", name, f"{server}/{name}")
            bench.docker("push", f"{server}/{name}")
            bench.docker("image", "rm", f"{server}/{name}")
        dockerfile = (REFERENCE / "Dockerfile").read_text().replace("FROM bench-", f"FROM {way.host}/bench-")
        texts = (dockerfile, dockerfile.replace("COPY ", "COPY --link "))

        def build(docker: Engine, linked: int) -> Run:
            (context / "Dockerfile").write_text(texts[linked])
            (context / "main.py").write_text(bench.source())
            image = f"{way.host}/app-{linked}"
            cache = f"type=registry,ref={way.host}/cache:{linked}"
            output = f"type=image,name={image},push=true" + (",store=false,unpack=false" if linked else "")
            pip = f"PIP_OPTIONS=--index-url {url}"
            words = ["--network=host", "--progress=plain", "--output", output, "--build-arg", pip]
            return docker("build", *words, "--cache-to", cache, "--cache-from", cache, context)

        with index(wheels) as url, engine(image_store=True) as first:
            for linked in (0, 1):
                build(first, linked)
        for linked in (0, 1) * bench.runs:
            before = images.find(f"{server}/app-{linked}")
            with engine(image_store=True) as fresh:
                for name in base.NAMES:
                    fresh("pull", f"{way.host}/{name}")
                way.reset()
                found[linked].add(build(fresh, linked), way)
            new = images.find(f"{server}/app-{linked}").blobs.keys() - before.blobs.keys()
            if len(new) != 2:
                raise SystemExit(f"a source line should change the config and a layer; new are {', '.join(new)}")
    return found

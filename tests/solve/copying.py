"""What the tests of COPY and ADD share: stages made of entries, contexts made of files, and what came out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.errors import Place
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.image import Image, ImageConfig, Layer, Platform, RuntimeConfig
from wherry.layers import reader
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.source import LayeredTree
from wherry.layers.writer import LayerWriter
from wherry.plan import Base, BuildContext, Copy, CopySource, Instruction, Plan, Stage, StageRef, Times
from wherry.registry.registries import Registries
from wherry.solve.copy import copy
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Options, Work
from wherry.sources.base import Facts
from wherry.store import Store

PLATFORM = Platform("linux", "amd64")
PLACE = Place("Dockerfile", 3)
EXCERPT = "   1 | >>> COPY a b"
INSTRUCTION = Instruction("COPY a b", "COPY a b # buildkit", PLACE, EXCERPT)

Files = Mapping[str, "str | bytes | Entry | None"]
"""Files by path: content; None for a directory; ``-> target`` for a link; an Entry for anything else."""


def entries(files: Files) -> list[tuple[Entry, bytes]]:
    found = []
    for path, what in files.items():
        if what is None:
            found.append((Entry(path, "dir", 0o755, mtime=7), b""))
        elif isinstance(what, Entry):
            found.append((replace(what, path=path), b"x" * what.size))
        elif isinstance(what, str) and what.startswith("-> "):
            found.append((Entry(path, "symlink", 0o777, link=what[3:], mtime=7), b""))
        else:
            data = what.encode() if isinstance(what, str) else what
            found.append((Entry(path, "file", 0o644, len(data), mtime=7), data))
    return found


def write_context(root: Path, files: Files) -> None:
    """A context on the disk; Entries give modes and times."""
    for entry, data in entries(files):
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "dir":
            path.mkdir(exist_ok=True)
        elif entry.kind == "symlink":
            path.symlink_to(entry.link)
            continue
        elif entry.kind == "hardlink":
            os.link(root / entry.link, path)
            continue
        else:
            path.write_bytes(data)
        path.chmod(entry.mode)
        os.utime(path, (entry.mtime, entry.mtime))


def layer_of(store: Store, files: Files) -> Layer:
    with LayerWriter(store.blobs, Compression()) as writer:
        for entry, data in entries(files):
            writer.add(entry, data)
        return writer.finish()


@dataclass
class Kitchen:
    """A store, a context and stages, in which single steps are tried."""

    store: Store
    context: Path
    stages: dict[str, Snapshot] = field(default_factory=dict)
    times: Times = "real"
    last: Task | None = None

    def stage(self, *layers: Files, runtime: RuntimeConfig | None = None, state: str = "") -> Snapshot:
        """A stage whose base has these layers."""
        made = tuple(layer_of(self.store, files) for files in layers)
        image = Image.of(ImageConfig(PLATFORM), made, {})
        name = state or str(image.digest)
        return Snapshot(image, Facts(None, ()), Base("base"), runtime or RuntimeConfig(), state=name)

    def work(self, reporter: Reporter | None = None) -> Work:
        plan = Plan((Stage("last", Base("scratch"), ()),), "last", PLATFORM, epoch=1000, times=self.times)
        return Work(
            plan,
            self.context,
            self.store,
            Fetcher(self.store.files, offline=True),
            Registries(offline=True),
            Options(),
            reporter or Reporter(),
        )

    def copy(
        self,
        sources: CopySource | Sequence[CopySource],
        destination: str,
        base: Snapshot | Files | None = None,
        *,
        stage: Files | None = None,
        **more: object,
    ) -> Snapshot:
        """Carry out one COPY, from the context or from a stage of the files ``stage``."""
        snapshot = base if isinstance(base, Snapshot) else self.stage(base or {})
        if stage is not None:
            self.stages["other"] = self.stage(stage)
        many = tuple(sources) if isinstance(sources, list | tuple) else (sources,)
        origin = BuildContext() if stage is None else StageRef("other")
        step = Copy(origin, many, destination, instruction=INSTRUCTION, **more)  # type: ignore[arg-type]
        self.last = Task(Reporter(), 1)
        return copy(step, snapshot, self.work(), self.last, self.stages)

    def layer(self, snapshot: Snapshot) -> dict[str, Entry]:
        """The entries of the last layer, in its order."""
        path = self.store.blobs.path(snapshot.added[-1].layer.descriptor.digest)
        return {entry.path: entry for entry, _ in reader.entries(path)}

    def files(self, snapshot: Snapshot) -> dict[str, str]:
        """All files of a stage: contents, ``-> target``, ``=path`` for further names of a file, ``dir``, kinds."""
        tree = LayeredTree([(layer, None) for layer in snapshot.layers], self.store)
        found: dict[str, str] = {}
        first: dict[int, str] = {}
        for path, node in tree.tree.walk():
            kind = node.content.kind
            name = first.setdefault(id(node.content), path)
            if kind == "file" and name != path:
                found[path] = "=" + name
            elif kind == "file":
                ((_, pieces),) = tree.read([(node.content, path)])
                found[path] = b"".join(pieces).decode("utf-8", "replace")
            else:
                found[path] = "-> " + node.content.link if kind == "symlink" else str(kind)
        return found

    def tree(self, snapshot: Snapshot) -> dict[str, Entry]:
        """The attributes of all files of a stage."""
        tree = LayeredTree([(layer, None) for layer in snapshot.layers], self.store)
        return {path: replace(node.entry, path=path) for path, node in tree.tree.walk()}

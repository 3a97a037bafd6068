"""The state of a stage between two steps, as an immutable value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wherry.image import History, Image, Layer, RuntimeConfig
from wherry.plan import Base, Instruction, Requirements

if TYPE_CHECKING:
    from wherry.sources.base import Facts
    from wherry.wheels.built import Library
    from wherry.wheels.distribution import Chosen, Distribution

COMMENT = "buildkit.dockerfile.v0"
"""What Docker's builder writes beside each instruction's line of history."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a step did to the files of its stage.

    ``layer`` holds what changed, None: nothing did. ``state`` tells the files of the stage from all others: equal
    states are equal files, and what follows is cached by it. ``created`` is when it was done (RFC 3339).
    """

    layer: Layer | None
    state: str
    created: str


@dataclass(frozen=True, slots=True)
class Added:
    """A layer that a step added. All of its content lies under ``within`` (an absolute path; ``/``: anywhere).

    ``state`` is that of the stage with this layer on top.
    """

    layer: Layer
    within: str
    created_by: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A base, what is known of it, and what steps have done on top.

    ``origin`` is the base as the Plan has it. ``facts`` are those of its Python; a Dockerfile's stage needs none.
    ``state`` tells its files from all others. ``wheels`` are those that a step built here, by the key of what they were
    built from, ``libraries`` those that they need from elsewhere; ``chosen`` is what requirements that a step has
    resolved came to.
    """

    base: Image
    facts: Facts
    origin: Base
    runtime: RuntimeConfig
    added: tuple[Added, ...] = ()
    history: tuple[History, ...] = ()
    wheels: tuple[tuple[str, Distribution], ...] = ()
    libraries: tuple[Library, ...] = ()
    chosen: tuple[tuple[Requirements, tuple[Chosen, ...]], ...] = ()
    state: str = ""
    author: str = ""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, lowest first."""
        return (*self.base.layers, *(added.layer for added in self.added))

    @property
    def created(self) -> str:
        """When the last step was done (RFC 3339), or the base; empty if nobody says."""
        lines = (*self.base.config.history, *self.history)
        return next((line.created for line in reversed(lines) if line.created), self.base.config.created)

    def add(self, *layers: Added, created: str) -> Snapshot:
        """The same with ``layers`` on top, each with its line of history."""
        lines = tuple(History(layer.created_by, created) for layer in layers)
        return replace(self, added=(*self.added, *layers), history=(*self.history, *lines))

    def after(self, result: Result, instruction: Instruction, runtime: RuntimeConfig | None = None) -> Snapshot:
        """The same after an instruction that came to ``result``, and set the config to ``runtime``."""
        created_by = instruction.created_by
        line = History(created_by, result.created, COMMENT, empty_layer=result.layer is None)
        layers = () if result.layer is None else (Added(result.layer, "/", created_by, result.state),)
        return replace(
            self,
            added=(*self.added, *layers),
            history=(*self.history, line),
            state=result.state,
            runtime=runtime or self.runtime,
        )

    def configured(
        self, runtime: RuntimeConfig, created_by: str, created: str, *, comment: str = "", author: str | None = None
    ) -> Snapshot:
        """The same with another runtime config, which makes no layer."""
        line = History(created_by, created, comment, empty_layer=True)
        author = self.author if author is None else author
        return replace(self, runtime=runtime, history=(*self.history, line), author=author)

"""The state of a stage between two steps, as an immutable value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wherry.image import History, Image, Layer, RuntimeConfig
from wherry.plan import Base, Requirements
from wherry.sources.base import Facts
from wherry.wheels.distribution import Distribution, Project


@dataclass(frozen=True, slots=True)
class Added:
    """A layer that a step added. All of its content lies under ``within`` (an absolute path; ``/``: anywhere)."""

    layer: Layer
    within: str
    created_by: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A base, what is known of it, and what steps have done on top.

    ``origin`` is the base as the Plan has it. ``wheels`` are those that a step built here, by the path of the project
    that they were built from, ``chosen`` what requirements that a step has resolved came to.
    """

    base: Image
    facts: Facts
    origin: Base
    runtime: RuntimeConfig
    added: tuple[Added, ...] = ()
    history: tuple[History, ...] = ()
    wheels: tuple[tuple[str, Distribution], ...] = ()
    chosen: tuple[tuple[Requirements, tuple[Distribution | Project, ...]], ...] = ()

    def add(self, *layers: Added, created: str) -> Snapshot:
        """The same with ``layers`` on top, each with its line of history."""
        lines = tuple(History(layer.created_by, created) for layer in layers)
        return replace(self, added=(*self.added, *layers), history=(*self.history, *lines))

    def configured(self, runtime: RuntimeConfig, created_by: str, created: str) -> Snapshot:
        """The same with another runtime config, which makes no layer."""
        line = History(created_by, created, empty_layer=True)
        return replace(self, runtime=runtime, history=(*self.history, line))

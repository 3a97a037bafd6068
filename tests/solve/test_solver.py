"""Which stages are built, and in what order."""

from __future__ import annotations

from tests.solve.copying import PLATFORM, layer_of

from wherry.image import History, Image, ImageConfig
from wherry.plan import Base, BuildContext, Copy, Origin, Plan, Run, RunMount, Stage, StageRef
from wherry.solve.solver import base_history, needed_stages
from wherry.store import Store

SCRATCH = Base("scratch")


def copies(origin: Origin) -> Copy:
    return Copy(origin, ("/x",), "/")


def needed(*stages: Stage, target: str) -> list[str]:
    return [stage.name for stage in needed_stages(Plan(stages, target, PLATFORM))]


def test_a_stage_needs_those_that_it_starts_from_copies_from_and_mounts() -> None:
    bind = RunMount("bind", "/y", origin=StageRef("mounted"))
    stages = (
        Stage("base", SCRATCH, ()),
        Stage("copied", SCRATCH, ()),
        Stage("mounted", SCRATCH, ()),
        Stage("other", SCRATCH, ()),
        Stage("last", StageRef("base"), (copies(StageRef("copied")), Run(("true",), mounts=(bind,)))),
    )
    assert needed(*stages, target="last") == ["base", "copied", "mounted", "last"]


def test_what_a_needed_stage_needs_is_needed() -> None:
    stages = (
        Stage("1", SCRATCH, ()),
        Stage("2", SCRATCH, (copies(StageRef("1")),)),
        Stage("3", StageRef("2"), ()),
        Stage("4", StageRef("3"), ()),
    )
    assert needed(*stages, target="3") == ["1", "2", "3"]


def test_a_stage_alone_needs_none() -> None:
    stages = (Stage("1", SCRATCH, ()), Stage("2", SCRATCH, (copies(BuildContext()), copies(Base("image")))))
    assert needed(*stages, target="2") == ["2"]


def test_every_layer_of_a_base_has_a_line_of_history(store: Store) -> None:
    layers = tuple(layer_of(store, {name: name}) for name in "abc")
    told = (History("one"), History("config", empty_layer=True))
    lines = base_history(Image.of(ImageConfig(PLATFORM, history=told), layers, {}))
    assert lines[:2] == told
    assert [line.empty_layer for line in lines].count(False) == 3

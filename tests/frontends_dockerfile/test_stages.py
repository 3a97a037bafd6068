"""Stages: names, targets, what they start from and take files from, named contexts, triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wherry.errors import WherryError
from wherry.frontends.dockerfile import DockerfileOptions
from wherry.image import ImageConfig, RuntimeConfig
from wherry.image.platform import Platform
from wherry.plan import Base, BuildContext, Configure, Copy, Run, StageRef, Workdir

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Images, Planner

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def images() -> Images:
    from tests.frontends_dockerfile.conftest import Images as Table

    return Table()


def test_stages_without_a_name_go_by_their_number(planned: Planner) -> None:
    plan = planned("FROM a\nFROM b AS x\nFROM c\nCOPY --from=0 f g\nCOPY --from=x f g\nCOPY --from=X f g")
    assert [stage.name for stage in plan.stages] == ["0", "x", "2"]
    origins = [step.origin for step in plan.stages[2].steps if isinstance(step, Copy)]
    assert origins == [StageRef("0"), StageRef("x"), StageRef("x")]
    assert plan.target == "2"


def test_a_stage_starts_from_an_earlier_one(planned: Planner) -> None:
    plan = planned("FROM a AS Base\nENV X=1\nWORKDIR /w\nFROM base\nENV Y=$X\nWORKDIR z")
    assert plan.stages[1].base == StageRef("base")
    assert plan.stages[1].steps == (Configure(env=(("Y", "1"),)), Workdir("/w/z"))


def test_a_later_stage_of_the_same_name_takes_it(planned: Planner) -> None:
    plan = planned("FROM a AS x\nFROM x AS x\nFROM x")
    assert [(stage.name, stage.base) for stage in plan.stages] == [
        ("0", Base("a")),
        ("x", StageRef("0")),
        ("2", StageRef("x")),
    ]


def test_only_what_the_target_needs_is_expanded_and_asked_for(planned: Planner, images: Images) -> None:
    text = "FROM a AS a1\nRUN ${X:?}\nENV X=${X:?}\nFROM b AS b1\nFROM c\nCOPY --from=b1 f g"
    plan = planned(text, images=images)
    assert images.asked == ["b", "c"]
    assert [(stage.name, len(stage.steps)) for stage in plan.stages] == [("a1", 0), ("b1", 0), ("2", 1)]


def test_a_target_is_chosen_by_name(planned: Planner, images: Images) -> None:
    plan = planned("FROM a AS x\nFROM b AS y", DockerfileOptions("D", platform=AMD64, target="X"), images=images)
    assert (plan.target, images.asked) == ("x", ["a"])


def test_a_mount_may_need_a_stage(planned: Planner, images: Images) -> None:
    plan = planned("FROM a AS x\nFROM b\nRUN --mount=from=x,target=/m y", images=images)
    assert images.asked == ["a", "b"]
    (step,) = (step for step in plan.stages[1].steps if isinstance(step, Run))
    assert step.mounts[0].origin == StageRef("x")


def test_a_platform_is_asked_for(planned: Planner) -> None:
    assert planned("FROM --platform=linux/arm64 a").stages[0].base == Base("a", platform=Platform.parse("linux/arm64"))


def test_a_named_context_takes_the_place_of_images_stages_and_sources(planned: Planner) -> None:
    text = "FROM alpine:latest\nCOPY --from=files a b\nRUN --mount=from=files,target=/m x\nCOPY --from=alpine a b"
    options = DockerfileOptions("D", platform=AMD64, contexts=("alpine", "files"))
    (stage,) = planned(text, options).stages
    assert stage.base == Base("context:alpine")
    files = BuildContext(name="files")
    copied, run, other = stage.steps
    assert copied == Copy(files, ("a",), "/b")
    assert isinstance(run, Run)
    assert run.mounts[0].origin == files
    assert other == Copy(BuildContext(name="alpine"), ("a",), "/b")


def test_a_named_context_replaces_a_stage_with_all_its_instructions(planned: Planner) -> None:
    options = DockerfileOptions("D", platform=AMD64, contexts=("deps",))
    first, second = planned("FROM a AS deps\nRUN x\nFROM b\nCOPY --from=deps a b", options).stages
    assert (first.base, first.steps) == (Base("context:deps"), ())
    assert second.steps == (Copy(StageRef("deps"), ("a",), "/b"),)


def test_scratch_cannot_be_replaced(planned: Planner) -> None:
    options = DockerfileOptions("D", platform=AMD64, contexts=("scratch",))
    assert planned("FROM scratch", options).stages[0].base == Base("scratch")


def test_triggers_of_a_base_come_first_and_only_once(planned: Planner) -> None:
    base = RuntimeConfig(env=("PATH=/x",), other={"OnBuild": ["ENV A=1", "COPY . /app"]})
    plan = planned("FROM a AS x\nENV B=$A\nFROM x\nENV C=$A", images={"a": base})
    assert plan.stages[0].steps == (
        Configure(onbuild_done=True),
        Configure(env=(("A", "1"),)),
        Copy(BuildContext(), (".",), "/app"),
        Configure(env=(("B", "1"),)),
    )
    assert plan.stages[1].steps == (Configure(env=(("C", "1"),)),)
    trigger = plan.stages[0].steps[2]
    assert isinstance(trigger, Copy)
    assert trigger.instruction
    assert trigger.instruction.text == "ONBUILD COPY . /app"
    assert str(trigger.instruction.place) == "Dockerfile:1"


def test_triggers_of_a_stage_are_for_the_stages_that_start_from_it(planned: Planner) -> None:
    plan = planned("FROM a AS x\nONBUILD ENV A=1\nFROM x AS y\nENV B=$A\nFROM y")
    assert plan.stages[0].steps == (Configure(onbuild=("ENV A=1",)),)
    assert plan.stages[1].steps == (
        Configure(onbuild_done=True),
        Configure(env=(("A", "1"),)),
        Configure(env=(("B", "1"),)),
    )
    assert plan.stages[2].steps == ()


def test_a_trigger_may_need_another_stage(planned: Planner) -> None:
    base = RuntimeConfig(env=("PATH=/x",), other={"OnBuild": ["COPY --from=one a b"]})
    plan = planned("FROM b AS one\nFROM b AS two\nFROM a", images={"a": base})
    assert [stage.purpose for stage in plan.stages] == ["", "not needed for stage-2", ""]


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("NONSENSE", "unknown instruction: NONSENSE"),
        ("", "the Dockerfile cannot be empty"),
    ],
)
def test_a_bad_trigger_is_an_error_at_from(planned: Planner, trigger: str, message: str) -> None:
    with pytest.raises(WherryError) as caught:
        planned("ARG a\nFROM a", images={"a": RuntimeConfig(other={"OnBuild": [trigger]})})
    assert caught.value.message == message


def test_an_image_that_is_not_there_is_an_error_at_from(planned: Planner, images: Images) -> None:
    def missing(base: Base) -> ImageConfig:
        raise WherryError(f"there is no image {base.source}")

    images.config = missing  # type: ignore[method-assign]
    with pytest.raises(WherryError) as caught:
        planned("# c\nFROM nowhere", images=images)
    assert str(caught.value.place) == "Dockerfile:2"


def test_thousands_of_stages_are_no_matter(planned: Planner) -> None:
    text = "FROM a AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nCOPY --from=s{n} a b\n" for n in range(3000))
    assert len(planned(text).stages) == 3001


def test_triggers_that_would_be_millions_of_steps_are_refused(planned: Planner) -> None:
    text = "FROM a AS x\n" + "ONBUILD ENV a=b\n" * 300 + "FROM x AS x\n" + "FROM x\nONBUILD ENV a=b\n" * 300
    copies = "".join(f"COPY --from={number} a b\n" for number in range(1, 301))
    assert planned(text + "FROM a\n" + copies)
    with pytest.raises(WherryError, match="too much text"):
        planned("FROM a AS x\n" + "ONBUILD ENV a=b\n" * 300 + "FROM x\n" * 300 + "FROM a\n" + copies)

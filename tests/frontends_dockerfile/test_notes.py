"""What may be a mistake in a Dockerfile's build, and stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wherry.image import RuntimeConfig

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner


def test_a_build_argument_that_no_arg_takes_is_noted_with_the_nearest_name(planned: Planner) -> None:
    plan = planned("FROM scratch\nARG VERSION\n", args={"VERSOIN": "1"})
    assert plan.notes == ("no ARG takes the build argument VERSOIN: did you mean VERSION?",)


@pytest.mark.parametrize(
    "name", ["GLOBAL", "OTHER", "LAST", "TARGETARCH", "HTTP_PROXY", "SOURCE_DATE_EPOCH", "BUILDKIT_INLINE_CACHE"]
)
def test_those_that_something_takes_are_not(planned: Planner, name: str) -> None:
    text = "ARG GLOBAL\nFROM scratch AS other\nARG OTHER=1\nFROM scratch\nARG A LAST\n"
    assert planned(text, args={name: "1"}).notes == ()


def test_an_arg_that_a_base_brings_along_takes_one(planned: Planner) -> None:
    base = RuntimeConfig(other={"OnBuild": ["ARG COLOR"]})
    assert planned("FROM base\n", images={"base": base}, args={"COLOR": "red"}).notes == ()

"""The Plan: data that can be compared, hashed and printed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from wherry.image import Platform
from wherry.plan import (
    Base,
    BuildContext,
    BuildWheels,
    Configure,
    Copy,
    Fact,
    Indexes,
    Install,
    Packages,
    Plan,
    Requirements,
    Stage,
    StageRef,
    Step,
    Virtualenv,
    describe,
    title,
    to_json,
)

NEEDS = Requirements("requirements.txt", "requirements.txt", ("requirements.txt",), projects=("lib",))
PLAN = Plan(
    (
        Stage("compile", Base("debian://trixie", python="3.13"), (Virtualenv(), BuildWheels(NEEDS), Install(NEEDS))),
        Stage(
            "runtime",
            Base("debian://trixie"),
            (
                Packages(("libpq5",)),
                Copy(StageRef("compile"), ("/opt/venv",), "/opt/venv"),
                Copy(BuildContext((".git",)), (".",), "/usr/src/app"),
                Configure(
                    env=(("A", "1"),), entrypoint=("python", "main.py"), workdir="/usr/src/app", labels=(("l", "v"),)
                ),
            ),
            "what ships",
        ),
    ),
    "runtime",
    Platform("linux", "amd64"),
    facts=(Fact("entry point", "main.py", "the only one"),),
)


def test_equal_plans_have_equal_hashes() -> None:
    same = replace(PLAN, stages=tuple(PLAN.stages))
    assert same == PLAN
    assert hash(same) == hash(PLAN)


def test_a_stage_is_found_by_its_name() -> None:
    assert PLAN.stage("runtime").purpose == "what ships"


def test_a_plan_as_json_names_the_kind_of_each_part() -> None:
    value = json.loads(json.dumps(to_json(PLAN)))
    assert value["kind"] == "Plan"
    assert value["platform"] == "linux/amd64"
    steps = value["stages"][1]["steps"]
    assert [step["kind"] for step in steps] == ["Packages", "Copy", "Copy", "Configure"]
    assert steps[1]["origin"] == {"kind": "StageRef", "stage": "compile"}
    assert steps[3]["env"] == [["A", "1"]]
    assert steps[3]["cmd"] is None


def test_the_kind_of_requirements_does_not_hide_the_kind_of_the_part() -> None:
    value = to_json(NEEDS)
    assert isinstance(value, dict)
    assert (value["kind"], value["requirement_kind"]) == ("Requirements", "requirements.txt")


def test_what_is_no_plan_data_has_no_json() -> None:
    with pytest.raises(TypeError, match="not plan data"):
        to_json({"a": 1})


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Virtualenv("/v"), "create the virtual environment /v"),
        (BuildWheels(NEEDS), "build wheels of lib"),
        (BuildWheels(Requirements("none")), "build wheels of what has none"),
        (Install(NEEDS), "install requirements.txt into /opt/venv"),
        (Packages(("a", "b")), "add Debian packages a, b"),
        (Copy(StageRef("compile"), ("/opt/venv",), "/opt/venv"), "copy /opt/venv of stage compile to /opt/venv"),
        (Copy(BuildContext(), (".",), "/app"), "copy files of the project to /app"),
        (Configure(user="65532", cmd=()), "set cmd, user"),
        (Configure(), "set nothing"),
    ],
)
def test_a_step_has_a_title_in_words(step: Step, words: str) -> None:
    assert title(step) == words


def test_a_description_tells_facts_stages_steps_and_settings() -> None:
    text = describe(PLAN)
    for line in (
        "Platform linux/amd64",
        "  entry point  main.py  (the only one)",
        "Stage compile, from debian://trixie",
        "Stage runtime, from debian://trixie: what ships",
        "  2. copy /opt/venv of stage compile to /opt/venv",
        "       env A = 1",
        "       entrypoint = python main.py",
        "       label l = v",
    ):
        assert line in text.splitlines()


def test_a_plan_as_json_holds_no_password() -> None:
    indexes = Indexes("https://me:secret@packages.example/simple")
    plan = to_json(Requirements("requirements.txt", "requirements.txt", indexes=indexes))
    assert "secret" not in str(plan)
    assert "packages.example" in str(plan)

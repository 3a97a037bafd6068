"""Each case, built by the command, comes out as Docker's recorded image; and the recordings are what Docker makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.differential import recording
from tests.differential.building import RESULT, build_with_docker, build_with_wherry
from tests.differential.case import Case
from tests.differential.cases import all_cases
from tests.differential.differences import DIFFERENCES, DOCUMENT, Difference, deliberate, document
from tests.differential.engines import Engine
from tests.differential.recording import Outcome, Recording

from wherry.store import Store
from wherry.store.names import name_of

if TYPE_CHECKING:
    from tests.conftest import Docker, Wherry

ALL = list(all_cases())
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the cases have owners and devices that only root can make")


def names(cases: list[tuple[str, Case]]) -> list[str]:
    """``module/name`` for each."""
    return [f"{module}/{case.name}" for module, case in cases]


def expectation(module: str, case: Case) -> Outcome:
    """What the command shall make of the case."""
    own = recording.own_path_of(module, case) if deliberate(f"{module}/{case.name}") else None
    return recording.read(own or recording.path_of(module, case)).outcome


@pytest.mark.parametrize(("module", "case"), ALL, ids=names(ALL))
def test_it_comes_out_as_in_docker(module: str, case: Case, stocked: Wherry, tmp_path: Path, server: str) -> None:
    expected = expectation(module, case)
    with Store(stocked.store) as store:
        store.untag((f"{RESULT}:latest",))  # a test that failed may have left it

    found, said = build_with_wherry(case, stocked, tmp_path, server)

    assert not recording.differences(expected, found), "\n".join([*recording.differences(expected, found), said])
    if expected.refused:
        assert "Traceback" not in said, said
        assert all(word.lower() in said.lower() for word in case.words), f"{case.words} are not all in:\n{said}"
        assert case.elsewhere or not expected.line or f"{Path(case.file).name}:{expected.line}" in said, (
            f"no line {expected.line} in:\n{said}"
        )
    with Store(stocked.store) as store:
        named = {name_of(one) for one in store.images()}
    assert (f"{RESULT}:latest" in named) == (not expected.refused)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.cases[0])
def test_a_deliberate_difference_is_one(difference: Difference) -> None:
    known = {f"{module}/{case.name}": (module, case) for module, case in ALL}
    for name in difference.cases:
        module, case = known[name]
        theirs, own = recording.path_of(module, case), recording.own_path_of(module, case)
        assert recording.differences(recording.read(theirs).outcome, recording.read(own).outcome)


def test_the_document_tells_of_every_difference() -> None:
    assert DOCUMENT.read_text() == document()


def test_every_case_is_recorded_and_nothing_else() -> None:
    wanted = {recording.path_of(module, case) for module, case in ALL}

    assert set(recording.EXPECTED.glob("*/*.json")) == wanted


def test_a_recording_reads_as_it_was_written(tmp_path: Path) -> None:
    outcome = Outcome({"Cmd": ["a"]}, ({"created_by": "x"},), {"/a": "file 644 0:0 'a\\n'", "/b": None})
    kept = Recording(outcome, "1.2.3", ("0.1",))

    recording.write(kept, tmp_path / "a.json")

    assert recording.read(tmp_path / "a.json") == kept


@pytest.mark.e2e
def test_the_recordings_are_what_this_machines_engine_makes(
    docker: Docker, tmp_path_factory: pytest.TempPathFactory, server: str
) -> None:
    engine = Engine(Path("/"), docker.host, tmp_path_factory.mktemp("docker"))
    engine.load_bases()
    version = engine.version()
    chosen = [
        (module, case) for module, case in ALL if version in recording.read(recording.path_of(module, case)).same_in
    ]
    for module, case in chosen[::SAMPLE]:
        found = build_with_docker(case, engine, tmp_path_factory.mktemp("case"), server)
        expected = recording.read(recording.path_of(module, case)).outcome
        assert not recording.differences(expected, found), f"{module}/{case.name}"


SAMPLE = 12
"""One case in so many is built with Docker again: all of them take minutes."""

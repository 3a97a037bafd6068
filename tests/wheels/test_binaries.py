"""--no-binary and --only-binary: which distributions come from wheels, and which are built."""

from __future__ import annotations

import pytest

from wherry.plan import Requirements
from wherry.wheels import lock as locks
from wherry.wheels.binaries import Binaries, without_others
from wherry.wheels.requirements import read_options

LOCK = """\
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "both"
version = "1.0"
sdist = { name = "both-1.0.tar.gz", url = "https://host.example/both-1.0.tar.gz", hashes = { sha256 = "0" } }
wheels = [{ name = "both-1.0-py3-none-any.whl", url = "https://host.example/both.whl", hashes = { sha256 = "1" } }]
[[packages]]
name = "local"
directory = { path = "local" }
"""


def of(text: str = "", *, no: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> Binaries:
    """What options, and a requirements file of ``text``, come to."""
    requirements = Requirements("requirements.txt", no_binary=no, only_binary=only)
    return Binaries.of(requirements, read_options([text]) if text else None)


def answers(binaries: Binaries, name: str = "x") -> str:
    """What may be done with ``name``."""
    allowed = {"wheel": binaries.takes_wheel(name), "build": binaries.builds(name)}
    return " ".join(word for word, yes in allowed.items() if yes)


def test_by_default_a_wheel_is_taken_and_what_has_none_is_built() -> None:
    assert answers(of()) == "wheel build"


def test_no_binary_builds_and_only_binary_does_not() -> None:
    assert answers(of(no=("x",))) == "build"
    assert answers(of(only=("x",))) == "wheel"
    assert answers(of(no=("x",), only=("x",))) == ""
    assert answers(of(no=("other",), only=("another",))) == "wheel build"


def test_all_is_all_but_what_the_other_option_names() -> None:
    assert answers(of(no=(":all:",))) == "build"
    assert answers(of(only=(":all:",))) == "wheel"
    assert answers(of(no=(":all:",), only=("x",))) == "wheel"
    assert answers(of(no=("x",), only=(":all:",))) == "build"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--no-binary x\n", "build"),
        ("--no-binary=x,y\n", "build"),
        ("--only-binary :all:\n", "wheel"),
        ("--only-binary :all:\n--no-binary X\n", "build"),
        ("x\n", "wheel build"),
    ],
)
def test_the_options_of_a_requirements_file_count(text: str, expected: str) -> None:
    assert answers(of(text)) == expected


def test_options_go_before_those_of_the_file() -> None:
    assert answers(of("--no-binary x\n", only=("x",))) == "wheel"
    assert answers(of("--only-binary x\n", no=("x",))) == "build"


@pytest.mark.parametrize(
    ("binaries", "kept"),
    [
        (Binaries(), (True, True)),
        (Binaries(refused=frozenset({"both"})), (False, True)),
        (Binaries(required=frozenset({"both"})), (True, False)),
        (Binaries(refused=frozenset({":all:"}), required=frozenset({"both"})), (True, False)),
        (Binaries(refused=frozenset({"other"})), (True, True)),
    ],
)
def test_a_lock_keeps_the_files_that_may_be_used(binaries: Binaries, kept: tuple[bool, bool]) -> None:
    both, local = without_others(locks.parse(LOCK), binaries).packages
    assert (bool(both.wheels), bool(both.sdist)) == kept
    assert local.directory is not None

"""conda-lock.yml as conda-lock writes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wherry.errors import UsageError
from wherry.wheels.locked import conda, yaml
from wherry.wheels.locked.pins import Environment, Locked

Text = Callable[[str], str]
Linux = Callable[..., Environment]
Names = Callable[[Locked], list[str]]


def test_what_pip_installs_is_pinned_for_the_platform(text: Text, linux: Linux, names: Names) -> None:
    for architecture in ("amd64", "arm64"):
        found = conda.pinned(text("conda/conda-lock.yml"), linux(architecture=architecture))
        assert names(found) == ["click", "idna"]
        assert all(len(pin.hashes) == 1 and pin.is_from_index for pin in found.pins)


def test_groups_are_categories(text: Text, linux: Linux, names: Names) -> None:
    assert "iniconfig" in names(conda.pinned(text("conda/conda-lock.yml"), linux(), groups=["dev"]))
    with pytest.raises(UsageError, match="has no category 'docs'"):
        conda.pinned(text("conda/conda-lock.yml"), linux(), groups=["docs"])


def test_the_python_of_the_lock_is_told(text: Text, linux: Linux) -> None:
    assert conda.pinned(text("conda/conda-lock.yml"), linux()).python == "==3.13.*"


def test_packages_of_conda_that_the_application_needs_are_an_error(text: Text, linux: Linux) -> None:
    with pytest.raises(UsageError, match=r"packages that only conda installs: numpy 2\.2\.6\n") as caught:
        conda.pinned(text("conda/numpy.yml"), linux())
    assert "below `pip:`" in str(caught.value.hint)


def test_a_platform_that_was_not_locked_is_an_error(text: Text, linux: Linux) -> None:
    with pytest.raises(UsageError, match="has nothing for linux-s390x"):
        conda.pinned(text("conda/conda-lock.yml"), linux(architecture="s390x"))


def test_another_format_of_the_lock_is_an_error(linux: Linux) -> None:
    with pytest.raises(UsageError, match="not of format 1"):
        conda.pinned("version: 2\npackage: []\n", linux())


def test_the_yaml_of_conda_lock_is_read() -> None:
    text = """
# a comment
version: 1
package:
- name: "a\\u0062"
  long: 'it''s folded
    over lines'
  dependencies:
    c: '>=3,<4'
    d: ''
  list: []
  nested:
    - - x
      - y: z
  url: https://host.example/a#b
- {}
"""
    assert yaml.read(text, "f") == {
        "version": "1",
        "package": [
            {
                "name": "ab",
                "long": "it's folded over lines",
                "dependencies": {"c": ">=3,<4", "d": ""},
                "list": [],
                "nested": [["x", {"y": "z"}]],
                "url": "https://host.example/a#b",
            },
            {},
        ],
    }


@pytest.mark.parametrize("line", ["b: &x 1", "b: [1, 2]", "b: |\n  text", "b", "? b"])
def test_yaml_in_any_other_form_is_an_error_with_its_line(line: str) -> None:
    with pytest.raises(UsageError, match=r"f:\d+: not in the form that conda-lock writes"):
        yaml.read(f"a: 1\n{line}\n", "f")

"""Wheels that get in each other's way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.layers.compression import Compression
from wherry.store import Store
from wherry.target import Interpreter
from wherry.wheels.conflicts import check_conflicts
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.install import WheelToInstall, pack

MakeWheel = Callable[..., WheelToInstall]
ENVIRONMENT = Environment(Interpreter("3.13.1", "/usr/bin/python3.13"))


def check(store: Store, *wheels: WheelToInstall) -> None:
    paths = {wheel.distribution.name: wheel.path for wheel in wheels}
    check_conflicts(
        [wheel.distribution for wheel in wheels], ENVIRONMENT, store=store, wheel=lambda one: paths[one.name]
    )


def nowhere(distribution: Distribution) -> Path:
    raise AssertionError(f"{distribution.name} should not be needed")


def test_wheels_that_overwrite_each_other_are_named_with_the_file(make_wheel: MakeWheel, store: Store) -> None:
    one, two = make_wheel({"common.py": "1"}, name="one"), make_wheel({"common.py": "2"}, name="two")
    message = "one and two both install /opt/venv/lib/python3.13/site-packages/common.py"
    for order in ((one, two), (two, one)):
        with pytest.raises(WherryError, match=message):
            check(store, *order)


def test_the_same_content_is_fine(make_wheel: MakeWheel, store: Store) -> None:
    check(store, make_wheel({"space/__init__.py": ""}, name="one"), make_wheel({"space/__init__.py": ""}, name="two"))


def test_scripts_of_two_wheels_conflict_too(make_wheel: MakeWheel, store: Store) -> None:
    def tool(name: str) -> WheelToInstall:
        text = f"[console_scripts]\ntool = {name}:main\n"
        return make_wheel({f"{name}-1.0.dist-info/entry_points.txt": text}, name=name)

    with pytest.raises(WherryError, match="one and two both install /opt/venv/bin/tool"):
        check(store, tool("one"), tool("two"))


def test_a_file_where_another_needs_a_folder_is_an_error(make_wheel: MakeWheel, store: Store) -> None:
    with pytest.raises(WherryError, match=r"one installs /opt/venv/.*/common as a file, two as a folder"):
        check(store, make_wheel({"common": ""}, name="one"), make_wheel({"common/a/b/x.py": ""}, name="two"))


def test_a_set_that_was_checked_is_not_read_again(make_wheel: MakeWheel, store: Store) -> None:
    wheels = [make_wheel({f"{name}.py": ""}, name=name) for name in ("one", "two")]
    check(store, *wheels)
    check_conflicts([wheel.distribution for wheel in wheels], ENVIRONMENT, store=store, wheel=nowhere)


def test_a_packed_wheel_is_not_read_again(make_wheel: MakeWheel, store: Store) -> None:
    one, two = make_wheel({"common.py": "1"}, name="one"), make_wheel({"common.py": "2"}, name="two")
    for wheel in (one, two):
        pack([wheel], ENVIRONMENT, store=store, compression=Compression(), epoch=0)
    with pytest.raises(WherryError, match="both install"):
        check_conflicts([one.distribution, two.distribution], ENVIRONMENT, store=store, wheel=nowhere)


def test_a_conflict_is_found_every_time(make_wheel: MakeWheel, store: Store) -> None:
    one, two = make_wheel({"common.py": "1"}, name="one"), make_wheel({"common.py": "2"}, name="two")
    for _ in range(2):
        with pytest.raises(WherryError, match="both install"):
            check(store, one, two)

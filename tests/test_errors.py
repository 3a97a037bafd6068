"""Errors: what is wrong, where, and what to do."""

from __future__ import annotations

import pytest

from wherry.errors import NetworkError, Place, StoreError, UsageError, WherryError, did_you_mean, nearest


def test_a_place_has_as_much_as_is_known() -> None:
    assert str(Place("f")) == "f"
    assert str(Place("f", 3)) == "f:3"
    assert str(Place("f", 3, 7)) == "f:3:7"


def test_an_error_says_where_what_and_what_to_do() -> None:
    assert str(WherryError("it broke", place=Place("f", 3), hint="Mend it.")) == "f:3: it broke\nMend it."


@pytest.mark.parametrize(("kind", "code"), [(WherryError, 1), (UsageError, 2), (NetworkError, 1), (StoreError, 1)])
def test_only_a_wrong_request_ends_with_two(kind: type[WherryError], code: int) -> None:
    assert kind("x").exit_code == code


def test_the_nearest_name_is_offered() -> None:
    assert nearest("pyhton", ["python", "base"]) == "python"
    assert did_you_mean("pyhton", ["base", "python"]) == "Did you mean 'python'?"


def test_without_a_near_name_all_are_listed() -> None:
    assert nearest("zzz", ["python", "base"]) is None
    assert did_you_mean("zzz", ["python", "base"]) == "Known names: base, python."

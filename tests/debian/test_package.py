"""Versions, relations and what satisfies them."""

from __future__ import annotations

import pytest

from wherry.debian.package import Package, Relation, compare, relations, upstream


def test_relations_have_alternatives_versions_and_qualifiers() -> None:
    assert relations("libc6 (>= 2.14), debconf (>= 0.5) | debconf-2.0, python3:any") == (
        (Relation("libc6", ">=", "2.14"),),
        (Relation("debconf", ">=", "0.5"), Relation("debconf-2.0")),
        (Relation("python3"),),
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.0~rc1", "1.0"), ("1.0", "1.0-1"), ("1.9", "1.10"), ("2.0", "1:1.0"), ("1.0-1", "1.0-1+deb13u1")],
)
def test_versions_are_ordered_as_policy_says(older: str, newer: str) -> None:
    assert compare(older, newer) < 0 < compare(newer, older)


@pytest.mark.parametrize(
    ("operator", "admitted"),
    [("<<", ["1"]), ("<=", ["1", "2"]), ("=", ["2"]), (">=", ["2", "3"]), (">>", ["3"])],
)
def test_operators_admit_what_they_say(operator: str, admitted: list[str]) -> None:
    assert [version for version in "123" if Relation("x", operator, "2").admits(version)] == admitted


def test_an_unversioned_provision_satisfies_no_versioned_relation() -> None:
    package = Package.parse({"Package": "mawk", "Version": "1", "Provides": "awk, sawk (= 2)"})
    assert package.satisfies(Relation("awk"))
    assert not package.satisfies(Relation("awk", ">=", "1"))
    assert package.satisfies(Relation("sawk", ">=", "2"))


def test_the_upstream_version_has_no_epoch_and_no_revision() -> None:
    assert upstream("2:3.13.5-2+deb13u1") == "3.13.5"
    assert upstream("13.8") == "13.8"

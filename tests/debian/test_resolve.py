"""From wanted packages to all that they need."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from wherry.debian.index import Index, Universe
from wherry.debian.package import Package
from wherry.debian.resolve import resolve
from wherry.errors import UsageError, WherryError


def universe(packages: Mapping[str, str], *more: Mapping[str, str]) -> Universe:
    """Packages from ``name version`` to their fields, one index for each mapping."""
    return Universe([_index(one) for one in (packages, *more)])


def _index(packages: Mapping[str, str]) -> Index:
    stanzas = []
    for head, fields in packages.items():
        name, _, version = head.partition(" ")
        lines = "".join(f"{field.strip()}\n" for field in fields.split(";") if field.strip())
        stanzas.append(f"Package: {name}\nVersion: {version or '1'}\n{lines}")
    return Index(("\n\n" + "\n".join(stanzas)).encode(), "http://mirror.example/debian")


def names(packages: tuple[Package, ...]) -> list[str]:
    return [package.name for package in packages]


def test_dependencies_come_with_what_needs_them_sorted_by_name() -> None:
    archive = universe({"c": "Depends: b", "b": "Pre-Depends: a", "a": "", "z": ""})
    assert names(resolve(["c"], archive)) == ["a", "b", "c"]


def test_the_newest_of_several_archives_is_taken() -> None:
    archive = universe({"a 1.0-1": ""}, {"a 1.0-1+deb13u2": ""}, {"a 1.0-1+deb13u1": ""})
    assert resolve(["a"], archive)[0].version == "1.0-1+deb13u2"


def test_the_first_alternative_that_there_is_is_taken() -> None:
    archive = universe({"a": "Depends: gone | b | c", "b": "", "c": ""})
    assert names(resolve(["a"], archive)) == ["a", "b"]


def test_an_alternative_that_is_there_already_is_enough() -> None:
    archive = universe({"a": "Depends: b | c", "b": "", "c": ""})
    assert names(resolve(["a", "c"], archive)) == ["a", "c"]


def test_what_is_installed_is_not_added_again() -> None:
    archive = universe({"a": "Depends: b", "b": ""})
    assert names(resolve(["a", "b"], archive, [Package("b", "1")])) == ["a"]


def test_a_virtual_package_is_provided_by_the_most_important() -> None:
    archive = universe(
        {"a": "Depends: awk", "gawk": "Provides: awk; Priority: optional", "mawk": "Provides: awk; Priority: required"}
    )
    assert names(resolve(["a"], archive)) == ["a", "mawk"]


def test_a_versioned_provision_satisfies_a_versioned_dependency() -> None:
    archive = universe({"a": "Depends: libssl3 (>= 3.0)", "libssl3t64": "Provides: libssl3 (= 3.5)"})
    assert names(resolve(["a"], archive)) == ["a", "libssl3t64"]


def test_circles_end() -> None:
    archive = universe({"libc6": "Depends: libgcc-s1", "libgcc-s1": "Depends: libc6"})
    assert names(resolve(["libc6"], archive)) == ["libc6", "libgcc-s1"]


def test_what_only_maintainer_scripts_need_is_left_out_unless_it_is_asked_for() -> None:
    archive = universe({"tzdata": "Depends: debconf (>= 0.5) | debconf-2.0", "debconf": "", "dpkg": ""})
    assert names(resolve(["tzdata"], archive)) == ["tzdata"]
    assert names(resolve(["tzdata", "debconf"], archive)) == ["debconf", "tzdata"]


def test_openssl_is_left_out_for_the_certificates_alone() -> None:
    archive = universe({"ca-certificates": "Depends: openssl", "server": "Depends: openssl", "openssl": ""})
    assert names(resolve(["ca-certificates"], archive)) == ["ca-certificates"]
    assert names(resolve(["server"], archive)) == ["openssl", "server"]


def test_an_unknown_package_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(["libqp5"], universe({"libpq5": "", "git": ""}))
    assert "libqp5" in caught.value.message
    assert "libpq5" in (caught.value.hint or "")


def test_a_name_that_several_provide_is_an_error_that_lists_them() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(["editor"], universe({"nano": "Provides: editor", "vim": "Provides: editor"}))
    assert "nano, vim" in (caught.value.hint or "")


def test_an_unsatisfiable_dependency_names_what_is_needed_and_what_there_is() -> None:
    with pytest.raises(WherryError) as caught:
        resolve(["a"], universe({"a": "Depends: b (>= 2)", "b 1.5": ""}))
    assert "a 1 needs b (>= 2)" in caught.value.message
    assert "b 1.5" in caught.value.message


def test_packages_that_conflict_are_refused() -> None:
    with pytest.raises(WherryError, match="conflicts"):
        resolve(["a", "b"], universe({"a": "Conflicts: b", "b": ""}))


def test_an_alternative_that_conflicts_is_passed_over() -> None:
    archive = universe({"a": "Depends: b | c", "b": "Breaks: a", "c": ""})
    assert names(resolve(["a"], archive)) == ["a", "c"]


def test_a_package_may_conflict_with_what_it_provides_itself() -> None:
    archive = universe({"a": "Provides: mta; Conflicts: mta"})
    assert names(resolve(["a"], archive)) == ["a"]


def test_an_older_version_that_is_installed_is_not_replaced() -> None:
    archive = universe({"a": "Depends: b (>= 2)", "b 2": ""})
    with pytest.raises(WherryError) as caught:
        resolve(["a"], archive, [Package("b", "1")])
    assert "--pull" in (caught.value.hint or "")

"""Pipfile.lock as pipenv wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from wherry.errors import UsageError
from wherry.wheels.locked import pipfile
from wherry.wheels.locked.pins import Environment, Locked, Pinned

Text = Callable[[str], str]
Linux = Callable[..., Environment]
Names = Callable[[Locked], list[str]]

EVERYWHERE = ["certifi", "charset-normalizer", "click", "idna", "pysocks", "requests", "urllib3"]


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRROR_USER", "me")
    monkeypatch.setenv("MIRROR_PASSWORD", "secret")


@pytest.mark.parametrize("name", ["pipenv", "pipenv-places"])
def test_a_lock_is_current_by_pipenvs_own_hash(text: Text, name: str) -> None:
    pipfile.check_current(text(f"{name}/Pipfile.lock"), text(f"{name}/Pipfile"))


@pytest.mark.parametrize(("line", "instead"), [('click = "*"', 'click = ">8"'), ("[ops]", "[other]")])
def test_a_lock_of_another_pipfile_is_an_error_with_the_command(text: Text, line: str, instead: str) -> None:
    with pytest.raises(UsageError, match=r"Pipfile\.lock does not match Pipfile") as caught:
        pipfile.check_current(text("pipenv/Pipfile.lock"), text("pipenv/Pipfile").replace(line, instead))
    assert caught.value.hint == "Run `pipenv lock`."


def test_a_pipfile_without_a_source_has_pipenvs_own(text: Text) -> None:
    own = text("pipenv/Pipfile")
    pipfile.check_current(text("pipenv/Pipfile.lock"), own[own.index("[packages]") :])


def test_the_default_category_is_installed_for_the_target(text: Text, linux: Linux, names: Names) -> None:
    assert names(pipfile.pinned(text("pipenv/Pipfile.lock"), linux())) == EVERYWHERE


@pytest.mark.parametrize(("group", "name"), [("dev", "iniconfig"), ("develop", "iniconfig"), ("ops", "tomli")])
def test_groups_are_categories(text: Text, linux: Linux, names: Names, group: str, name: str) -> None:
    found = names(pipfile.pinned(text("pipenv/Pipfile.lock"), linux(), groups=[group]))
    assert set(found) - set(EVERYWHERE) == {name}


def test_an_unknown_group_is_an_error_that_says_which_there_are(text: Text, linux: Linux) -> None:
    with pytest.raises(UsageError, match="has no group 'docs'") as caught:
        pipfile.pinned(text("pipenv/Pipfile.lock"), linux(), groups=["docs"])
    assert caught.value.hint == "It has: dev, dev-packages, develop, ops."


def test_places_are_kept_and_indexes_are_those_of_the_sources(text: Text, linux: Linux) -> None:
    pins = {pin.name: pin for pin in pipfile.pinned(text("pipenv-places/Pipfile.lock"), linux()).pins}
    commit = "d4276af94e422c0b995b2d1938e3811fa13d07a4"
    assert pins["harbour"] == Pinned("harbour", git="https://git.example/harbour.git", commit=commit)
    assert (pins["lib"].path, pins["lib"].is_project) == ("./libs/lib", True)
    assert pins["iniconfig"].path == "./wheels/iniconfig-2.0.0-py3-none-any.whl"
    assert pins["sniffio"].indexes == ("https://me:secret@index.example/simple/",)
    assert pins["idna"].indexes == pins["click"].indexes != pins["sniffio"].indexes


def test_a_variable_without_a_value_is_named(text: Text, linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR_PASSWORD")
    with pytest.raises(UsageError, match="MIRROR_PASSWORD, which is not set"):
        pipfile.pinned(text("pipenv-places/Pipfile.lock"), linux())


def test_markers_may_stand_by_their_variables(linux: Linux) -> None:
    entries = {"a": {"version": "==1", "sys_platform": "== 'win32'"}, "b": {"version": "==1", "os_name": "== 'posix'"}}
    found = pipfile.pinned(json.dumps({"_meta": {}, "default": entries}), linux())
    assert [pin.name for pin in found.pins] == ["b"]


def test_a_file_elsewhere_is_kept_with_its_hash(linux: Linux) -> None:
    entry = {"file": "https://host.example/b-1.tar.gz", "hashes": ["sha256:ab"]}
    found = pipfile.pinned(json.dumps({"_meta": {}, "default": {"b": entry}}), linux())
    assert found.pins == (Pinned("b", hashes=frozenset({"sha256:ab"}), url="https://host.example/b-1.tar.gz"),)


def test_a_lock_that_is_not_json_is_an_error(linux: Linux) -> None:
    with pytest.raises(UsageError, match="not valid JSON"):
        pipfile.pinned("{", linux())

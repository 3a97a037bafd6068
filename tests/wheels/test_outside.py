"""Local projects beside the context: what a resolution may find there, and how they are copied along."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.plan import Requirements
from wherry.store import Store
from wherry.wheels import lock as locks
from wherry.wheels.outside import check_outside, copied, relative

LOCK = 'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "lib"\n%s\n'


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The project ``app``, with the projects ``lib`` and ``deep`` beside it."""
    for path in ("app", "lib", "deep"):
        (tmp_path / path).mkdir()
        (tmp_path / path / "pyproject.toml").write_text(f'[project]\nname = "{path}"\n')
    return tmp_path / "app"


def directory(path: str) -> str:
    return LOCK % f'directory = {{ path = "{path}" }}'


def check(path: str, context: Path, requirements: Requirements | None = None) -> None:
    check_outside(locks.parse(directory(path)), requirements or Requirements("requirements.txt"), context)


# -- what may be found --------------------------------------------------------------------------------


def test_a_project_in_the_context_may_be_found(context: Path) -> None:
    (context / "own").mkdir()
    check("own", context)
    check("./own", context)


@pytest.mark.parametrize("path", ["../lib", "../app/../lib", "link", "../link"])
def test_one_outside_that_nobody_named_may_not(context: Path, path: str) -> None:
    for link in (context / "link", context.parent / "link"):
        link.symlink_to(context.parent / "lib")
    with pytest.raises(UsageError, match=r"lib is outside the project folder, at \.\./lib") as caught:
        check(path, context)
    assert 'outside = ["../lib"]' in str(caught.value)


def test_an_absolute_path_outside_may_not_be_found(context: Path) -> None:
    with pytest.raises(UsageError, match=r"at \.\./lib"):
        check(str(context.parent / "lib"), context)


def test_one_that_the_plan_names_may_be_found(context: Path) -> None:
    check("../lib", context, Requirements("requirements.txt", projects=("../lib",)))
    check("../lib", context, Requirements("requirements.txt", inputs=("../lib/pyproject.toml",)))


def test_an_archive_outside_must_be_named_too(context: Path) -> None:
    lock = locks.parse(LOCK % 'archive = { path = "../lib-1-py3-none-any.whl", hashes = { sha256 = "0" } }')
    with pytest.raises(UsageError, match="outside the project folder"):
        check_outside(lock, Requirements("pylock"), context)
    check_outside(lock, Requirements("pylock", inputs=("../lib-1-py3-none-any.whl",)), context)


# -- absolute paths -----------------------------------------------------------------------------------


def moved(path: Path, place: Path, context: Path) -> str:
    (package,) = locks.parse(relative(directory(str(path)), place, context)).packages
    assert package.directory is not None
    return package.directory.path


def test_an_absolute_path_becomes_relative_to_the_context(context: Path) -> None:
    assert moved(context / "own", context, context) == "own"
    assert moved(context, context, context) == "."
    assert moved(context.parent / "lib", context, context) == "../lib"


def test_one_into_a_copy_becomes_relative_to_what_was_copied(context: Path, store: Store) -> None:
    requirements = Requirements("requirements.txt", projects=("../lib",))
    with copied(requirements, context, store) as place:
        assert moved(place / "own", place, context) == "own"
        assert moved(place.parent / "lib", place, context) == "../lib"
        assert moved(context / "own", place, context) == "own"
        assert moved(context.parent / "lib", place, context) == "../lib"


def test_a_lock_without_absolute_paths_stays_as_it_is(context: Path) -> None:
    assert relative(directory("../lib"), context, context) == directory("../lib")


# -- copies -------------------------------------------------------------------------------------------


def listing(place: Path) -> set[str]:
    return {os.path.relpath(path, place) for path in place.parent.rglob("*") if path.is_file()}


def test_what_is_named_outside_lies_at_the_same_place_beside_the_copy(context: Path, store: Store) -> None:
    (context.parent / "common.txt").write_text("attrs")
    requirements = Requirements(
        "requirements.txt", inputs=("../common.txt", "../deep/pyproject.toml"), projects=("../lib",)
    )
    with copied(requirements, context, store) as place:
        assert listing(place) == {
            "pyproject.toml", "../lib/pyproject.toml", "../deep/pyproject.toml", "../common.txt",
        }  # fmt: skip
    assert not place.exists()


def test_a_context_alone_is_copied_alone(context: Path, store: Store) -> None:
    with copied(Requirements("requirements.txt"), context, store) as place:
        assert listing(place) == {"pyproject.toml"}
        (place / "egg-info").touch()
    assert sorted(path.name for path in context.iterdir()) == ["pyproject.toml"]


def test_a_project_around_the_context_is_copied_once(context: Path, store: Store) -> None:
    (context.parent / "pyproject.toml").touch()
    (context.parent / "link").symlink_to("lib")
    with copied(Requirements("requirements.txt", projects=("..",)), context, store) as place:
        assert (place / "../deep/pyproject.toml").is_file()
        assert (place / "pyproject.toml").is_file()


def test_a_repository_that_versions_both_is_copied_once(context: Path, store: Store) -> None:
    subprocess.run(["git", "init", "--quiet", str(context.parent)], check=True)
    (context.parent / "link").symlink_to("lib")
    for path in (context, context.parent / "lib"):
        (path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools-scm"]\n')
    with copied(Requirements("requirements.txt", projects=("../lib",)), context, store) as place:
        assert (place / "../.git/HEAD").is_file()
        assert (place / "../lib/pyproject.toml").is_file()
        assert not (place / "../lib/lib").exists()

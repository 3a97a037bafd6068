"""What is chosen from a lock, and what is said when nothing fits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.image.platform import Platform
from wherry.target import Interpreter, Libc, Target
from wherry.wheels.distribution import Chosen, Distribution, Project, Source
from wherry.wheels.select import NoUsableWheel, select
from wherry.wheels.tags import tags

AMD64 = Target(Platform("linux", "amd64"), Libc("glibc", 2, 36), Interpreter("3.13.5", "/usr/bin/python3"))
MUSL = replace(AMD64, libc=Libc("musl", 1, 2))
ARM64 = replace(AMD64, platform=Platform("linux", "arm64"))
HEAD = 'lock-version = "1.0"\ncreated-by = "a test"\n'
NO_PACKAGES = HEAD + "packages = []\n"


def package(name: str, *tags: str, version: str = "1.0", more: str = "", sdist: bool = False) -> str:
    base = f"{name.replace('-', '_')}-{version}"
    wheels = "".join(
        f'  {{ url = "https://host/{base}-{tag}.whl", size = 9, hashes = {{ sha256 = "aa" }} }},\n' for tag in tags
    )
    lines = [f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}']
    if tags:
        lines.append(f"wheels = [\n{wheels}]")
    if sdist:
        lines.append(f'sdist = {{ url = "https://host/{base}.tar.gz", hashes = {{ sha256 = "bb" }} }}')
    return "\n".join(lines) + "\n"


def choose(
    *packages: str,
    target: Target = AMD64,
    head: str = HEAD,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    context: Path = Path("/context"),
) -> dict[str, Chosen]:
    text = head + ("\n".join(packages) if packages else "packages = []\n")
    return {one.name: one for one in select(text, target, context=context, extras=extras, groups=groups)}


def wheel(one: Chosen) -> str:
    assert isinstance(one, Distribution)
    return one.wheel.name


def test_the_best_wheel_for_the_target_is_chosen() -> None:
    names = ["py3-none-any", "cp313-cp313-manylinux2014_x86_64", "cp313-cp313-musllinux_1_2_x86_64"]
    names += ["cp39-abi3-manylinux2014_aarch64", "cp312-cp312-manylinux2014_x86_64", "cp313-cp313-win_amd64"]
    offered = package("a", *names)
    assert wheel(choose(offered)["a"]) == "a-1.0-cp313-cp313-manylinux2014_x86_64.whl"
    assert wheel(choose(offered, target=MUSL)["a"]) == "a-1.0-cp313-cp313-musllinux_1_2_x86_64.whl"
    assert wheel(choose(offered, target=ARM64)["a"]) == "a-1.0-cp39-abi3-manylinux2014_aarch64.whl"


def test_the_order_in_the_lock_does_not_matter() -> None:
    packages = [package("b", "py3-none-any"), package("a", "py3-none-any")]
    assert list(choose(*packages)) == list(choose(*reversed(packages))) == ["a", "b"]


def test_a_later_build_of_the_same_wheel_wins() -> None:
    assert wheel(choose(package("a", "1-py3-none-any", "12-py3-none-any", "py3-none-any"))["a"]).startswith("a-1.0-12")


def test_a_distribution_knows_what_to_fetch() -> None:
    one = choose(package("a-b", "py3-none-any"))["a-b"]
    assert isinstance(one, Distribution)
    assert (one.version, one.wheel.url, one.wheel.size) == ("1.0", "https://host/a_b-1.0-py3-none-any.whl", 9)
    assert one.wheel.hashes == {"sha256": "aa"}
    assert one.direct_url == ""


def test_markers_are_those_of_the_target() -> None:
    packages = [
        package("amd", "py3-none-any", more="marker = \"platform_machine == 'x86_64'\"\n"),
        package("arm", "py3-none-any", more="marker = \"platform_machine == 'aarch64'\"\n"),
        package("new", "py3-none-any", more="marker = \"python_version >= '3.13'\"\n"),
        package("win", "py3-none-any", more="marker = \"sys_platform == 'win32'\"\n"),
    ]
    assert list(choose(*packages)) == ["amd", "new"]
    assert list(choose(*packages, target=ARM64)) == ["arm", "new"]


def test_extras_and_groups_are_chosen() -> None:
    head = HEAD + 'extras = ["x"]\ndependency-groups = ["dev", "base"]\ndefault-groups = ["base"]\n'
    packages = [
        package("x", "py3-none-any", more="marker = \"'x' in extras\"\n"),
        package("dev", "py3-none-any", more="marker = \"'dev' in dependency_groups\"\n"),
        package("base", "py3-none-any", more="marker = \"'base' in dependency_groups\"\n"),
    ]
    assert list(choose(*packages, head=head)) == ["base"]
    assert list(choose(*packages, head=head, extras=["X"], groups=["dev"])) == ["base", "dev", "x"]
    with pytest.raises(UsageError, match="no extra 'y'"):
        choose(*packages, head=head, extras=["y"])


def test_local_paths_start_at_the_context(tmp_path: Path) -> None:
    found = choose(
        '[[packages]]\nname = "a"\nwheels = [{ path = "w/a-1.0-py3-none-any.whl", hashes = { sha256 = "aa" } }]\n',
        '[[packages]]\nname = "b"\narchive = { path = "b-2-py3-none-any.whl", hashes = { sha256 = "aa" } }\n',
        '[[packages]]\nname = "c"\ndirectory = { path = "lib", editable = true, subdirectory = "c" }\n',
        context=tmp_path,
    )
    a, b, c = found.values()
    assert isinstance(a, Distribution)
    assert isinstance(b, Distribution)
    assert a.wheel.url == (tmp_path / "w" / "a-1.0-py3-none-any.whl").as_uri()
    assert (b.version, b.wheel.url) == ("2", (tmp_path / "b-2-py3-none-any.whl").as_uri())
    assert (a.direct_url, b.direct_url) == ("", "")  # a path here means nothing in the image
    assert c == Project("c", "lib/c")


def test_a_wheel_from_a_url_keeps_its_origin_without_credentials() -> None:
    url = "https://me:secret@host/a-1.0-py3-none-any.whl"
    a = choose(f'[[packages]]\nname = "a"\narchive = {{ url = "{url}", hashes = {{ sha256 = "aa" }} }}\n')["a"]
    assert isinstance(a, Distribution)
    assert a.wheel.url == url
    assert json.loads(a.direct_url) == {
        "url": "https://host/a-1.0-py3-none-any.whl",
        "archive_info": {"hashes": {"sha256": "aa"}},
    }


def test_all_that_has_no_wheel_is_named_at_once() -> None:
    with pytest.raises(NoUsableWheel) as caught:
        choose(
            package("asks", "py3-none-any", more='dependencies = [{ name = "old" }]\n'),
            package("fine", "py3-none-any"),
            package("old", "cp27-cp27m-win32"),
            package("windows", "cp313-cp313-win_amd64", "cp312-cp312-win_amd64", version="2.0"),
            '[[packages]]\nname = "hg"\nvcs = { type = "hg", url = "https://host/x", commit-id = "00" }\n',
        )
    assert [one.name for one in caught.value.missing] == ["hg", "old", "windows"]
    assert caught.value.message.splitlines() == [
        "3 requirements have no wheel for linux/amd64 with glibc 2.36 and Python 3.13.5:",
        "  hg: there is only a hg repository",
        "    only git repositories are built",
        "  old 1.0 (required by asks): wheels exist for cp27-cp27m-win32",
        "  windows 2.0: wheels exist for cp312-cp312-win_amd64, cp313-cp313-win_amd64",
        "Tags wanted, best first: cp313-cp313-manylinux_2_36_x86_64, cp313-abi3-manylinux_2_36_x86_64, py3-none-any, …",
    ]


def test_what_has_no_wheel_is_a_source() -> None:
    git = 'vcs = { type = "git", url = "https://host/x", commit-id = "00", subdirectory = "in" }'
    found = choose(
        package("asks", "py3-none-any", more='dependencies = [{ name = "sdist" }]\n'),
        package("sdist", "cp313-cp313-win_amd64", sdist=True),
        f'[[packages]]\nname = "git"\n{git}\n',
        '[[packages]]\nname = "tar"\narchive = { url = "https://host/tar-1.tgz", hashes = { sha256 = "aa" } }\n',
    )
    from_git, sdist, tar = found["git"], found["sdist"], found["tar"]
    assert isinstance(from_git, Source)
    assert (from_git.repository, from_git.commit, from_git.subdirectory) == ("https://host/x", "00", "in")
    assert json.loads(from_git.direct_url) == {
        "url": "https://host/x",
        "vcs_info": {"vcs": "git", "commit_id": "00"},
        "subdirectory": "in",
    }
    assert isinstance(sdist, Source)
    assert (sdist.version, sdist.wanted_by, sdist.direct_url) == ("1.0", ("asks",), "")
    assert isinstance(tar, Source)
    assert json.loads(tar.direct_url)["archive_info"] == {"hashes": {"sha256": "aa"}}


@pytest.mark.parametrize(
    ("offered", "target", "hint"),
    [
        ("cp312-cp312-manylinux2014_x86_64", AMD64, "wheels for Python 3.12: choose one with --python"),
        ("cp313-cp313-manylinux2014_x86_64", MUSL, "wheels for glibc: choose a base that is not built on musl"),
        ("cp313-cp313-manylinux_2_39_x86_64", AMD64, "wheels for a newer glibc: choose a newer base"),
        ("cp313-cp313-win_amd64", AMD64, "Require a version that has a wheel"),
    ],
)
def test_the_hint_says_what_would_help(offered: str, target: Target, hint: str) -> None:
    with pytest.raises(NoUsableWheel) as caught:
        choose(package("a", offered), target=target)
    assert hint in str(caught.value.hint)


def test_a_long_list_of_wheels_is_shortened() -> None:
    with pytest.raises(NoUsableWheel, match="and 4 more"):
        choose(package("a", *(f"cp3{minor}-cp3{minor}-win_amd64" for minor in range(10, 20))))


@pytest.mark.parametrize(
    ("head", "more", "message"),
    [
        ('requires-python = ">=3.14"\n', "", "the lock is for Python >=3.14, the base has 3.13.5"),
        ("environments = [\"sys_platform == 'win32'\"]\n", "", "the lock is not for linux/amd64"),
        ("", 'requires-python = "<3.13"\n', "(?s)the lock does not fit Python 3.13.5.*a 1.0 needs <3.13"),
    ],
)
def test_a_lock_for_something_else_is_refused(head: str, more: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(package("a", "py3-none-any", more=more), head=HEAD + head)


def test_two_entries_for_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two entries for a"):
        choose(package("a", "py3-none-any"), package("a", "py3-none-any", version="2.0"))


TAGS = [str(tag) for tag in tags(AMD64)]


@given(st.lists(st.sampled_from([*TAGS, "cp39-cp39-win32", "py2-none-any"]), min_size=1, unique=True))
def test_whatever_is_offered_the_first_wanted_tag_wins(offered: list[str]) -> None:
    wanted = [tag for tag in TAGS if tag in offered]
    if wanted:
        assert wheel(choose(package("a", *offered))["a"]) == f"a-1.0-{wanted[0]}.whl"
    else:
        with pytest.raises(NoUsableWheel):
            choose(package("a", *offered))

"""What a target accepts, whatever machine the tests run on."""

from __future__ import annotations

import pytest

from wherry.errors import UsageError
from wherry.image.platform import Platform
from wherry.target import Interpreter, Libc, Target
from wherry.wheels.select import fits
from wherry.wheels.tags import environment, tags, uv_platform, uv_version


def target(platform: str = "linux/amd64", libc: str = "glibc 2.41", python: str = "3.13.5") -> Target:
    family, _, version = libc.partition(" ")
    major, _, minor = version.partition(".")
    assert family in {"glibc", "musl"}
    parts = Libc("musl" if family == "musl" else "glibc", int(major), int(minor))
    return Target(Platform.parse(platform), parts, Interpreter(python, "/usr/bin/python3"))


def test_the_newest_manylinux_comes_first_and_the_plain_tag_last() -> None:
    platforms = list(dict.fromkeys(tag.platform for tag in tags(target()) if tag.abi == "cp313"))
    assert platforms[0] == "manylinux_2_41_x86_64"
    assert platforms[-3:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    assert platforms.index("manylinux_2_17_x86_64") + 1 == platforms.index("manylinux2014_x86_64")


def test_pure_python_comes_after_everything_compiled() -> None:
    names = [str(tag) for tag in tags(target())]
    compiled = max(i for i, name in enumerate(names) if name.endswith("x86_64"))
    assert names.index("py3-none-any") > compiled


@pytest.mark.parametrize(
    ("wheel", "on", "fitting"),
    [
        ("a-1-cp313-cp313-manylinux_2_41_x86_64.whl", target(), True),
        ("a-1-cp313-cp313-manylinux_2_42_x86_64.whl", target(), False),
        ("a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", target(), True),
        ("a-1-cp313-cp313-manylinux1_x86_64.whl", target(), True),
        ("a-1-cp312-cp312-manylinux1_x86_64.whl", target(), False),
        ("a-1-cp38-abi3-manylinux2014_x86_64.whl", target(), True),
        ("a-1-cp314-abi3-manylinux2014_x86_64.whl", target(), False),
        ("a-1-cp313-cp313t-manylinux2014_x86_64.whl", target(), False),
        ("a-1-py3-none-manylinux2014_x86_64.whl", target(), True),
        ("a-1-py2.py3-none-any.whl", target(), True),
        ("a-1-py2-none-any.whl", target(), False),
        ("a-1-py313-none-any.whl", target(), True),
        ("a-1-cp313-cp313-manylinux2014_aarch64.whl", target(), False),
        ("a-1-cp313-cp313-manylinux2014_aarch64.whl", target("linux/arm64"), True),
        ("a-1-cp313-cp313-manylinux1_aarch64.whl", target("linux/arm64"), False),
        ("a-1-cp313-cp313-musllinux_1_2_x86_64.whl", target(), False),
        ("a-1-cp313-cp313-musllinux_1_2_x86_64.whl", target(libc="musl 1.2"), True),
        ("a-1-cp313-cp313-musllinux_1_1_x86_64.whl", target(libc="musl 1.2"), True),
        ("a-1-cp313-cp313-manylinux2014_x86_64.whl", target(libc="musl 1.2"), False),
        ("a-1-cp313-cp313-win_amd64.whl", target(), False),
        ("a-1-cp313-cp313-macosx_11_0_arm64.whl", target("linux/arm64"), False),
        ("a-1-cp313-cp313-manylinux_2_17_armv7l.whl", target("linux/arm/v7"), True),
    ],
)
def test_a_wheel_fits_or_not(wheel: str, on: Target, fitting: bool) -> None:
    assert fits(wheel, on) is fitting


def test_markers_see_the_target_and_not_the_host() -> None:
    found = environment(target("linux/arm64", python="3.12.9"))
    assert found["platform_machine"] == "aarch64"
    assert found["python_version"] == "3.12"
    assert found["python_full_version"] == "3.12.9"
    assert found["sys_platform"] == "linux"


@pytest.mark.parametrize(
    ("on", "name"),
    [
        (target(), "x86_64-manylinux_2_40"),
        (target(libc="glibc 2.36"), "x86_64-manylinux_2_36"),
        (target(libc="glibc 2.30"), "x86_64-manylinux_2_28"),
        (target(libc="glibc 2.12"), "x86_64-manylinux_2_17"),
        (target("linux/arm64"), "aarch64-manylinux_2_40"),
        (target("linux/arm64", "musl 1.2"), "aarch64-unknown-linux-musl"),
        (target(libc="musl 1.2"), "x86_64-unknown-linux-musl"),
        (target("linux/riscv64"), "riscv64-unknown-linux"),
    ],
)
def test_uv_is_told_the_platform_that_is_nearest_from_below(on: Target, name: str) -> None:
    assert uv_platform(on) == name


def test_a_processor_that_uv_does_not_know_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="linux/s390x"):
        uv_platform(target("linux/s390x"))


def test_uv_is_told_a_version_without_a_suffix() -> None:
    assert uv_version(target(python="3.14.0rc2")) == "3.14.0"

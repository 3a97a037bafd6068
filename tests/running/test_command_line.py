"""What is run, and with which environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import RuntimeConfig
from wherry.opening import default_store
from wherry.running import RunOptions, command_line, environment, volume

BOTH = RuntimeConfig(entrypoint=("serve", "--fast"), cmd=("all",))


@pytest.mark.parametrize(
    ("args", "entrypoint", "expected"),
    [
        ((), None, ("serve", "--fast", "all")),
        (("one",), None, ("serve", "--fast", "one")),
        ((), "sh", ("sh",)),
        (("-c", "true"), "sh", ("sh", "-c", "true")),
        (("echo",), "", ("echo",)),
    ],
)
def test_entrypoint_and_command_join_as_in_docker(
    args: tuple[str, ...], entrypoint: str | None, expected: tuple[str, ...]
) -> None:
    assert command_line(BOTH, args, RunOptions(entrypoint=entrypoint)) == expected


@pytest.mark.parametrize(("config", "entrypoint"), [(RuntimeConfig(), None), (BOTH, "")])
def test_nothing_to_run_is_an_error(config: RuntimeConfig, entrypoint: str | None) -> None:
    with pytest.raises(UsageError, match="no command"):
        command_line(config, (), RunOptions(entrypoint=entrypoint))


def test_variables_come_from_the_image_the_user_and_where_named_from_us() -> None:
    config = RuntimeConfig(env=("A=image", "B=image", "C=image"))
    env = environment(config, ("B=user=2", "C", "D"), {"C": "ours", "E": "ours"})
    assert {name: env[name] for name in env if name != "PATH"} == {"A": "image", "B": "user=2", "C": "ours"}
    assert env["PATH"].startswith("/usr/local/sbin:")


def test_a_variable_that_we_lack_is_unset() -> None:
    assert "A" not in environment(RuntimeConfig(env=("A=image",)), ("A",), {})


def test_a_user_without_a_home_is_told_to_name_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WHERRY_STORE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)
    with pytest.raises(UsageError, match="no home"):
        default_store()


def test_a_variable_needs_a_name() -> None:
    with pytest.raises(UsageError):
        environment(RuntimeConfig(), ("=x",), {})


def test_a_volume_may_be_relative_and_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cargo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert volume("cargo:/hold:ro,Z").source == tmp_path / "cargo"
    assert volume("cargo:/hold:ro,Z").read_only
    assert not volume("./cargo:/hold").read_only

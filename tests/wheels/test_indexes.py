"""pip's and uv's settings, as those two read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.fetch import Fetcher
from wherry.fetch.client import Credentials
from wherry.plan import Indexes
from wherry.wheels.indexes import Settings, has_credentials, read_settings, redact

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads settings of a machine that has none but those given; ``tmp_path`` is home and holds the context."""
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr("wherry.wheels.indexes._PIP_MACHINE", Path("/nonexistent/pip.conf"))
    context = tmp_path / "context"
    context.mkdir()

    def reader(indexes: Indexes | None = None, *, own_index: bool = False, **environ: str) -> Settings:
        environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), **environ}
        return read_settings(indexes or Indexes(), context, own_index=own_index, environ=environ)

    return reader


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_settings_uv_gets_none(read: Read) -> None:
    found = read()
    assert [name for name in found.environment if name.startswith("UV_")] == ["UV_INDEX_STRATEGY"]
    assert found.options == ()


def test_pips_environment_is_translated(read: Read, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    found = read(
        PIP_INDEX_URL="https://one/simple",
        PIP_EXTRA_INDEX_URL="https://two/simple  https://three/simple",
        PIP_FIND_LINKS=f"{tmp_path}/links /not/there https://page/",
        PIP_TRUSTED_HOST="one two:8080",
        PIP_NO_INDEX="yes",
    )
    assert found.environment["UV_DEFAULT_INDEX"] == "https://one/simple"
    assert found.environment["UV_INDEX"] == "https://two/simple https://three/simple"
    assert found.environment["UV_FIND_LINKS"] == f"{tmp_path}/links,https://page/"
    assert found.environment["UV_INSECURE_HOST"] == "one two:8080"
    assert found.options == ("--no-index",)


def test_several_indexes_mean_what_they_mean_to_pip(read: Read) -> None:
    assert read(PIP_EXTRA_INDEX_URL="https://two/").environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_pips_files_are_read_in_pips_order(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "xdg" / "pip" / "pip.conf", "[global]\nindex-url = https://machine/\nextra-index-url = https://m/")
    assert read().environment["UV_DEFAULT_INDEX"] == "https://machine/"
    write(tmp_path / ".config" / "pip" / "pip.conf", "[global]\nindex_url = https://user/\n")
    assert read().environment["UV_DEFAULT_INDEX"] == "https://user/"
    assert read().environment["UV_INDEX"] == "https://m/"
    write(tmp_path / "prefix" / "pip.conf", "[install]\nindex-url = https://site/\n[global]\nindex-url = https://no/")
    assert read().environment["UV_DEFAULT_INDEX"] == "https://site/"
    own = write(tmp_path / "own.conf", "[global]\nextra-index-url =\n    https://a/\n    https://b/\n")
    assert read(PIP_CONFIG_FILE=str(own)).environment["UV_INDEX"] == "https://a/ https://b/"
    assert (
        read(PIP_CONFIG_FILE=str(own), PIP_INDEX_URL="https://env/").environment["UV_DEFAULT_INDEX"] == "https://env/"
    )
    assert "UV_DEFAULT_INDEX" not in read(PIP_CONFIG_FILE=os.devnull).environment


def test_a_broken_configuration_file_is_a_clear_error(read: Read, tmp_path: Path) -> None:
    write(tmp_path / ".config" / "pip" / "pip.conf", "index-url = https://user/\n")
    with pytest.raises(UsageError, match=r"pip\.conf is not valid"):
        read()


def test_the_command_line_is_stronger_than_configuration(read: Read) -> None:
    command_line = Indexes("https://cli/", ("https://extra/",), (), False)
    found = read(command_line, PIP_INDEX_URL="https://pip/", PIP_EXTRA_INDEX_URL="https://more/")
    assert found.environment["UV_DEFAULT_INDEX"] == "https://cli/"
    assert found.environment["UV_INDEX"] == "https://extra/ https://more/"
    found = read(command_line, UV_INDEX_URL="https://uv/", UV_EXTRA_INDEX_URL="https://uvmore/")
    assert found.environment["UV_DEFAULT_INDEX"] == "https://cli/"
    assert "UV_INDEX_URL" not in found.environment
    assert found.environment["UV_INDEX"] == "https://extra/ https://uvmore/"


def test_an_index_in_a_requirements_file_replaces_pips(read: Read) -> None:
    found = read(own_index=True, PIP_INDEX_URL="https://pip/", PIP_EXTRA_INDEX_URL="https://more/")
    assert "UV_DEFAULT_INDEX" not in found.environment
    assert "UV_INDEX" not in found.environment


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("context/uv.toml", 'index-url = "https://uv/"\n'),
        ("context/pyproject.toml", '[[tool.uv.index]]\nname = "own"\nurl = "https://uv/"\n'),
        ("pyproject.toml", '[tool.uv.pip]\nextra-index-url = ["https://uv/"]\n'),
        (".config/uv/uv.toml", 'find-links = ["https://uv/"]\n'),
    ],
)
def test_uvs_own_settings_leave_pips_out(read: Read, tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / name, text)
    found = read(PIP_INDEX_URL="https://pip/", PIP_FIND_LINKS="https://links/", PIP_TRUSTED_HOST="host")
    assert not {"UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"} & set(found.environment)
    assert found.environment["UV_INSECURE_HOST"] == "host"


def test_uvs_environment_leaves_pips_out(read: Read) -> None:
    found = read(UV_INDEX="https://uv/", PIP_INDEX_URL="https://pip/")
    assert found.environment["UV_INDEX"] == "https://uv/"
    assert "UV_DEFAULT_INDEX" not in found.environment


def test_a_strategy_that_was_chosen_stays(read: Read, tmp_path: Path) -> None:
    strategy = "UV_INDEX_STRATEGY"
    assert read(UV_INDEX_STRATEGY="first-index", PIP_INDEX_URL="https://a/").environment[strategy] == "first-index"
    write(tmp_path / "context" / "uv.toml", 'index-strategy = "first-index"\n')
    assert strategy not in read(PIP_EXTRA_INDEX_URL="https://a/").environment


def test_what_would_lead_uv_astray_is_left_out(read: Read) -> None:
    astray = {"UV_PROJECT": "/x", "UV_FROZEN": "1", "UV_NO_CACHE": "1", "VIRTUAL_ENV": "/venv", "PYTHONPATH": "/x"}
    assert not set(astray) & set(read(**astray).environment)
    assert read(UV_EXCLUDE_NEWER="2025-01-01").environment["UV_EXCLUDE_NEWER"] == "2025-01-01"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_uv_trusts_the_bundle_that_pip_trusts(read: Read, tmp_path: Path, name: str) -> None:
    bundle = write(tmp_path / "ca.pem", "")
    found = read(**{name: str(bundle)})
    assert found.environment["SSL_CERT_FILE"] == str(bundle)
    assert found.certificates == str(bundle)


def test_the_bundle_in_pips_configuration_is_trusted(read: Read, tmp_path: Path) -> None:
    write(tmp_path / ".config" / "pip" / "pip.conf", "[global]\ncert = /a/ca.pem\n")
    assert read().environment["SSL_CERT_FILE"] == "/a/ca.pem"


def test_credentials_are_in_no_fingerprint_and_no_representation(read: Read) -> None:
    found = read(
        PIP_INDEX_URL="https://me:secret@one/simple",
        PIP_EXTRA_INDEX_URL="https://secret@two/simple",
        UV_INDEX_OWN_PASSWORD="secret",
    )
    assert "secret" not in repr(found)
    assert "secret" not in repr(found.fingerprint)
    again = read(PIP_INDEX_URL="https://me:changed@one/simple", PIP_EXTRA_INDEX_URL="https://two/simple")
    assert found.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"PIP_INDEX_URL": "https://b/"},
        {"PIP_NO_INDEX": "1"},
        {"UV_EXCLUDE_NEWER": "2025-01-01"},
        {"UV_PRERELEASE": "allow"},
    ],
)
def test_other_settings_have_another_fingerprint(read: Read, other: dict[str, str]) -> None:
    assert read(**other).fingerprint != read().fingerprint


def test_a_change_in_a_folder_of_wheels_changes_the_fingerprint(read: Read, tmp_path: Path) -> None:
    links = tmp_path / "context" / "links"
    links.mkdir()
    before = read(Indexes(find_links=("links",)))
    assert before.environment["UV_FIND_LINKS"] == str(links)
    write(links / "a-1.0-py3-none-any.whl", "x")
    assert read(Indexes(find_links=("links",))).fingerprint != before.fingerprint


def test_the_fetcher_learns_the_credentials(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "context" / "uv.toml", '[[index]]\nname = "my-own"\nurl = "https://named:8443/simple"\n')
    found = read(UV_INDEX="https://me:s%40fe@one/simple", UV_INDEX_MY_OWN_USERNAME="u", UV_INDEX_MY_OWN_PASSWORD="p")

    class Told(Fetcher):
        def authorize(self, origin: str, user: str, password: str) -> None:
            told.append((origin, user, password))

    told: list[tuple[str, str, str]] = []
    found.introduce(Told(tmp_path))
    assert told == [("https://one", "me", "s@fe"), ("https://named:8443", "u", "p")]


def test_a_single_index_is_asked_in_a_way_that_tells_if_it_refuses(read: Read) -> None:
    strategy = "UV_INDEX_STRATEGY"
    assert read(Indexes("https://one/simple")).environment[strategy] == "first-index"
    assert read(PIP_INDEX_URL="https://one/simple").environment[strategy] == "first-index"
    several = Indexes("https://one/simple", ("https://two/simple",))
    assert read(several).environment[strategy] == "unsafe-best-match"


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """A keyring that knows the password of ``me`` at ``one:8080``, and notes what it is asked."""
    program = write(
        tmp_path / "bin" / "keyring",
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
[ "$2 $3" = "one:8080 me" ] && echo sesame || exit 1
""",
    )
    program.chmod(0o755)
    return program


def test_the_password_that_a_keyring_has_is_asked_for_once_and_when_it_is_needed(
    read: Read, keyring: Path, tmp_path: Path
) -> None:
    environ = {"PATH": f"{keyring.parent}:{os.environ['PATH']}", "UV_KEYRING_PROVIDER": "subprocess"}
    found = read(Indexes("http://me@one:8080/simple"), **environ)
    told = Credentials()

    class Told(Fetcher):
        def authorize_user(self, origin: str, user: str, ask: Callable[[], str]) -> None:
            told.tell_user(origin, user, ask)

    found.introduce(Told(tmp_path))
    assert not (tmp_path / "asked").exists()
    assert told.find("http://two:8080/file") is None
    assert [told.find(f"http://one:8080/{name}") for name in "ab"] == [("me", "sesame")] * 2
    assert (tmp_path / "asked").read_text() == "get http://one:8080/simple me\nget one:8080 me\n"


def test_a_keyring_is_asked_only_if_that_is_set(read: Read, keyring: Path, tmp_path: Path) -> None:
    found = read(Indexes("http://me@one:8080/simple"), PATH=f"{keyring.parent}:{os.environ['PATH']}")
    with Fetcher(tmp_path) as fetcher:
        found.introduce(fetcher)
    assert found.servers == (("http://one:8080/simple", "me", ""),)
    assert not (tmp_path / "asked").exists()


def test_a_user_without_a_password_has_that_of_netrc_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = write(tmp_path / "netrc", "machine one login me password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    told = Credentials()
    assert told.find("https://one/x") == ("me", "word")
    told.tell("https://one", "me", "")
    assert told.find("https://one/x") == ("me", "word")
    told.tell("https://one", "token", "")
    assert told.find("https://one/x") == ("token", "")


def test_credentials_are_redacted_wherever_they_are() -> None:
    text = "failed: https://me:secret@one/simple, git+https://token@two/x.git (see http://three/a@b)"
    assert redact(text) == "failed: https://one/simple, git+https://two/x.git (see http://three/a@b)"
    assert has_credentials(text)
    assert not has_credentials(redact(text))

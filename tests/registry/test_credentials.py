"""Who we are at a registry: Docker's and Podman's files, and credential helpers."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.registry.credentials import Keychain, Login, forget_login, store_login
from wherry.registry.helper import HelperFailed

HELPER = """#!{python}
import json, pathlib, sys
kept = pathlib.Path(__file__).with_suffix(".json")
logins = json.loads(kept.read_text()) if kept.exists() else {{}}
given = sys.stdin.read()
match sys.argv[1:]:
    case ["get"]:
        if given not in logins:
            print("credentials not found in native keychain")
            sys.exit(1)
        user, secret = logins[given]
        print(json.dumps({{"ServerURL": given, "Username": user, "Secret": secret}}))
    case ["store"]:
        value = json.loads(given)
        logins[value["ServerURL"]] = [value["Username"], value["Secret"]]
    case ["erase"]:
        del logins[given]
kept.write_text(json.dumps(logins))
"""


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def docker_config(tmp_path: Path, **content: object) -> Path:
    path = tmp_path / "docker" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper called ``box``; the file where it keeps logins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-box"
    program.write_text(HELPER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "docker-credential-box.json"


# -- files -------------------------------------------------------------------------------------------


def test_without_any_file_there_is_no_login() -> None:
    assert Keychain().find("example.com") is None


def test_a_password_may_hold_colons(tmp_path: Path) -> None:
    docker_config(tmp_path, auths={"example.com": auth("me", "a:b:c")})
    assert Keychain().find("example.com", "any/where") == Login("me", "a:b:c")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(tmp_path: Path, key: str) -> None:
    docker_config(tmp_path, auths={key: auth("me", "x")})
    assert Keychain().find("docker.io", "library/python") == Login("me", "x")


def test_the_most_specific_namespace_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth.json"
    names = ("example.com", "example.com/team", "example.com/team/app")
    file.write_text(json.dumps({"auths": {name: auth(name, "x") for name in names}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    keychain = Keychain()
    for path, user in (("team/app", names[2]), ("team/other", names[1]), ("teams", names[0])):
        found = keychain.find("example.com", path)
        assert found is not None
        assert found.user == user


def test_podmans_file_goes_before_dockers(tmp_path: Path) -> None:
    docker_config(tmp_path, auths={"example.com": auth("docker", "x"), "other.example.com": auth("docker", "x")})
    podman = tmp_path / "config" / "containers" / "auth.json"
    podman.parent.mkdir(parents=True)
    podman.write_text(json.dumps({"auths": {"example.com": auth("podman", "x")}}))
    assert Keychain().find("example.com") == Login("podman", "x")
    assert Keychain().find("other.example.com") == Login("docker", "x")


def test_the_environment_goes_before_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker_config(tmp_path, auths={"example.com": auth("docker", "x")})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"example.com": auth("job", "x")}}))
    assert Keychain().find("example.com") == Login("job", "x")


@pytest.mark.parametrize("text", ["{", '{"auths": 1}', '{"auths": {"example.com": {"auth": "c2VjcmV0"}}}'])
def test_a_broken_file_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    path = docker_config(tmp_path)
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        Keychain().find("example.com")
    assert str(path) in str(error.value)
    assert "c2VjcmV0" not in str(error.value)


def test_a_login_does_not_show_what_it_holds() -> None:
    assert "x-secret" not in repr(Login("me", "x-secret", "x-secret"))


# -- login and logout --------------------------------------------------------------------------------


def test_what_is_kept_is_found_and_all_else_in_the_file_stays(tmp_path: Path) -> None:
    path = docker_config(tmp_path, auths={"other.example.com": auth("a", "b")}, proxies={"default": {}})
    assert store_login("example.com", Login("me", "a:b")) == str(path)
    assert Keychain().find("example.com") == Login("me", "a:b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["proxies"] == {"default": {}}
    assert forget_login("example.com")
    assert not forget_login("example.com")
    assert list(json.loads(path.read_text())["auths"]) == ["other.example.com"]


def test_docker_finds_a_login_for_its_hub(tmp_path: Path) -> None:
    path = Path(store_login("docker.io", Login("me", "x")))
    assert list(json.loads(path.read_text())["auths"]) == ["https://index.docker.io/v1/"]


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    path = docker_config(tmp_path)
    target = path.rename(tmp_path / "real.json")
    path.symlink_to(target)
    store_login("example.com", Login("me", "x"))
    assert path.is_symlink()
    assert "example.com" in target.read_text()


def test_a_user_with_a_colon_is_refused() -> None:
    with pytest.raises(UsageError, match="colon"):
        store_login("example.com", Login("a:b", "c"))


# -- helpers -----------------------------------------------------------------------------------------


def test_a_helper_keeps_what_the_file_does_not(tmp_path: Path, helper: Path) -> None:
    path = docker_config(tmp_path, credsStore="box")
    assert store_login("docker.io", Login("me", "a-secret")) == "docker-credential-box"
    assert "a-secret" not in path.read_text()
    assert json.loads(helper.read_text()) == {"https://index.docker.io/v1/": ["me", "a-secret"]}
    assert Keychain().find("docker.io") == Login("me", "a-secret")
    assert forget_login("docker.io")
    assert json.loads(helper.read_text()) == {}
    assert Keychain().find("docker.io") is None


def test_a_helper_may_be_for_one_registry(tmp_path: Path, helper: Path) -> None:
    docker_config(tmp_path, credHelpers={"example.com": "box"}, auths={"other.example.com": auth("a", "b")})
    store_login("example.com", Login("", "", "refresh"))
    assert json.loads(helper.read_text()) == {"example.com": ["<token>", "refresh"]}
    assert Keychain().find("example.com") == Login("", "", "refresh")
    assert Keychain().find("other.example.com") == Login("a", "b")


@pytest.mark.parametrize("name", ["not-installed", "../box", ""])
def test_a_helper_that_cannot_be_run_is_named(tmp_path: Path, helper: Path, name: str) -> None:
    docker_config(tmp_path, credHelpers={"example.com": name})
    if not name:  # it is to have none
        assert Keychain().find("example.com") is None
        return
    with pytest.raises(WherryError, match=name):
        Keychain().find("example.com")


def test_a_helper_that_fails_says_why_and_shows_no_secret(tmp_path: Path, helper: Path) -> None:
    docker_config(tmp_path, credsStore="box")
    program = helper.with_suffix("")
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('the keychain is locked')\nsys.exit(1)\n")
    with pytest.raises(HelperFailed, match="the keychain is locked"):
        Keychain().find("example.com")
    with pytest.raises(HelperFailed) as error:
        store_login("example.com", Login("me", "a-secret"))
    assert "a-secret" not in str(error.value)

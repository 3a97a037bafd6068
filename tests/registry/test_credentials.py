"""Logins in the files of Docker and Podman, and in credential helpers: real files, and a real program as the helper."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registry.servers import PASSWORD, PROGRAM, USER, registry

import wherry
from wherry.errors import UsageError, WherryError
from wherry.registry import helper as helpers
from wherry.registry.client import Client
from wherry.registry.credentials import Keychain, Login, forget_login, store_login
from wherry.registry.helper import Helper, HelperFailed
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.repository import Repository

ADA = Login("ada", "pa:ss")
EVE = Login("eve", "other")
HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Home:
    """A home folder, and the places in and beside it where logins are kept."""

    path: Path

    @property
    def docker(self) -> Path:
        return self.path / ".docker" / "config.json"

    @property
    def containers(self) -> Path:
        return self.path / ".config" / "containers" / "auth.json"

    @property
    def runtime(self) -> Path:
        return self.path / "runtime" / "containers" / "auth.json"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, and no setting of this machine."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return Home(tmp_path)


def auth(login: Login) -> dict[str, str]:
    """An entry of ``auths``."""
    return {"auth": base64.b64encode(f"{login.user}:{login.password}".encode()).decode()}


def write(path: Path, **content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def read(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text())
    return content


# -- a helper ----------------------------------------------------------------------------------------

_PROGRAM = """#!{python} -ISE
import json, sys
from pathlib import Path

kept = Path({kept!r})
given = sys.stdin.read()
with open({log!r}, "a") as log:
    print(json.dumps([*sys.argv[1:], given]), file=log)
logins = json.loads(kept.read_text())
match sys.argv[1:]:
    case ["store"]:
        login = json.loads(given)
        logins[login["ServerURL"]] = login
    case ["get"] if given in logins:
        print(json.dumps(logins[given]))
    case ["erase"] if given in logins:
        del logins[given]
    case _:
        print("credentials not found in native keychain")
        sys.exit(1)
kept.write_text(json.dumps(logins))
"""


@dataclass(frozen=True)
class Programs:
    """Helpers on the PATH, in a folder of their own."""

    folder: Path

    def script(self, name: str, text: str) -> None:
        """A helper that is this program."""
        path = self.folder / f"docker-credential-{name}"
        path.write_text(text)
        path.chmod(0o755)

    def keeping(self, name: str, **logins: Login) -> None:
        """A helper that keeps logins, these to begin with (``_`` stands for a dot)."""
        kept = {
            (server := key.replace("_", ".")): {"ServerURL": server, "Username": one.user, "Secret": one.password}
            for key, one in logins.items()
        }
        self._kept(name).write_text(json.dumps(kept))
        log = str(self.folder / f"{name}.log")
        self.script(name, _PROGRAM.format(python=sys.executable, kept=str(self._kept(name)), log=log))

    def kept(self, name: str) -> dict[str, tuple[str, str]]:
        """(user, secret) by server."""
        logins = json.loads(self._kept(name).read_text())
        return {server: (login["Username"], login["Secret"]) for server, login in logins.items()}

    def asked(self, name: str) -> list[list[str]]:
        """The arguments of each call and what was given to it."""
        log = self.folder / f"{name}.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def _kept(self, name: str) -> Path:
        return self.folder / f"{name}.json"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Programs(folder)


# -- a login -----------------------------------------------------------------------------------------


def test_a_login_shows_its_user_and_no_secret() -> None:
    shown = repr(Login("ada", "hush", "refresh"))
    assert "ada" in shown
    assert "hush" not in shown
    assert "refresh" not in shown


# -- finding: what an entry may look like ------------------------------------------------------------


def test_without_any_file_nobody_is_logged_in() -> None:
    assert Keychain().find("docker.io", "library/python") is None


def test_a_password_may_hold_colons(home: Home) -> None:
    write(home.docker, auths={"r.example": auth(ADA)})
    assert Keychain().find("r.example", "a/b") == Login("ada", "pa:ss")


def test_user_and_password_may_stand_in_fields_of_their_own(home: Home) -> None:
    write(home.docker, auths={"r.example": {"username": "ada", "password": "pa:ss"}})
    assert Keychain().find("r.example") == ADA


def test_an_identity_token_comes_with_the_user(home: Home) -> None:
    write(home.docker, auths={"r.example": {**auth(Login("ada", "")), "identitytoken": "refresh"}})
    assert Keychain().find("r.example") == Login("ada", "", "refresh")


def test_an_empty_entry_is_no_login(home: Home) -> None:
    write(home.docker, auths={"r.example": {}})
    assert Keychain().find("r.example") is None


def test_a_login_is_for_its_host_and_port_alone(home: Home) -> None:
    write(home.docker, auths={"localhost:5000": auth(ADA)})
    keychain = Keychain()
    assert keychain.find("localhost:5000") == ADA
    assert keychain.find("localhost") is None
    assert keychain.find("localhost:5001") is None


@pytest.mark.parametrize("key", ["docker.io", HUB, "index.docker.io/v1/", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(key: str, home: Home) -> None:
    write(home.docker, auths={key: auth(ADA)})
    keychain = Keychain()
    assert keychain.find("docker.io", "library/python") == ADA
    assert keychain.find("index.docker.io") == ADA


@pytest.mark.parametrize("key", ["https://r.example:5000", "http://r.example:5000/v2/", "https://R.example:5000/any"])
def test_a_url_stands_for_its_host(key: str, home: Home) -> None:
    write(home.docker, auths={key: auth(ADA)})
    assert Keychain().find("r.example:5000", "a") == ADA


def test_the_most_specific_namespace_wins(home: Home) -> None:
    team, image = Login("team", "1"), Login("image", "2")
    write(
        home.containers,
        auths={"r.example": auth(EVE), "r.example/team": auth(team), "r.example/team/app/image": auth(image)},
    )
    keychain = Keychain()
    assert keychain.find("r.example", "team/app/image") == image
    assert keychain.find("r.example", "team/app/other") == team
    assert keychain.find("r.example", "teams/app") == EVE
    assert keychain.find("r.example") == EVE


def test_a_namespace_says_nothing_of_the_rest_of_its_registry(home: Home) -> None:
    write(home.containers, auths={"r.example/team": auth(ADA)})
    assert Keychain().find("r.example", "app") is None


def test_namespaces_of_docker_hub_are_found_too(home: Home) -> None:
    write(home.containers, auths={"docker.io/ada": auth(ADA), "docker.io": auth(EVE)})
    assert Keychain().find("docker.io", "ada/app") == ADA


# -- finding: where ----------------------------------------------------------------------------------


def test_files_are_asked_in_their_order(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in (("docker", home.docker), ("config", home.containers), ("runtime", home.runtime)):
        write(path, auths={"r.example": auth(Login(name, "x"))})
        found = Keychain().find("r.example")
        assert found is not None
        assert found.user == name
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"r.example": auth(Login("environment", "x"))}}))
    found = Keychain().find("r.example")
    assert found is not None
    assert found.user == "environment"


def test_what_one_file_does_not_know_the_next_may(home: Home) -> None:
    write(home.runtime, auths={"r.example": auth(ADA), "s.example": {}})
    write(home.docker, auths={"s.example": auth(EVE)})
    assert Keychain().find("s.example") == EVE


def test_folders_may_be_elsewhere(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home.path / "config" / "containers" / "auth.json", auths={"r.example": auth(ADA)})
    write(home.path / "docker" / "config.json", auths={"s.example": auth(EVE)})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home.path / "docker"))
    keychain = Keychain()
    assert keychain.find("r.example") == ADA
    assert keychain.find("s.example") == EVE


def test_a_named_file_stands_for_all_others(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home.docker, auths={"r.example": auth(EVE), "s.example": auth(EVE)})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(write(home.path / "own.json", auths={"r.example": auth(ADA)})))
    keychain = Keychain()
    assert keychain.find("r.example") == ADA
    assert keychain.find("s.example") is None


def test_a_named_file_need_not_be_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home.docker, auths={"r.example": auth(EVE)})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home.path / "none.json"))
    assert Keychain().find("r.example") is None


def test_an_empty_file_is_no_error(home: Home) -> None:
    write(home.docker).write_text("\n")
    assert Keychain().find("r.example") is None


def test_files_are_read_once(home: Home) -> None:
    write(home.docker, auths={"r.example": auth(ADA)})
    keychain = Keychain()
    assert keychain.find("r.example") == ADA
    home.docker.unlink()
    assert keychain.find("r.example", "another") == ADA


# -- finding: what is broken -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"auths": {"r.example": {"auth": "HUSH"}',
        '"HUSH"',
        '{"auths": "HUSH"}',
        '{"auths": {"r.example": "HUSH"}}',
        '{"auths": {"r.example": {"auth": ["HUSH"]}}}',
        '{"credHelpers": {"r.example": {"HUSH": 1}}}',
        '{"credsStore": ["HUSH"]}',
        '{"auths": {"r.example": {"auth": "HUSH!"}}}',
        '{"auths": {"r.example": {"auth": "SFVTSA=="}}}',
        '{"auths": {"r.example": {"auth": "//8="}}}',
    ],
)
def test_a_broken_file_is_named_and_not_shown(text: str, home: Home) -> None:
    write(home.docker).write_text(text)
    with pytest.raises(UsageError) as error:
        Keychain().find("r.example")
    assert str(home.docker) in error.value.message
    assert "HUSH" not in str(error.value)
    assert error.value.hint


def test_a_broken_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "HUSH")
    with pytest.raises(UsageError, match="DOCKER_AUTH_CONFIG is not valid JSON") as error:
        Keychain().find("r.example")
    assert "HUSH" not in str(error.value)


def test_a_login_that_is_broken_is_no_matter_to_other_registries(home: Home) -> None:
    write(home.docker, auths={"r.example": auth(ADA), "s.example": {"auth": "?"}})
    assert Keychain().find("r.example") == ADA


def test_a_folder_is_no_file_of_logins(home: Home) -> None:
    home.docker.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot read"):
        Keychain().find("r.example")


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["auths", "credHelpers", "r.example", "auth", "username"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_file_holds_it_gives_a_login_or_an_error(content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if b"\0" in content:
            return
        patch.setenv("DOCKER_AUTH_CONFIG", content.decode("utf-8", "surrogateescape"))
        try:
            Keychain().find("r.example", "a/b")
        except WherryError as error:
            assert error.hint


# -- finding: helpers --------------------------------------------------------------------------------


def test_the_helper_of_a_registry_is_asked_for_it(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA)
    write(home.docker, credHelpers={"r.example": "vault"})
    assert Keychain().find("r.example", "a/b") == ADA
    assert programs.asked("vault") == [["get", "r.example"]]


def test_a_helper_goes_before_what_stands_in_its_file(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA)
    write(home.docker, credHelpers={"r.example": "vault"}, auths={"r.example": auth(EVE), "s.example": auth(EVE)})
    keychain = Keychain()
    assert keychain.find("r.example") == ADA
    assert keychain.find("s.example") == EVE


def test_a_helper_that_has_nothing_leaves_it_to_the_next_file(home: Home, programs: Programs) -> None:
    programs.keeping("vault")
    write(home.runtime, credHelpers={"r.example": "vault"}, auths={"r.example": auth(ADA)})
    assert Keychain().find("r.example") is None
    write(home.docker, auths={"r.example": auth(EVE)})
    assert Keychain().find("r.example") == EVE


def test_the_general_helper_is_asked_for_what_does_not_stand_in_the_file(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA, s_example=ADA)
    write(home.docker, credsStore="vault", auths={"r.example": {}, "s.example": auth(EVE)})
    keychain = Keychain()
    assert keychain.find("r.example") == ADA
    assert keychain.find("s.example") == EVE
    assert keychain.find("t.example") is None


def test_a_registry_may_be_excepted_from_the_general_helper(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA)
    write(home.docker, credsStore="vault", credHelpers={"r.example": ""})
    assert Keychain().find("r.example") is None
    assert programs.asked("vault") == []


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", HUB])
def test_a_helper_knows_docker_hub_as_docker_calls_it(key: str, home: Home, programs: Programs) -> None:
    programs.keeping("vault", **{HUB.replace(".", "_"): ADA})
    write(home.docker, credHelpers={key: "vault"})
    assert Keychain().find("docker.io", "library/python") == ADA


def test_a_helpers_token_is_an_identity_token(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=Login("<token>", "refresh"))
    write(home.docker, credsStore="vault")
    assert Keychain().find("r.example") == Login("", "", "refresh")


def test_a_helper_that_answers_with_nothing_has_nothing(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=Login("", ""))
    write(home.docker, credsStore="vault")
    assert Keychain().find("r.example") is None


def test_a_helper_is_asked_once_for_each_registry_by_however_many(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA)
    write(home.docker, credsStore="vault")
    keychain = Keychain()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: keychain.find("r.example", f"image{number}"), range(16)))
    assert found == [ADA] * 16
    keychain.find("s.example")
    assert programs.asked("vault") == [["get", "r.example"], ["get", "s.example"]]


def test_a_helper_that_fails_is_not_asked_again(home: Home, programs: Programs, tmp_path: Path) -> None:
    programs.script("vault", f"#!/bin/sh\necho called >> {tmp_path}/calls\nexit 1\n")
    write(home.docker, credsStore="vault")
    keychain = Keychain()
    assert [keychain.find("r.example"), keychain.find("r.example", "a/b")] == [None, None]
    assert (tmp_path / "calls").read_text() == "called\n"


@pytest.mark.parametrize("setting", [{"credsStore": "nowhere"}, {"credHelpers": {"r.example": "nowhere"}}])
def test_a_helper_that_is_not_installed_stops_nobody_and_is_noted(setting: dict[str, object], home: Home) -> None:
    write(home.docker, **setting)
    notes: list[str] = []
    keychain = Keychain(note=notes.append)
    for path in ("a", "b"):
        assert keychain.find("r.example", path) is None
    (note,) = notes
    assert note.startswith("the credential helper docker-credential-nowhere is not installed; going on without a login")


def test_whoever_is_refused_can_be_told_which_helper_has_failed(home: Home) -> None:
    write(home.docker, credHelpers={"r.example": "nowhere", "index.docker.io": "nowhere"})
    keychain = Keychain()
    for host in ("r.example", "docker.io", "s.example"):
        keychain.find(host)
    assert keychain.trouble("r.example").startswith(
        "A login may be missing: the credential helper docker-credential-nowhere is not installed\n"
    )
    assert keychain.trouble("docker.io")
    assert keychain.trouble("s.example") == ""


def test_where_a_helper_fails_the_next_file_is_looked_at(home: Home) -> None:
    write(home.runtime, credsStore="nowhere")
    write(home.docker, auths={"r.example": auth(ADA)})
    assert Keychain().find("r.example") == ADA


def test_a_note_of_a_failing_helper_is_one_line(home: Home, programs: Programs) -> None:
    programs.script("vault", "#!/bin/sh\necho sealed\nexit 2\n")
    write(home.docker, credsStore="vault")
    notes: list[str] = []
    keychain = Keychain(note=notes.append)
    keychain.find("r.example")
    assert len(notes[0].splitlines()) == 1
    assert "sealed" in keychain.trouble("r.example")


def test_a_helper_that_fails_says_why(programs: Programs) -> None:
    programs.script("vault", "#!/bin/sh\necho the vault is sealed\necho gpg: no key >&2\nexit 2\n")
    with pytest.raises(HelperFailed) as error:
        Helper("vault").get("r.example")
    assert error.value.message.splitlines() == [
        "the credential helper docker-credential-vault failed (get, exit code 2)",
        "  the vault is sealed",
        "  gpg: no key",
    ]


def test_a_helper_that_fails_with_an_answer_does_not_betray_it(programs: Programs) -> None:
    programs.script("vault", """#!/bin/sh\necho '{"Username": "ada", "Secret": "HUSH"}'\necho late >&2\nexit 1\n""")
    with pytest.raises(HelperFailed, match="late") as error:
        Helper("vault").get("r.example")
    assert "HUSH" not in str(error.value)


@pytest.mark.parametrize("answer", ["HUSH", '["HUSH"]', '{"Username": ["HUSH"]}', ""])
def test_an_answer_that_is_none_is_not_shown(answer: str, programs: Programs) -> None:
    programs.script("vault", f"#!/bin/sh\necho '{answer}'\n")
    with pytest.raises(HelperFailed, match="does not answer as it should") as error:
        Helper("vault").get("r.example")
    assert "HUSH" not in str(error.value)


def test_a_helper_that_hangs_is_ended_with_what_it_has_started(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    monkeypatch.setattr(helpers, "_PATIENCE", 0.5)
    programs.script("vault", f"#!/bin/sh\n(exec sleep 600 >{fifo}) &\nwait\n")
    with os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb") as end:
        with pytest.raises(HelperFailed, match="gives no answer"):
            Helper("vault").get("r.example")
        os.set_blocking(end.fileno(), True)
        assert end.read() == b""  # the last who had it open is gone


def test_a_program_that_cannot_be_run_is_no_crash(programs: Programs) -> None:
    programs.script("vault", "\x7fELF")
    with pytest.raises(HelperFailed, match="cannot run"):
        Helper("vault").get("r.example")


@pytest.mark.parametrize("name", ["../vault", "a/b", "a\\b", "", "-x", "a b", "vault\n"])
def test_a_helpers_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a credential helper"):
        Helper(name)


# -- storing -----------------------------------------------------------------------------------------


def test_what_is_stored_is_found(home: Home) -> None:
    assert store_login("r.example", ADA) == str(home.docker)
    assert Keychain().find("r.example", "a/b") == ADA


@given(
    user=st.text(st.characters(codec="utf-8", exclude_characters=":\0"), min_size=1),
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    token=st.text(st.characters(codec="utf-8")),
)
def test_any_login_comes_back_as_it_was(user: str, password: str, token: str) -> None:
    login = Login(user, password, token)
    store_login("r.example", login)
    assert Keychain().find("r.example") == login


def test_a_file_of_logins_is_its_owners_alone(home: Home) -> None:
    store_login("r.example", ADA)
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.docker.parent.stat().st_mode) == 0o700
    home.docker.chmod(0o644)
    store_login("r.example", EVE)
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600
    assert list(home.docker.parent.iterdir()) == [home.docker]


def test_all_else_in_the_file_stays(home: Home) -> None:
    others = {"s.example": {**auth(EVE), "email": "eve@example"}, "r.example/team": auth(EVE)}
    write(home.docker, psFormat="é", auths=others, future={"big": [2**70, 0.1, None]}, credHelpers={"t.example": "x"})
    before = read(home.docker)
    store_login("r.example", ADA)
    after = read(home.docker)
    assert after.pop("auths") == {**others, "r.example": auth(ADA)}
    assert list(before) == ["psFormat", "auths", "future", "credHelpers"]
    del before["auths"]
    assert after == before


def test_docker_hub_is_stored_as_docker_calls_it(home: Home) -> None:
    store_login("docker.io", ADA)
    assert read(home.docker)["auths"] == {HUB: auth(ADA)}


def test_a_named_file_is_written_as_podman_does(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    own = home.path / "new" / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(own))
    assert store_login("index.docker.io", ADA) == str(own)
    assert read(own)["auths"] == {"docker.io": auth(ADA)}
    assert not home.docker.exists()


def test_a_new_login_takes_the_place_of_the_old_under_all_its_names(home: Home) -> None:
    write(home.docker, auths={"docker.io": auth(EVE), "index.docker.io/v1/": auth(EVE), HUB: auth(EVE)})
    store_login("docker.io", ADA)
    assert read(home.docker)["auths"] == {HUB: auth(ADA)}


def test_a_symbolic_link_stays_one(home: Home) -> None:
    real = write(home.path / "dotfiles" / "docker.json", psFormat="x")
    home.docker.parent.mkdir()
    home.docker.symlink_to(real)
    store_login("r.example", ADA)
    assert home.docker.is_symlink()
    assert read(real) == {"psFormat": "x", "auths": {"r.example": auth(ADA)}}


def test_a_symbolic_link_to_nothing_yet_is_followed(home: Home) -> None:
    real = home.path / "dotfiles" / "docker.json"
    home.docker.parent.mkdir()
    home.docker.symlink_to(real)
    store_login("r.example", ADA)
    assert home.docker.is_symlink()
    assert read(real)["auths"] == {"r.example": auth(ADA)}


def test_what_is_no_file_is_not_replaced_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", os.devnull)
    with pytest.raises(UsageError, match="it is no file"):
        store_login("r.example", ADA)
    assert Path(os.devnull).is_char_device()


def test_a_broken_file_is_not_overwritten(home: Home) -> None:
    write(home.docker).write_text("{")
    with pytest.raises(UsageError):
        store_login("r.example", ADA)
    assert home.docker.read_text() == "{"


def test_a_file_that_cannot_be_written_is_named(home: Home) -> None:
    home.docker.parent.write_text("no folder")
    with pytest.raises(WherryError, match=r"cannot keep the login in .*config\.json"):
        store_login("r.example", ADA)


@pytest.mark.parametrize("login", [Login("a:b", "x"), Login("a", "\udcff"), Login("a", "", "\ud800")])
def test_a_login_that_cannot_be_written_is_refused(login: Login, home: Home) -> None:
    with pytest.raises(UsageError):
        store_login("r.example", login)
    assert not home.docker.exists()


@pytest.mark.parametrize("setting", [{"credsStore": "vault"}, {"credHelpers": {"r.example": "vault"}}])
def test_a_helper_keeps_what_is_stored_and_the_file_does_not(
    setting: dict[str, object], home: Home, programs: Programs
) -> None:
    programs.keeping("vault")
    write(home.docker, **setting, auths={"r.example": auth(EVE)})
    assert store_login("r.example", ADA) == "docker-credential-vault"
    assert programs.kept("vault") == {"r.example": ("ada", "pa:ss")}
    assert read(home.docker) == {**setting, "auths": {"r.example": {}}}
    assert Keychain().find("r.example") == ADA


def test_a_secret_is_no_argument(home: Home, programs: Programs) -> None:
    programs.keeping("vault")
    write(home.docker, credsStore="vault")
    store_login("docker.io", ADA)
    ((action, given),) = programs.asked("vault")
    assert action == "store"
    assert json.loads(given) == {"ServerURL": HUB, "Username": "ada", "Secret": "pa:ss"}


def test_a_helper_keeps_an_identity_token_as_docker_does(home: Home, programs: Programs) -> None:
    programs.keeping("vault")
    write(home.docker, credsStore="vault")
    store_login("r.example", Login("ada", "", "refresh"))
    assert programs.kept("vault") == {"r.example": ("<token>", "refresh")}


def test_a_helper_that_cannot_store_does_not_betray_what(home: Home, programs: Programs) -> None:
    secret = 'hu"sh'
    encoded = base64.b64encode(f"ada:{secret}".encode()).decode()
    programs.script("vault", f"#!/bin/sh\necho 'no room for {secret} or {encoded}'\ncat >&2\nexit 1\n")
    before = write(home.docker, credsStore="vault").read_text()
    with pytest.raises(HelperFailed, match="no room for … or …") as error:
        store_login("r.example", Login("ada", secret))
    assert 'hu"sh' not in str(error.value)
    assert 'hu\\"sh' not in str(error.value)
    assert home.docker.read_text() == before


# -- storing: what goes before it --------------------------------------------------------------------


def test_a_login_that_the_environment_hides_is_said_to_be_hidden(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"https://r.example/v1/": auth(EVE)}}))
    kept = store_login("r.example", ADA)
    assert kept == f"{home.docker}, but DOCKER_AUTH_CONFIG has another for r.example, which goes first"
    assert Keychain().find("r.example") == EVE


def test_a_login_that_podmans_file_hides_is_said_to_be_hidden(home: Home) -> None:
    write(home.runtime, auths={"s.example": auth(EVE)})
    write(home.containers, auths={"r.example": auth(EVE)})
    assert (
        store_login("r.example", ADA)
        == f"{home.docker}, but {home.containers} has another for r.example, which goes first"
    )


def test_a_login_that_a_helper_hides_is_said_to_be_hidden(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=EVE)
    write(home.containers, credHelpers={"r.example": "vault"})
    assert "but docker-credential-vault has another for r.example" in store_login("r.example", ADA)


@pytest.mark.parametrize("place", ["containers", "docker"])
def test_a_login_that_is_hidden_in_a_part_of_the_registry_is_said_to_be(place: str, home: Home) -> None:
    file = write(getattr(home, place), auths={"r.example/team": auth(EVE)})
    assert f"but {file} has another for r.example/team, which goes first" in store_login("r.example", ADA)


def test_what_hides_nothing_is_not_mentioned(home: Home, programs: Programs) -> None:
    programs.keeping("vault")
    write(home.runtime, auths={"r.example": {}, "r.example.com": auth(EVE)}, credsStore="vault")
    write(home.containers, auths={"r.example": auth(ADA)}, credHelpers={"s.example": "nowhere"})
    write(home.docker, auths={"r.example": auth(EVE)})
    assert store_login("r.example", ADA) == str(home.docker)
    assert store_login("s.example", ADA) == str(home.docker)


def test_a_login_is_not_kept_where_a_broken_file_goes_before_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{")
    with pytest.raises(UsageError, match="DOCKER_AUTH_CONFIG"):
        store_login("r.example", ADA)
    assert not home.docker.exists()


# -- at a registry -----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of all command lines that are run from here, and what they find in their environment."""
    words: list[str] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, args: list[str], **more: Any) -> None:
            words.extend([*args, *(more.get("env") or os.environ).values()])
            super().__init__(args, **more)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return words


@pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed")
@pytest.mark.parametrize("asking", ["password", "tokens"])
def test_a_helper_opens_a_registry_and_no_process_shows_the_password(
    asking: str, home: Home, programs: Programs, tmp_path: Path, started: list[str]
) -> None:
    programs.keeping("vault")
    write(home.docker, credsStore="vault")
    with registry(tmp_path / "registry", password=asking == "password", tokens=asking == "tokens") as server:
        assert wherry.login(server.host, USER, PASSWORD) == "docker-credential-vault"
        endpoint = Endpoint(server.host, "closed")
        with Client(Hosts(), Keychain()) as client:
            assert Repository(client, endpoint, write=True).find("latest") is None
    assert [action for action, *_ in programs.asked("vault")] == ["store", "get"]
    assert PASSWORD in programs.asked("vault")[0][-1]
    assert str(programs.folder / "docker-credential-vault") in started
    for form in (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
        assert not any(form in word for word in started)


# -- forgetting --------------------------------------------------------------------------------------


def test_what_is_forgotten_is_not_found(home: Home) -> None:
    store_login("r.example", ADA)
    store_login("s.example", EVE)
    assert forget_login("r.example")
    assert Keychain().find("r.example") is None
    assert Keychain().find("s.example") == EVE


def test_forgetting_what_is_not_known_changes_nothing(home: Home) -> None:
    assert not forget_login("r.example")
    assert not home.docker.exists()
    before = write(home.docker, auths={"s.example": auth(EVE)}).read_text()
    assert not forget_login("r.example")
    assert home.docker.read_text() == before


def test_a_login_is_forgotten_under_all_its_names(home: Home) -> None:
    write(home.docker, auths={"docker.io": auth(EVE), HUB: auth(EVE), "docker.io/team": auth(ADA)})
    assert forget_login("docker.io")
    assert read(home.docker)["auths"] == {"docker.io/team": auth(ADA)}


def test_a_helper_forgets_too(home: Home, programs: Programs) -> None:
    programs.keeping("vault", r_example=ADA, s_example=EVE)
    write(home.docker, credsStore="vault", auths={"r.example": {}})
    assert forget_login("r.example")
    assert programs.kept("vault") == {"s.example": ("eve", "other")}
    assert read(home.docker) == {"credsStore": "vault", "auths": {}}
    assert not forget_login("r.example")

"""Where a registry's repositories are really to be found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import Digest, Reference
from wherry.registry import certificates, registriesconf
from wherry.registry.certificates import Tls
from wherry.registry.hosts import Endpoint, Hosts, read_hosts

DIGEST = Digest("sha256:" + "ab" * 32)
HUB_HOST = "registry-1.docker.io"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's configuration, on a machine that has none yet; ``etc`` beside it is the machine's."""
    for name in ("WHERRY_CONFIG", "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(registriesconf, "MACHINE", (tmp_path / "etc",))
    monkeypatch.setattr(certificates, "MACHINE", (tmp_path / "etc" / "certs.d", tmp_path / "docker" / "certs.d"))
    return tmp_path / "user"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def hosts(folder: Path, own: str = "", containers: str = "", insecure: Iterable[str] = ()) -> Hosts:
    """What is known, with these texts in Wherry's own file and in Podman's."""
    write(folder / "wherry" / "config.toml", own)
    write(folder / "containers" / "registries.conf", containers)
    return read_hosts(insecure=insecure)


def pulled(known: Hosts, name: str) -> list[str]:
    return [f"{each.host}/{each.path}" for each in known.pull_endpoints(Reference.parse(name))]


# -- without configuration ---------------------------------------------------------------------------


def test_an_image_is_at_the_registry_that_it_names() -> None:
    assert read_hosts().pull_endpoints(Reference.parse("example.com:5000/team/app:1")) == (
        Endpoint("example.com:5000", "team/app"),
    )


def test_docker_hub_is_served_by_another_host_than_it_is_named_for() -> None:
    (endpoint,) = read_hosts().pull_endpoints(Reference.parse("python"))
    assert endpoint == Endpoint(HUB_HOST, "library/python")
    assert endpoint.registry == "docker.io"
    assert endpoint.bases == ("https://registry-1.docker.io",)


def test_the_host_that_serves_docker_hub_is_docker_hub_too() -> None:
    (endpoint,) = read_hosts().pull_endpoints(Reference.parse(f"{HUB_HOST}/library/python"))
    assert endpoint == Endpoint(HUB_HOST, "library/python")


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:5000", "[::1]", "[::1]:5000"])
def test_this_machine_is_asked_by_https_and_then_by_plain_http(host: str) -> None:
    endpoint = read_hosts().push_endpoint(Reference.parse(f"{host}/app"))
    assert endpoint.bases == (f"https://{host}", f"http://{host}")
    assert not endpoint.insecure


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1:5000", "localhost.example.com", "127.0.0.1.example.com"])
def test_other_machines_are_asked_by_https_only(host: str) -> None:
    assert read_hosts().push_endpoint(Reference.parse(f"{host}/app")).bases == (f"https://{host}",)


# -- names -------------------------------------------------------------------------------------------


def test_a_name_without_a_registry_is_one_at_docker_hub() -> None:
    assert str(read_hosts().resolve("python:3.13")) == "docker.io/library/python:3.13"


def test_an_alias_takes_the_tag_and_the_digest_along(folder: Path) -> None:
    known = hosts(folder, containers='[aliases]\n"app" = "example.com/team/app"\n"team/app" = "example.com/other"')
    assert str(known.resolve("app")) == "example.com/team/app:latest"
    assert str(known.resolve(f"app:2@{DIGEST}")) == f"example.com/team/app:2@{DIGEST}"
    assert str(known.resolve("team/app:2")) == "example.com/other:2"


def test_a_name_with_a_registry_is_no_alias(folder: Path) -> None:
    known = hosts(folder, containers='[aliases]\n"app" = "example.com/team/app"')
    assert str(known.resolve("docker.io/app")) == "docker.io/library/app:latest"
    assert str(known.resolve("localhost:5000/app")) == "localhost:5000/app:latest"


def test_the_first_search_registry_takes_the_place_of_a_docker_hub_that_is_not_among_them(folder: Path) -> None:
    known = hosts(folder, containers='unqualified-search-registries = ["a.example.com", "b.example.com:5000"]')
    assert str(known.resolve("app:2")) == "a.example.com/app:2"
    assert str(known.resolve("docker.io/app:2")) == "docker.io/library/app:2"


@pytest.mark.parametrize("registries", ['"a.example.com", "docker.io"', ""])
def test_docker_hub_among_the_search_registries_or_none_of_them_changes_nothing(registries: str, folder: Path) -> None:
    known = hosts(folder, containers=f"unqualified-search-registries = [{registries}]")
    assert str(known.resolve("app:2")) == "docker.io/library/app:2"


def test_a_malformed_name_is_an_error() -> None:
    with pytest.raises(UsageError, match="invalid image reference"):
        read_hosts().resolve("Upper case")


# -- mirrors and locations ---------------------------------------------------------------------------


def test_mirrors_come_before_the_registry_in_their_order(folder: Path) -> None:
    known = hosts(folder, '[registry."docker.io"]\nmirrors = ["a.example.com/hub", "b.example.com:5000"]')
    assert known.pull_endpoints(Reference.parse("python")) == (
        Endpoint("a.example.com", "hub/library/python", mirror=True),
        Endpoint("b.example.com:5000", "library/python", mirror=True),
        Endpoint(HUB_HOST, "library/python"),
    )


def test_a_mirror_is_as_secure_as_its_own_settings_say(folder: Path) -> None:
    text = '[registry."docker.io"]\nmirrors = ["a.example.com"]\n[registry."a.example.com"]\ninsecure = true'
    mirror, registry = hosts(folder, text).pull_endpoints(Reference.parse("python"))
    assert (mirror.insecure, registry.insecure) == (True, False)
    assert mirror.bases == ("https://a.example.com", "http://a.example.com")


CONTAINERS = """
[[registry]]
prefix = "example.com/team"
location = "inside.example.com/bar"
insecure = true
[[registry.mirror]]
location = "a.example.com"
insecure = true
[[registry.mirror]]
location = "b.example.com/tags"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "c.example.com/digests"
pull-from-mirror = "digest-only"
"""


def test_a_location_takes_the_place_of_the_prefix(folder: Path) -> None:
    *_, endpoint = hosts(folder, containers=CONTAINERS).pull_endpoints(Reference.parse("example.com/team/app"))
    assert endpoint == Endpoint("inside.example.com", "bar/app", insecure=True)


def test_mirrors_are_used_for_the_pulls_that_they_are_for(folder: Path) -> None:
    known = hosts(folder, containers=CONTAINERS)
    tagged = ["a.example.com/app", "b.example.com/tags/app", "inside.example.com/bar/app"]
    digested = ["a.example.com/app", "c.example.com/digests/app", "inside.example.com/bar/app"]
    assert pulled(known, "example.com/team/app:1") == tagged
    assert pulled(known, f"example.com/team/app@{DIGEST}") == digested
    assert pulled(known, f"example.com/team/app:1@{DIGEST}") == digested
    assert pulled(known, "example.com/other/app") == ["example.com/other/app"]


def test_a_wildcard_without_a_location_leaves_names_as_they_are(folder: Path) -> None:
    text = '[[registry]]\nprefix = "*.example.com"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.io/all"'
    assert hosts(folder, containers=text).pull_endpoints(Reference.parse("a.example.com/app")) == (
        Endpoint("m.io", "all/app", mirror=True),
        Endpoint("a.example.com", "app", insecure=True),
    )


def test_one_tag_can_be_at_another_place(folder: Path) -> None:
    text = '[[registry]]\nprefix = "example.com/app:1"\nlocation = "old.example.com/archive/app:1"'
    known = hosts(folder, containers=text)
    assert pulled(known, "example.com/app:1") == ["old.example.com/archive/app"]
    assert pulled(known, "example.com/app:2") == ["example.com/app"]


def test_a_location_at_docker_hub_is_normalised(folder: Path) -> None:
    text = '[[registry]]\nprefix = "example.com"\nlocation = "docker.io"'
    assert pulled(hosts(folder, containers=text), "example.com/python") == [f"{HUB_HOST}/library/python"]


def test_a_repository_with_a_whole_registry_for_its_location_is_an_error(folder: Path) -> None:
    known = hosts(folder, containers='[[registry]]\nprefix = "example.com/app"\nlocation = "other.example.com"')
    with pytest.raises(UsageError, match="is a repository, and its location"):
        known.pull_endpoints(Reference.parse("example.com/app"))


def test_our_own_mirrors_replace_those_of_podman_but_not_its_location(folder: Path) -> None:
    known = hosts(folder, '[registry."example.com"]\nmirrors = ["m.example.com"]', CONTAINERS)
    assert pulled(known, "example.com/team/app") == ["m.example.com/team/app", "inside.example.com/bar/app"]
    known = hosts(folder, '[registry."example.com"]\nmirrors = []', CONTAINERS)
    assert pulled(known, "example.com/team/app") == ["inside.example.com/bar/app"]


def test_a_push_goes_to_the_registry_that_is_named_never_to_a_mirror_or_location(folder: Path) -> None:
    known = hosts(folder, '[registry."docker.io"]\nmirrors = ["m.example.com"]', CONTAINERS)
    assert known.push_endpoint(Reference.parse("python")) == Endpoint(HUB_HOST, "library/python")
    assert known.push_endpoint(Reference.parse("example.com/team/app")) == Endpoint(
        "example.com", "team/app", insecure=True
    )


# -- what is insecure, what is blocked ---------------------------------------------------------------


def test_a_host_is_insecure_if_the_command_line_says_so(folder: Path) -> None:
    known = hosts(folder, '[registry."example.com:5000"]\ninsecure = false', insecure=["example.com:5000"])
    assert known.push_endpoint(Reference.parse("example.com:5000/app")).bases == (
        "https://example.com:5000",
        "http://example.com:5000",
    )
    assert not known.push_endpoint(Reference.parse("example.com/app")).insecure


def test_our_own_settings_can_make_secure_what_is_insecure_to_podman(folder: Path) -> None:
    known = hosts(folder, '[registry."inside.example.com"]\ninsecure = false', CONTAINERS)
    *_, endpoint = known.pull_endpoints(Reference.parse("example.com/team/app"))
    assert not endpoint.insecure


@pytest.mark.parametrize("text", ["https://example.com", "example.com/team", "", "a b"])
def test_an_insecure_host_must_be_a_host(text: str) -> None:
    with pytest.raises(UsageError):
        read_hosts(insecure=[text])


def test_what_is_blocked_is_neither_pulled_nor_pushed_and_the_file_is_named(folder: Path) -> None:
    known = hosts(folder, '[registry."docker.io"]\nblocked = true\nmirrors = ["m.example.com"]')
    for ask in (known.pull_endpoints, known.push_endpoint):
        with pytest.raises(UsageError, match=r"config\.toml: python:latest is blocked by this file"):
            ask(Reference.parse("python"))


def test_podman_blocks_by_prefix_unless_our_own_settings_say_otherwise(folder: Path) -> None:
    text = '[[registry]]\nlocation = "example.com/bad"\nblocked = true'
    known = hosts(folder, containers=text)
    assert pulled(known, "example.com/good/app") == ["example.com/good/app"]
    with pytest.raises(UsageError, match=r"registries\.conf: example.com/bad/app:latest is blocked"):
        known.pull_endpoints(Reference.parse("example.com/bad/app"))
    known = hosts(folder, '[registry."example.com"]\nblocked = false', text)
    assert pulled(known, "example.com/bad/app") == ["example.com/bad/app"]


# -- our own file ------------------------------------------------------------------------------------


def test_the_variable_names_our_own_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_CONFIG", str(write(folder / "other.toml", '[registry."a.io"]\nmirrors = ["m.io"]')))
    assert pulled(hosts(folder, '[registry."a.io"]\nmirrors = ["n.io"]'), "a.io/app") == ["m.io/app", "a.io/app"]


def test_a_named_file_that_is_missing_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_CONFIG", str(folder / "missing.toml"))
    with pytest.raises(UsageError, match=r"WHERRY_CONFIG names .*missing\.toml"):
        read_hosts()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[registry", "not valid TOML"),
        ("[registries]", "unknown key registries\nDid you mean 'registry'"),
        ('[registry."docker.io"]\nmirror = []', "unknown key registry.\"docker.io\".mirror\nDid you mean 'mirrors'"),
        ("[registry.docker.io]\nmirrors = []", "The host is written in quotes"),
        ('[registry."docker.io"]\nmirrors = "m.io"', "must be a list of strings"),
        ('[registry."docker.io"]\nmirrors = ["http://m.io"]', "Write it without https://"),
        ('[registry."docker.io/library"]', "a whole one is wanted"),
        ('[registry."docker.io"]\n[registry."index.docker.io"]', "is another name of a registry"),
        ('[registry."docker.io"]\nca = 1', "must be a string"),
        ('[registry."docker.io"]\nkey = "a.key"', "is of no use without cert"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_file(text: str, message: str, folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        hosts(folder, text)
    assert message in str(caught.value)
    assert caught.value.place
    assert caught.value.place.file == str(folder / "wherry" / "config.toml")


# -- certificates ------------------------------------------------------------------------------------


def test_without_files_the_system_decides_whom_to_trust() -> None:
    assert read_hosts().tls(Endpoint("example.com", "app")) == Tls()


def test_certificates_of_an_insecure_host_are_not_verified() -> None:
    assert not read_hosts().tls(Endpoint("example.com", "app", insecure=True)).verify


def test_files_in_our_own_settings_are_found_beside_them(folder: Path) -> None:
    known = hosts(folder, '[registry."example.com"]\nca = "ca.pem"\ncert = "me.pem"\nkey = "keys/me.pem"')
    ca, cert = write(folder / "wherry" / "ca.pem"), write(folder / "wherry" / "me.pem")
    key = write(folder / "wherry" / "keys" / "me.pem")
    assert known.tls(Endpoint("example.com", "app")) == Tls((ca,), cert, key)
    assert known.tls(Endpoint("example.com:5000", "app")) == Tls()


def test_a_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder / "home"))
    ca = write(folder / "home" / "ca.pem")
    known = hosts(folder, '[registry."example.com"]\nca = "~/ca.pem"')
    assert known.tls(Endpoint("example.com", "app")).ca == (ca,)


def test_a_missing_file_is_an_error_when_it_is_wanted(folder: Path) -> None:
    known = hosts(folder, '[registry."example.com"]\nca = "missing.pem"')
    known.tls(Endpoint("other.example.com", "app"))
    with pytest.raises(UsageError, match=r"ca names .*missing\.pem, and there is no such file"):
        known.tls(Endpoint("example.com", "app"))


def test_certs_d_holds_authorities_and_a_pair_of_ours(folder: Path) -> None:
    place = folder.parent / "docker" / "certs.d" / "docker.io"
    names = ("b.crt", "a.crt", "other.cert", "other.key", "client.cert", "client.key", "README")
    files = {name: write(place / name) for name in names}
    assert read_hosts().tls(Endpoint(HUB_HOST, "library/python")) == Tls(
        (files["a.crt"], files["b.crt"]), files["client.cert"], files["client.key"]
    )


def test_the_users_own_certs_d_hides_the_machines(folder: Path) -> None:
    write(folder.parent / "etc" / "certs.d" / "example.com" / "machine.crt")
    ca = write(folder / "containers" / "certs.d" / "example.com" / "user.crt")
    assert read_hosts().tls(Endpoint("example.com", "app")).ca == (ca,)


def test_our_own_settings_go_before_certs_d_a_key_at_a_time(folder: Path) -> None:
    place = folder / "containers" / "certs.d" / "example.com"
    write(place / "ca.crt")
    cert, key = write(place / "client.cert"), write(place / "client.key")
    ca = write(folder / "wherry" / "ca.pem")
    known = hosts(folder, '[registry."example.com"]\nca = "ca.pem"')
    assert known.tls(Endpoint("example.com", "app")) == Tls((ca,), cert, key)


@pytest.mark.parametrize(("half", "other"), [("client.cert", "client.key"), ("client.key", "client.cert")])
def test_half_a_pair_is_an_error(half: str, other: str, folder: Path) -> None:
    write(folder / "containers" / "certs.d" / "example.com" / half)
    with pytest.raises(UsageError, match=f"there is no {other} beside it"):
        read_hosts().tls(Endpoint("example.com", "app"))

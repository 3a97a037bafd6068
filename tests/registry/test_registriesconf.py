"""What Podman's registries.conf says of registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import Digest, Reference
from wherry.registry import registriesconf
from wherry.registry.location import Location
from wherry.registry.registriesconf import Mirror, RegistriesConf, read_registries_conf

DIGEST = Digest("sha256:" + "ab" * 32)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no configuration yet: its folders are ``user``, ``etc`` and ``usr`` in the one given."""
    for name in ("CONTAINERS_REGISTRIES_CONF", "CONTAINERS_REGISTRIES_CONF_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(registriesconf, "MACHINE", (tmp_path / "etc", tmp_path / "usr"))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(text: str, machine: Path) -> RegistriesConf:
    write(machine / "etc" / "registries.conf", text)
    return read_registries_conf()


def found(conf: RegistriesConf, name: str) -> str:
    """The prefix of the rule for the image."""
    rule = conf.rule(Reference.parse(name))
    return rule.prefix if rule else ""


# -- files -------------------------------------------------------------------------------------------


def search(name: str) -> str:
    return f'unqualified-search-registries = ["{name}.example.com"]'


def test_no_file_says_nothing() -> None:
    assert read_registries_conf() == RegistriesConf()


def test_of_the_main_files_only_the_strongest_counts(machine: Path) -> None:
    write(machine / "usr" / "registries.conf", search("usr") + '\n[[registry]]\nlocation = "usr.example.com"')
    write(machine / "etc" / "registries.conf", search("etc") + '\n[[registry]]\nlocation = "etc.example.com"')
    assert list(read_registries_conf().rules) == ["etc.example.com"]
    write(machine / "user" / "containers" / "registries.conf", search("user"))
    assert read_registries_conf() == RegistriesConf(search=("user.example.com",))


def test_the_home_folder_serves_without_XDG_CONFIG_HOME(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(machine / "home"))
    write(machine / "home" / ".config" / "containers" / "registries.conf", search("home"))
    assert read_registries_conf().search == ("home.example.com",)


def test_pieces_of_all_folders_come_after_the_main_file_in_the_order_of_their_names(machine: Path) -> None:
    write(machine / "user" / "containers" / "registries.conf", search("main"))
    write(machine / "user" / "containers" / "registries.conf.d" / "10.conf", search("ten"))
    write(machine / "etc" / "registries.conf.d" / "20.conf", search("twenty"))
    write(machine / "usr" / "registries.conf.d" / "15.conf", search("fifteen"))
    write(machine / "usr" / "registries.conf.d" / "99.conf.rpmsave", "no TOML at all")
    assert read_registries_conf().search == ("twenty.example.com",)


def test_a_piece_hides_those_of_its_name_in_weaker_folders(machine: Path) -> None:
    write(machine / "etc" / "registries.conf.d" / "names.conf", '[aliases]\none = "example.com/one"')
    write(machine / "usr" / "registries.conf.d" / "names.conf", '[aliases]\ntwo = "example.com/two"')
    assert dict(read_registries_conf().aliases) == {"one": "example.com/one"}


def test_a_file_named_by_the_variable_is_the_only_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine / "etc" / "registries.conf.d" / "10.conf", search("piece"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(write(machine / "named.conf", "")))
    assert read_registries_conf() == RegistriesConf()


def test_the_override_is_read_last(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine / "etc" / "registries.conf", search("etc"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF_OVERRIDE", str(write(machine / "last.conf", search("last"))))
    assert read_registries_conf().search == ("last.example.com",)


def test_a_named_file_that_is_missing_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(machine / "missing.conf"))
    with pytest.raises(UsageError, match=r"CONTAINERS_REGISTRIES_CONF names .*missing\.conf"):
        read_registries_conf()


def test_a_later_file_replaces_rules_by_their_prefix(machine: Path) -> None:
    write(machine / "etc" / "registries.conf.d" / "1.conf", '[[registry]]\nlocation = "example.com"\nblocked = true')
    write(machine / "etc" / "registries.conf.d" / "2.conf", '[[registry]]\nlocation = "example.com"\ninsecure = true')
    rule = read_registries_conf().rules["example.com"]
    assert (rule.blocked, rule.insecure) == (False, True)
    assert rule.file.endswith("2.conf")


def test_an_empty_alias_in_a_later_file_erases_it(machine: Path) -> None:
    write(machine / "etc" / "registries.conf.d" / "1.conf", '[aliases]\none = "example.com/one"')
    write(machine / "etc" / "registries.conf.d" / "2.conf", '[aliases]\none = ""')
    assert read_registries_conf().aliases == {}


# -- rules -------------------------------------------------------------------------------------------


def rules(*prefixes: str) -> str:
    return "\n".join(f'[[registry]]\nprefix = "{prefix}"' for prefix in prefixes)


def test_the_longest_prefix_is_chosen(machine: Path) -> None:
    conf = read(rules("example.com", "example.com/team", "example.com/team/app"), machine)
    assert found(conf, "example.com/team/app") == "example.com/team/app"
    assert found(conf, "example.com/team/other:1") == "example.com/team"
    assert found(conf, "example.com/other") == "example.com"
    assert found(conf, "other.example.com/team/app") == ""


@pytest.mark.parametrize("name", ["example.com/teams/app", "example.com:5000/team/app"])
def test_a_prefix_ends_where_a_part_of_the_name_ends(name: str, machine: Path) -> None:
    assert found(read(rules("example.com/team", "example.com/team/"), machine), name) == ""


def test_a_star_stands_for_any_subdomain_and_port(machine: Path) -> None:
    conf = read(rules("*.example.com"), machine)
    assert found(conf, "a.example.com/app") == found(conf, "a.b.example.com:5000/app") == "*.example.com"
    assert found(conf, "example.com/app") == found(conf, "badexample.com/app") == ""


def test_a_prefix_can_be_a_tag_or_a_digest(machine: Path) -> None:
    conf = read(rules("example.com/app:1", f"example.com/app@{DIGEST}"), machine)
    assert found(conf, "example.com/app:1") == "example.com/app:1"
    assert found(conf, f"example.com/app:2@{DIGEST}") == f"example.com/app@{DIGEST}"
    assert found(conf, "example.com/app:10") == ""


def test_the_prefix_is_the_location_unless_it_is_given(machine: Path) -> None:
    assert read('[[registry]]\nlocation = "example.com/team"', machine).rules["example.com/team"].location == Location(
        "example.com", "team"
    )


def test_images_of_docker_hub_have_their_full_name_to_a_prefix(machine: Path) -> None:
    conf = read(rules("docker.io/library/python", "docker.io/python"), machine)
    assert found(conf, "python") == "docker.io/library/python"


def test_mirrors_say_whether_they_serve_tags_or_digests(machine: Path) -> None:
    conf = read(
        """
        [[registry]]
        location = "example.com"
        [[registry.mirror]]
        location = "a.example.com/hub"
        insecure = true
        [[registry.mirror]]
        location = "b.example.com"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "c.example.com"
        pull-from-mirror = "tag-only"
        """,
        machine,
    )
    assert conf.rules["example.com"].mirrors == (
        Mirror(Location("a.example.com", "hub"), insecure=True),
        Mirror(Location("b.example.com"), by_tag=False),
        Mirror(Location("c.example.com"), by_digest=False),
    )


def test_a_registry_can_have_its_mirrors_for_digests_only(machine: Path) -> None:
    text = (
        '[[registry]]\nlocation = "example.com"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.io"'
    )
    assert read(text, machine).rules["example.com"].mirrors == (Mirror(Location("m.io"), by_tag=False),)


def test_what_concerns_other_programs_is_passed_over(machine: Path) -> None:
    assert read('short-name-mode = "enforcing"\ncredential-helpers = ["pass"]', machine) == RegistriesConf()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[registry]\n", "not valid TOML"),
        ("registry = 1", "registry must be an array of tables"),
        ("[[registry]]\ninsecure = true", "neither prefix nor location"),
        ('[[registry]]\nlocation = "https://example.com"', "Write it without https://"),
        ('[[registry]]\nlocation = "example.com"\nblocked = "yes"', "registry.blocked must be true or false"),
        ('[[registry]]\nprefix = "*.example.com/team"', r"should be \*.HOST and nothing more"),
        ('[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\ninsecure = true', "'' is no host"),
        (
            '[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\nlocation = "b.io"\npull-from-mirror = "no"',
            "registry.mirror.pull-from-mirror must be one of all, digest-only, tag-only",
        ),
        ('unqualified-search-registries = "docker.io"', "must be a list of strings"),
        ('unqualified-search-registries = ["example.com/team"]', "a whole one is wanted"),
        ('[aliases]\npython = "team/python"', "aliases.python should be a name with its registry"),
        ('[aliases]\npython = "example.com/python:3"', "'example.com/python:3' is no host"),
        ('[registries.block]\nregistries = ["example.com"]', "version 1"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_file(text: str, message: str, machine: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(text, machine)
    assert caught.value.place
    assert caught.value.place.file == str(machine / "etc" / "registries.conf")

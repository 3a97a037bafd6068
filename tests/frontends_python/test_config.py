"""``[tool.wherry]`` and wherry.toml: every key, and every way to get one wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.frontends.python import config
from wherry.frontends.python.config import Config
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.image.platform import Platform

EVERYTHING = """
base = "debian://bookworm"
python = "3.11"
entrypoint = ["python", "main.py"]
cmd = "--verbose 'two words'"
workdir = "/srv//app/"
user = 1000
ports = [8080, "53/udp"]
packages = ["libpq5", "tzdata"]
include = [".env.example"]
exclude = ["tests", "*.md"]
bytecode = false
platforms = ["linux/amd64", "arm64"]
mirror = "https://mirror.example/debian"

[env]
LOG_LEVEL = "info"
WORKERS = 2

[labels]
"org.example.team" = "boats"
"""


def read(root: Path) -> Config:
    folder = Folder(root)
    return config.read(folder, Document.read(folder, "pyproject.toml"))


def complaint(root: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(root)
    return str(caught.value)


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text(EVERYTHING)
    found = read(tmp_path)
    assert found.source == "wherry.toml"
    assert found.base == "debian://bookworm"
    assert found.python == "3.11"
    assert found.entrypoint == ("python", "main.py")
    assert found.cmd == "--verbose 'two words'"
    assert found.env == (("LOG_LEVEL", "info"), ("WORKERS", "2"))
    assert found.workdir == "/srv/app"
    assert found.user == "1000"
    assert found.ports == ("8080/tcp", "53/udp")
    assert found.labels == (("org.example.team", "boats"),)
    assert found.packages == ("libpq5", "tzdata")
    assert (found.include, found.exclude) == ((".env.example",), ("tests", "*.md"))
    assert found.bytecode is False
    assert found.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    assert found.mirror == "https://mirror.example/debian"


def test_both_files_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text(EVERYTHING)
    own = read(tmp_path)
    (tmp_path / "wherry.toml").unlink()
    inner = re.sub(r"^\[(env|labels)\]", r"[tool.wherry.\1]", EVERYTHING, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(f"[tool.wherry]{inner}")
    found = read(tmp_path)
    assert found.source == "[tool.wherry]"
    assert (found.env, found.ports, found.entrypoint) == (own.env, own.ports, own.entrypoint)


def test_settings_in_both_files_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text('base = "scratch"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n\n[tool.wherry]\nuser = "root"\n')
    assert complaint(tmp_path).startswith("pyproject.toml:4: settings are in both")


def test_no_settings_are_fine(tmp_path: Path) -> None:
    assert read(tmp_path) == Config()


def test_an_unknown_key_names_the_nearest_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.wherry]\nbase = "scratch"\nentry_point = "x"\n')
    message = complaint(tmp_path)
    assert message.startswith("pyproject.toml:3: unknown key 'entry_point' in [tool.wherry]")
    assert "Did you mean 'entrypoint'?" in message


def test_the_table_of_pyproject_in_wherry_toml_is_explained(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text('[tool.wherry]\nbase = "scratch"\n')
    assert "without [tool.wherry]" in complaint(tmp_path)


def test_a_key_that_resembles_nothing_lists_them_all(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text("zzz = 1\n")
    assert "base, build-base, build-constraints, build-env" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("base = 3", "base must be a string"),
        ('base = ""', "base must be a string"),
        ("python = 3.13", "Put the version in quotes"),
        ('python = "three"', "not a Python version"),
        ("entrypoint = 1", "entrypoint must be a command"),
        ('entrypoint = ["python", 3]', "entrypoint must be a command"),
        ('cmd = ""', "cmd must be a command"),
        ('env = ["A=b"]', "env must be a table"),
        ("env = {DEBUG = true}", "env.DEBUG must be a string or a number"),
        ('env = {"A=B" = "c"}', "not the name of a variable"),
        ('workdir = "app"', "must be an absolute path"),
        ('user = "a b"', "is not a user"),
        ("user = true", "is not a user"),
        ("ports = 8080", "ports must be a list of ports"),
        ("ports = [0]", "0 is not a port"),
        ("ports = [70000]", "70000 is not a port"),
        ('ports = ["80/icmp"]', "is not a port"),
        ("ports = [true]", "is not a port"),
        ("labels = {a = [1]}", "labels.a must be a string or a number"),
        ('packages = ["libpq5=1.2"]', "not the name of a Debian package"),
        ('packages = "libpq5"', "packages must be a list of strings"),
        ('include = ["!x"]', "Put x into exclude"),
        ('exclude = ["!x"]', "Put x into include"),
        ('exclude = ["["]', "malformed pattern"),
        ("exclude = [1]", "exclude must be a string"),
        ('bytecode = "no"', "bytecode must be true or false"),
        ('platforms = ["linux/z80"]', "unknown architecture"),
        ('platforms = "linux/amd64"', "platforms must be a list"),
    ],
)
def test_a_wrong_value_is_an_error_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.other]\nx = 1\n[tool.wherry]\n# comment\n{line}\n")
    message = complaint(tmp_path)
    assert message.startswith("pyproject.toml:5: ")
    assert what in message


def test_the_line_of_a_key_in_a_table_of_its_own_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.wherry.env]\nA = "b"\n\nFLAG = true\n')
    assert complaint(tmp_path).startswith("pyproject.toml:4: env.FLAG")


def test_the_line_of_a_dotted_key_is_found(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool]\nwherry.base = "scratch"\nwherry.bytecode = 1\n')
    assert complaint(tmp_path).startswith("pyproject.toml:3: bytecode")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[project]\nname = "x\n', "pyproject.toml:2:"),
        ("[project\n", "pyproject.toml:1:"),
        ('name = "x"\nname = "y"\n', "pyproject.toml:2:"),
        ("a = [1,\n", "pyproject.toml:2"),
        ("a = " + "[" * 5000, "pyproject.toml"),
    ],
)
def test_broken_toml_is_an_error_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    message = complaint(tmp_path)
    assert message.startswith(place)
    assert "not valid TOML" in message


def test_a_table_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool]\nwherry = "yes"\n')
    assert complaint(tmp_path).startswith("pyproject.toml:2: tool.wherry must be a table")


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_bytes(b'\xef\xbb\xbfbase = "scratch"\r\nuser = "root"\r\n')
    assert read(tmp_path).user == "root"


def test_every_key_is_documented() -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for key in re.findall(r"^(\w+) =", EVERYTHING.partition("[env]")[0], re.MULTILINE):
        assert f"### `{key}`" in documentation
    assert "### `env`" in documentation
    assert "### `labels`" in documentation

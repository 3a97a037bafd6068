"""Which Debian package a file belongs to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from wherry.wheels.owners import Owners
from wherry.wheels.root import Root

LIBRARY = "usr/lib/x86_64-linux-gnu/libpq.so.5"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a library, a link to it, and /lib as a link."""
    put(tmp_path, f"{LIBRARY}.17")
    (tmp_path / LIBRARY).symlink_to("libpq.so.5.17")
    (tmp_path / "lib").symlink_to("usr/lib")
    return tmp_path


def put(root: Path, path: str, text: str = "x") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def owner(root: Path, path: str) -> str | None:
    return Owners(Root([root])).owner(path)


def test_images_without_dpkg_list_files_with_their_sums(root: Path) -> None:
    put(root, "var/lib/dpkg/status.d/libpq5", "Package: libpq5\n")
    put(root, "var/lib/dpkg/status.d/libpq5.md5sums", f"{'0' * 32}  {LIBRARY}.17\n")
    assert owner(root, f"{LIBRARY}.17") == "libpq5"
    assert owner(root, LIBRARY) == "libpq5"
    assert owner(root, "/lib/x86_64-linux-gnu/libpq.so.5") == "libpq5"


@pytest.mark.parametrize("name", ["libpq5.list", "libpq5:amd64.list"])
def test_dpkg_lists_every_path(root: Path, name: str) -> None:
    put(root, f"var/lib/dpkg/info/{name}", f"/.\n/usr\n/{LIBRARY}.17\n/{LIBRARY}\n")
    assert owner(root, LIBRARY) == "libpq5"


def test_packages_from_before_the_merge_of_usr_say_lib(root: Path) -> None:
    put(root, "var/lib/dpkg/info/libpq5:amd64.list", "/.\n/lib/x86_64-linux-gnu/libpq.so.5.17\n")
    assert owner(root, LIBRARY) == "libpq5"
    assert owner(root, "lib/x86_64-linux-gnu/libpq.so.5") == "libpq5"


def test_names_of_packages_hold_dots_and_more(root: Path) -> None:
    put(root, "var/lib/dpkg/status.d/libstdc++6.1-dev.md5sums", f"{'0' * 32}  {LIBRARY}.17\n")
    assert owner(root, LIBRARY) == "libstdc++6.1-dev"


def test_a_link_that_a_package_ships_is_that_packages(root: Path) -> None:
    put(root, "var/lib/dpkg/info/libpq5.list", f"/{LIBRARY}.17\n")
    put(root, "var/lib/dpkg/info/libpq-compat.list", f"/{LIBRARY}\n")
    assert owner(root, LIBRARY) == "libpq-compat"


def test_what_no_package_has_brought_has_no_owner(root: Path) -> None:
    put(root, "var/lib/dpkg/info/libpq5.list", "/usr/share/doc/libpq5\n")
    assert owner(root, LIBRARY) is None
    assert owner(root, "usr/lib/missing.so") is None


def test_a_root_without_a_database_has_no_owners(root: Path) -> None:
    assert owner(root, LIBRARY) is None


def test_the_database_may_lie_in_several_layers(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    top = tmp_path_factory.mktemp("top")
    put(top, "var/lib/dpkg/status.d/libpq5.md5sums", f"{'0' * 32}  {LIBRARY}.17\n")
    put(root, "var/lib/dpkg/status.d/bash.md5sums", f"{'0' * 32}  usr/bin/bash\n")
    owners = Owners(Root([top, root]))
    assert (owners.owner(LIBRARY), owners.owner("bin/bash")) == ("libpq5", "bash")


@pytest.mark.skipif(not Path("/usr/bin/dpkg-query").exists(), reason="this machine has no dpkg")
def test_this_machines_dpkg_says_the_same() -> None:
    owners = Owners(Root([Path("/")]))
    for path in ("/usr/bin/env", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libz.so.1"):
        found = owners.owner(path)
        names = [path, path.removeprefix("/usr"), f"/usr{path}"]
        said = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False).stdout
        assert found in {line.split(":")[0] for line in said.splitlines()}

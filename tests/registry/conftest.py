"""What the tests of registries share: registries, and nobody's logins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine
from tests.registry.servers import PROGRAM, Registry, Tls, certificates, registry

if TYPE_CHECKING:
    from tests.conftest import NewWherry, Wherry


@pytest.fixture
def machine(tmp_path: Path, new_wherry: NewWherry) -> Machine:
    """Machines by name: each has a store and a home of its own."""

    def make(name: str) -> Wherry:
        home = tmp_path / name
        env = {"HOME": str(home), "DOCKER_CONFIG": str(home / ".docker"), "XDG_CONFIG_HOME": str(home / ".config")}
        return new_wherry(home / "store", env=env)

    return make


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No logins or settings of this machine."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_AUTH_CONFIG", "XDG_RUNTIME_DIR", "WHERRY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that everybody may read and write."""
    if not Path(PROGRAM).exists():
        pytest.skip("Debian's docker-registry is not installed")
    with registry(tmp_path_factory.mktemp("open-registry")) as running:
        yield running


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for registries on this machine."""
    return certificates(tmp_path_factory.mktemp("tls"))

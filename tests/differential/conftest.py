"""What the differential tests share: a store with the base images in it, and an HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.differential import bases
from tests.differential.server import serving

if TYPE_CHECKING:
    from tests.conftest import NewWherry, Wherry


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, ``HOST:PORT``."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory, wherry_type: NewWherry) -> Wherry:
    """The command with a store that has the base images."""
    if bases.busybox() is None:
        pytest.skip("no busybox for the base images: run .ci/packages busybox-static")
    folder = tmp_path_factory.mktemp("bases")
    bases.stock(folder / "store")
    return wherry_type(folder / "store")


@pytest.fixture(scope="session")
def wherry_type() -> NewWherry:
    """Makes a command with a store at a path."""
    from tests.conftest import Wherry

    return Wherry

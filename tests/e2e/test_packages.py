"""Projects that need Debian packages when they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

PSYCOPG = {
    "requirements.txt": "psycopg==3.3.9\n",
    "main.py": "import psycopg\n\nprint(psycopg.pq.__impl__, psycopg.pq.version() > 150000)\n",
}


@pytest.mark.parametrize(
    "settings", ['packages = ["libpq5"]\n', 'base = "debian://bookworm?include=libpq5"\n'], ids=["packages", "include"]
)
def test_pure_python_finds_the_library_of_a_package(settings: str, warm: Wherry, project: MakeProject) -> None:
    warm.build(project({**PSYCOPG, "wherry.toml": settings}), "-t", "psycopg")
    assert warm.ok("run", "psycopg").stdout == "python True\n"

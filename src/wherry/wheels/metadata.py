"""What a project's pyproject.toml says of it before anything is built (PyPA, "Writing your pyproject.toml")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def project_name(folder: Path) -> str:
    """The name in ``folder``'s pyproject.toml, in poetry's table if there is no [project], or an empty one."""
    values = _table(folder / "pyproject.toml")
    tool = values.get("tool")
    for project in (values.get("project"), tool.get("poetry") if isinstance(tool, dict) else None):
        name = project.get("name") if isinstance(project, dict) else None
        if isinstance(name, str):
            return name
    return ""


def is_dynamic(folder: Path) -> bool:
    """Whether only the project's backend can tell its metadata."""
    project = _table(folder / "pyproject.toml").get("project")
    return not isinstance(project, dict) or bool(project.get("dynamic"))


def _table(path: Path) -> Mapping[str, object]:
    """A TOML file's content; an empty table if it is not there, or is not TOML."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}

"""What decides a resolution, file by file, and whether it may come to something else another day."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path

from wherry.errors import Place, UsageError
from wherry.plan import Requirements, RequirementsKind
from wherry.wheels.requirements import expanded, read_options

EXACT: frozenset[RequirementsKind] = frozenset({"none", "pylock", "uv.lock"})
"""Kinds of requirements that come to the same on any day and machine, with no index asked."""

_DISTRIBUTIONS = (".whl", ".gz", ".tgz", ".zip", ".bz2", ".xz")
_PROJECT = ("name", "dependencies", "optional-dependencies", "requires-python", "dynamic")
_TOOLS: Mapping[str, tuple[str, ...]] = {
    "uv": (),
    "poetry": ("name", "dependencies", "dev-dependencies", "group", "extras", "source"),
    "pdm": ("dev-dependencies", "source", "resolution"),
}
"""What of a tool's table concerns requirements; all of it where nothing is named."""


def digests(requirements: Requirements, context: Path) -> Mapping[str, str]:
    """A digest of each file that ``requirements`` are read from; of pyproject.toml only of what concerns them.

    How lines end does not count. Raises :class:`UsageError` for a file that cannot be read.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(filter(None, (requirements.path, *requirements.inputs))):
        try:
            if name.endswith(_DISTRIBUTIONS):
                with (context / name).open("rb") as file:
                    found[name] = file_digest(file, "sha256").hexdigest()
                continue
            text = (context / name).read_text("utf-8-sig", "surrogateescape")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", place=Place(name)) from None
        stated = _stated(text) if name.rpartition("/")[2] == "pyproject.toml" else text
        found[name] = sha256(stated.encode("utf-8", "surrogateescape")).hexdigest()
    return found


def digest(requirements: Requirements, context: Path) -> str:
    """One digest of all that decides what ``requirements`` come to, but for the target and the indexes."""
    parts = [
        requirements.kind,
        requirements.path,
        [requirements.projects, requirements.extras, requirements.groups, requirements.lines, requirements.bounds],
        [requirements.no_binary, requirements.only_binary],
        dict(digests(requirements, context)),
    ]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def floats(requirements: Requirements, context: Path) -> bool:
    """Whether ``requirements`` may come to something else when an index has something else: no lock, no hashes."""
    if requirements.kind == "requirements.txt":
        names = [name for name in dict.fromkeys((requirements.path, *requirements.inputs)) if _is_text(name)]
        texts = [(context / name).read_text("utf-8-sig", "replace") for name in names]
        return not read_options(expanded(text, os.environ) for text in texts).hashed
    return requirements.kind in {"pyproject", "lines"}


def _is_text(name: str) -> bool:
    return not name.endswith((*_DISTRIBUTIONS, ".toml", ".py", ".cfg"))


def _stated(text: str) -> str:
    """What pyproject.toml says of requirements, also those of its build; all of it where only a backend knows."""
    import tomllib

    try:
        values: dict[str, object] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    project, tools = _table(values.get("project")), _table(values.get("tool"))
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and {"dependencies", "optional-dependencies"} & set(map(str, dynamic)):
        return text
    return json.dumps(
        {
            "build-system": values.get("build-system"),
            "dependency-groups": values.get("dependency-groups"),
            "project": {name: project[name] for name in _PROJECT if name in project},
            "tool": {
                tool: {name: value for name, value in _table(tools[tool]).items() if not names or name in names}
                for tool, names in _TOOLS.items()
                if tool in tools
            },
        },
        sort_keys=True,
        default=str,
    )


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

"""What is kept of a build: as a value, and as a small file that reads well in a diff."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.differential import bases, flatten
from tests.differential.case import Case, tar
from tests.differential.server import PLACEHOLDER

EXPECTED = Path(__file__).parent / "expected"
OWN = Path(__file__).parent / "own"


@dataclass(frozen=True)
class Outcome:
    """What came of a build: an image, or a refusal.

    ``files`` holds what differs from the root filesystem of :data:`~tests.differential.bases.BASE` where that is below,
    each path with its line, or with None if it is gone; else all there is.
    """

    config: Mapping[str, Any] | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str | None] | None = None
    refused: str = ""
    line: int = 0
    """For a refusal: the line that it points to, if any."""

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        if self.refused:
            return {"refused": self.refused, **({"line": self.line} if self.line else {})}
        return {"config": self.config, "history": list(self.history), "files": self.files}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """As it was written."""
        if "refused" in value:
            return cls(refused=value["refused"], line=value.get("line", 0))
        return cls(value["config"], tuple(value["history"]), value["files"])


@dataclass(frozen=True)
class Recording:
    """An outcome and the engines that it is from: the reference, and others that gave the same."""

    outcome: Outcome
    engine: str
    same_in: tuple[str, ...] = ()


def outcome_of(archive: Path | bytes, case: Case, server: str) -> Outcome:
    """The image in ``archive``, with the server's address and what the case does not list taken out."""
    found = flatten.describe(archive, bases.markers())
    filled = sum(not item.get("empty_layer") for item in found.history)
    assert filled == found.layers, f"{found.layers} layers, but history tells of {filled}"
    below: Mapping[str, str] = _base_lines() if found.files.get("/bin/busybox", "").endswith("BUSYBOX old") else {}
    files: dict[str, str | None] = {path: line for path, line in found.files.items() if below.get(path) != line}
    files |= {path: None for path in below if path not in found.files}
    for hidden in case.unlisted:
        files = {path: line for path, line in files.items() if not path.startswith(f"{hidden}/")}
    value = Outcome(found.config, found.history, dict(sorted(files.items())))
    text = json.dumps(value.to_json()).replace(server, PLACEHOLDER) if server else json.dumps(value.to_json())
    return Outcome.from_json(json.loads(text))


@cache
def _base_lines() -> dict[str, str]:
    tree = {"/": flatten.Node("dir")}
    flatten.apply(tar(bases.base_tree()), tree, bases.markers())
    return flatten.lines(tree)


def refusal(output: str, case: Case, server: str) -> Outcome:
    """What the engine said last, and the line of the Dockerfile that it points to."""
    said = [line for line in output.splitlines() if line.strip()]
    last = next(
        (line for line in reversed(said) if line.startswith(("ERROR:", "wherry: error:"))),
        said[-1] if said else "failed",
    )
    last = re.sub(
        r"^(?:ERROR|wherry: error): |failed to build: |failed to solve: |rpc error: code = \w+ desc = ", "", last
    )
    last = re.sub(r"failed to compute cache key: |failed to calculate checksum of ref \S+ ", "", last)
    last = re.sub(r"failed to do request:.*", "…", last)
    last = re.sub(r"/\S+/merged(?=/)", "", last)
    last = re.sub(r"sha256:[0-9a-f]{12,}|\b[a-z0-9]{25}\b", "…", last)
    pointed = re.search(rf"(?m)^{re.escape(Path(case.file).name)}:(\d+)$", output)
    number = re.search(r"dockerfile parse error (?:on )?line (\d+)", output)
    line = int(pointed[1]) if pointed else int(number[1]) if number else 0
    return Outcome(refused=last.replace(server, PLACEHOLDER) if server else last, line=line)


def path_of(module: str, case: Case) -> Path:
    """Where the recording of a case is."""
    return EXPECTED / module / f"{case.name}.json"


def own_path_of(module: str, case: Case) -> Path:
    """Where it is recorded what wherry makes of a case in which it differs on purpose."""
    return OWN / module / f"{case.name}.json"


def read(path: Path) -> Recording:
    """A recording as it was written. Raises :class:`FileNotFoundError` if there is none."""
    value = json.loads(path.read_text())
    return Recording(Outcome.from_json(value), value["engine"], tuple(value.get("same_in", ())))


def write(recording: Recording, path: Path) -> None:
    """Write a recording, one line for each path, history entry and config field."""
    value = {"engine": recording.engine, "same_in": list(recording.same_in), **recording.outcome.to_json()}
    if not recording.same_in:
        del value["same_in"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_lines(value)) + "\n")


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for number, (key, item) in enumerate(value.items()):
        comma = "," if number < len(value) - 1 else ""
        if isinstance(item, dict) and item:
            yield f' "{key}": {{'
            rows = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in sorted(item.items())]
            yield ",\n".join(rows)
            yield f" }}{comma}"
        elif isinstance(item, list) and item and key == "history":
            yield f' "{key}": ['
            yield ",\n".join(f"  {json.dumps(one)}" for one in item)
            yield f" ]{comma}"
        else:
            yield f' "{key}": {json.dumps(item)}{comma}'
    yield "}"


def differences(expected: Outcome, found: Outcome) -> list[str]:
    """What is not the same, one line each, for the eye."""
    if expected.refused or found.refused:
        same = bool(expected.refused) == bool(found.refused)
        return [] if same else [f"- {expected.refused or 'builds'}", f"+ {found.refused or 'builds'}"]
    told: list[str] = []
    for what, ours, theirs in (
        ("config", found.config or {}, expected.config or {}),
        ("file", found.files or {}, expected.files or {}),
    ):
        for key in sorted({*ours, *theirs}):
            if key not in ours or key not in theirs or ours[key] != theirs[key]:
                told += [f"- {what} {key!a}: {_shown(theirs, key)}", f"+ {what} {key!a}: {_shown(ours, key)}"]
    if expected.history != found.history:
        for sign, items in (("-", expected.history), ("+", found.history)):
            other = found.history if sign == "-" else expected.history
            told += [
                f"{sign} history {number}: {json.dumps(item)}"
                for number, item in enumerate(items)
                if number >= len(other) or other[number] != item
            ]
    return told


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "as in the base, or absent"

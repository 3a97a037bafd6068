"""What came out, kept in a file as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Status = Literal["works", "no wheel", "fails", "not tried"]


@dataclass(frozen=True)
class Outcome:
    """One distribution for one target.

    ``version`` and ``tags`` are those of what was installed, ``built`` tells whether that was built here; ``reason``
    says why it does not work, ``about`` which distributions that is about. ``remarks`` are what the files' headers
    tell, ``loaded`` is how many of its extension modules were loaded, ``extensions`` how many the image has, of all
    distributions. ``seconds`` are those of the build, ``size`` the bytes of the image's layers.
    """

    status: Status
    version: str = ""
    tags: tuple[str, ...] = ()
    built: bool = False
    reason: str = ""
    about: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    loaded: int = 0
    extensions: int = 0
    seconds: float = 0
    size: int = 0
    date: str = ""

    @property
    def pure(self) -> bool:
        """Whether it came from a wheel for any platform."""
        return bool(self.tags) and all(tag.endswith("-any") for tag in self.tags)


class Results:
    """Outcomes by distribution and target, in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Outcome]] = {}
        if path.exists():
            for name, targets in json.loads(path.read_text()).items():
                self._found[name] = {target: _outcome(value) for target, value in targets.items()}

    def get(self, name: str, target: str) -> Outcome | None:
        """What came out, if it was tried."""
        return self._found.get(name, {}).get(target)

    def of(self, target: str) -> Iterator[tuple[str, Outcome]]:
        """All that came out for ``target``, by name."""
        for name, targets in self._found.items():
            if target in targets:
                yield name, targets[target]

    def put(self, name: str, target: str, outcome: Outcome) -> None:
        """Keep ``outcome``."""
        self._found.setdefault(name, {})[target] = outcome
        new = self._path.with_suffix(".new")
        rows = {name: {target: asdict(one) for target, one in some.items()} for name, some in self._found.items()}
        new.write_text(json.dumps(rows, indent=1) + "\n")
        new.replace(self._path)


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def _outcome(value: dict[str, object]) -> Outcome:
    lists = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return Outcome(**lists)  # type: ignore[arg-type]  # as they were written

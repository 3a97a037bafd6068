"""The flags of an instruction: ``--name=value``, ``--name``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from wherry.errors import did_you_mean
from wherry.frontends.dockerfile.errors import Span

Kind = Literal["text", "texts", "switch"]


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that were given, by name."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The value of a flag, or nothing."""
        return self.values.get(name, ("",))[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag that may be repeated."""
        return self.values.get(name, ())

    def switch(self, name: str) -> bool | None:
        """Whether a switch is on; None if it was not given."""
        return self.values[name][0] == "true" if name in self.values else None


def parse(words: tuple[str, ...], known: Mapping[str, Kind], span: Span) -> Flags:
    """Read flags. Raises :class:`DockerfileError` for unknown or repeated ones, and for values that do not fit."""
    values: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if name not in known:
            advice = did_you_mean(name[:100], (f"--{one}" for one in known)) if known else "It takes no flags."
            raise span.error(f"unknown flag: --{name}", advice)
        kind = known[name]
        if name in values and kind != "texts":
            raise span.error(f"duplicate flag specified: --{name}")
        if kind == "switch":
            if equals and not value:
                raise span.error(f"missing a value on flag: --{name}")
            if value.lower() not in {"", "true", "false"}:
                raise span.error(f"expecting boolean value for flag --{name}, not: {value}")
            value = value.lower() or "true"
        elif not equals:
            raise span.error(f"missing a value on flag: --{name}")
        values[name] = (*values.get(name, ()), value)
    return Flags(values)

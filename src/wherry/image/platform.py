"""Platforms: operating system and processor, in the names of Go's GOOS and GOARCH (OCI image-spec)."""

from __future__ import annotations

import platform as host
from dataclasses import dataclass

from wherry.errors import UsageError
from wherry.image.json import JsonObject, as_str

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "loongarch64": "loong64",
    "i386": "386",
    "i686": "386",
}
_KNOWN = frozenset({"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le"})


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """What an image runs on, such as ``linux/amd64`` or ``linux/arm/v7``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/arch[/variant]`` or ``arch``, with the usual other names normalised.

        Raises :class:`UsageError` for anything else.
        """
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts.insert(0, "linux")
        if len(parts) > 3 or not all(parts):
            raise UsageError(f"{text!r} is not a platform", hint="Write it as linux/amd64 or linux/arm64.")
        system, architecture, *rest = parts
        variant = rest[0] if rest else ""
        architecture = _ARCHITECTURES.get(architecture, architecture)
        if architecture not in _KNOWN:
            raise UsageError(f"unknown architecture in platform {text!r}", hint=f"Known: {', '.join(sorted(_KNOWN))}.")
        if (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}:
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        return cls(system, architecture, variant)

    @classmethod
    def native(cls) -> Platform:
        """This machine's processor, with Linux (images are Linux images on every host)."""
        return cls.parse(f"linux/{host.machine().lower()}")

    def to_json(self) -> dict[str, str]:
        """The ``platform`` object of a descriptor in an index."""
        fields = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {name: value for name, value in fields.items() if value}

    @classmethod
    def from_json(cls, value: JsonObject) -> Platform:
        """Read a ``platform`` object or the like-named fields of an image config."""
        return cls(
            as_str(value.get("os"), "os") or "linux",
            as_str(value.get("architecture"), "architecture") or "unknown",
            as_str(value.get("variant"), "variant"),
        )

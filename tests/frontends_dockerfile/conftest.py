"""A Dockerfile's Plan in one call: what it names as bases, a table knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytest

from wherry.frontends.dockerfile import DockerfileOptions, plan
from wherry.image import ImageConfig, RuntimeConfig
from wherry.image.platform import Platform
from wherry.plan import Base, Plan

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AMD64 = Platform("linux", "amd64")


class Images:
    """Bases by name, and which of them were asked for."""

    def __init__(self, known: Mapping[str, RuntimeConfig] | None = None) -> None:
        self.known = known or {}
        self.asked: list[str] = []

    def config(self, base: Base) -> ImageConfig:
        self.asked.append(base.source)
        return ImageConfig(AMD64, self.known.get(base.source, RuntimeConfig(env=(PATH,))))


class Planner(Protocol):
    def __call__(
        self,
        text: str | bytes,
        options: DockerfileOptions | None = None,
        /,
        *,
        images: Images | Mapping[str, RuntimeConfig] | None = None,
        args: Mapping[str, str] | None = None,
    ) -> Plan: ...


@pytest.fixture
def planned() -> Planner:
    def make(
        text: str | bytes,
        options: DockerfileOptions | None = None,
        /,
        *,
        images: Images | Mapping[str, RuntimeConfig] | None = None,
        args: Mapping[str, str] | None = None,
    ) -> Plan:
        options = options or DockerfileOptions("Dockerfile", platform=AMD64, build_platform=AMD64)
        if args:
            options = replace(options, build_args=tuple(args.items()))
        known = images if isinstance(images, Images) else Images(images)
        return plan(text.encode() if isinstance(text, str) else text, options, known)

    return make

"""``scratch``: the base that holds nothing."""

from __future__ import annotations

from wherry.events import Task
from wherry.image import Image, ImageConfig, Platform, RuntimeConfig

BLANK = RuntimeConfig(working_dir="/")
"""The config of what has none, as BuildKit has it."""


class Scratch:
    """An image with no layers."""

    def image(self, platform: Platform, task: Task) -> Image:
        """The empty image for ``platform``."""
        return Image.of(ImageConfig(platform, BLANK), (), {})

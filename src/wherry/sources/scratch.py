"""``scratch``: the base that holds nothing."""

from __future__ import annotations

from wherry.events import Task
from wherry.image import Image, ImageConfig, Platform


class Scratch:
    """An image with no layers."""

    def image(self, platform: Platform, task: Task) -> Image:
        """The empty image for ``platform``."""
        return Image.of(ImageConfig(platform), (), {})

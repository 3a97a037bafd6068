"""How much a Dockerfile may ask for: a few lines of variables that double each other would fill any memory."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_TEXT = 64 << 20


@dataclass(slots=True)
class Budget:
    """Characters that a Plan may still hold, and work that its expansion may still be."""

    left: int = _MOST_TEXT

    def spend(self, size: int) -> None:
        """Take ``size`` characters. Raises :class:`ValueError` if they are not left."""
        self.left -= size
        if self.left < 0:
            raise ValueError("the Dockerfile's variables expand to too much text")

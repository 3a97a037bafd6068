"""The garbage collector, put off while a great many small values are made that all live on.

It would look through them again and again, for half as long as it takes to make them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within the block nothing is looked through; nor later what was made in it, which is freed when it is let go."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()  # it would begin with looking through them
            gc.enable()

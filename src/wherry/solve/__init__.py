"""Plan to Image: carries out a Plan's stages step by step, doing nothing twice.

One module for each kind of step; each gives a new immutable :class:`~wherry.solve.snapshot.Snapshot`.
"""

from wherry.solve.solver import Options, solve

__all__ = ["Options", "solve"]

"""Points as small integers: fewer tokens, and a form that every back end can enforce."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.space import Space

__all__ = ["Grid"]


class Grid:
    """Maps a decision space to integers from 0 to `levels`, linearly per variable.

    Args:
        space: The decision space.
        resolution: Largest integer; integer variables with fewer values get one integer per value.

    Attributes:
        levels: int64 [d], largest integer of each variable; 0 for a variable that cannot move.
    """

    def __init__(self, space: Space, resolution: int = 1000) -> None:
        self.space = space
        width = space.upper - space.lower
        levels = np.where(space.integer, np.minimum(width, resolution), np.where(width > 0, resolution, 0))
        self.levels: IntArray = levels.astype(np.int64)

    def encode(self, X: FloatArray) -> IntArray:
        """Nearest integers of points float64 [n, d], int64 [n, d]."""
        return np.rint(self.space.normalize(X) * self.levels).astype(np.int64)

    def decode(self, K: FloatArray | IntArray) -> FloatArray:
        """Points of integers [n, d] inside their range, float64 [n, d]; integer variables are rounded."""
        X = self.space.denormalize(np.asarray(K, dtype=np.float64) / np.maximum(self.levels, 1))
        return self.space.clip(X) if self.space.has_integers else X

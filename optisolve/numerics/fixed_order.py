"""Sums in one order on every processor: what is hashed must not depend on which kernel BLAS chose."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["product"]


def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """The matrix product, its terms added from first to last.

    Args:
        left: float64 [n, k].
        right: float64 [k, m].

    Returns:
        float64 [n, m].
    """
    total = np.zeros((left.shape[0], right.shape[1]))
    for column, row in zip(left.T, right, strict=True):
        total += column[:, None] * row
    return total

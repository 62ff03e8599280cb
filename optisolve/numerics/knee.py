"""The knee of a front: the compromise a person would look at first."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["knee_index"]


def knee_index(F_min: FloatArray) -> int:
    """Index of the point nearest to the front's own ideal point after scaling the front to the unit cube.

    Args:
        F_min: float64 [n, m], n >= 1, minimization form.

    Returns:
        Row index; the first one on ties.
    """
    low, high = F_min.min(axis=0), F_min.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return int(np.argmin((((F_min - low) / width) ** 2).sum(axis=1)))

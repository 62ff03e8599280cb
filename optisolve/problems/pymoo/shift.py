"""Shifted variants: the optimum leaves the places where a program that prints zeros or halves would find it.

Only the distance variables move. Where their best value lies on a bound (ZDT1, 2, 3, 5, 6, DTLZ6, 7) the axis is folded
at the shift s, elsewhere it is bent so that s takes the place of the middle c:

.. math::
    \\text{fold:}\\; y = l + (u - l) \\frac{|x - s|}{\\max(s - l, u - s)}, \\qquad
    \\text{bend:}\\; y = l + (c - l) \\frac{x - l}{s - l} \\;(x \\le s), \\quad c + (u - c) \\frac{x - s}{u - s} \\;(x > s).

Both map the bounds onto all of the bounds, so every distance that could be reached before can be reached after, and
the front, being made of objectives, is the same.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["moved", "restored"]


def moved(X: FloatArray, lower: FloatArray, upper: FloatArray, shift: FloatArray, fold: bool) -> FloatArray:
    """What the unshifted function sees, float64 [n, d].

    Args:
        X: float64 [n, d].
        lower: float64 [d].
        upper: float64 [d].
        shift: float64 [k], strictly inside the bounds of the last k variables (for binary ones on a bound).
        fold: Fold at the shift instead of bending there.
    """
    low, high, x = lower[-shift.size :], upper[-shift.size :], X[:, -shift.size :]
    middle = 0.5 * (low + high)
    if fold:
        y = low + (high - low) * np.abs(x - shift) / np.maximum(shift - low, high - shift)
    else:
        below = low + (middle - low) * ((x - low) / (shift - low))
        above = middle + (high - middle) * ((x - shift) / (high - shift))
        y = np.where(x <= shift, below, above)
    return np.hstack([X[:, : -shift.size], np.clip(y, low, high)])


def restored(Y: FloatArray, lower: FloatArray, upper: FloatArray, shift: FloatArray, fold: bool) -> FloatArray:
    """A point X with ``moved(X) = Y``, float64 [n, d]; of the two that a fold offers the one on the longer side."""
    low, high, y = lower[-shift.size :], upper[-shift.size :], Y[:, -shift.size :]
    middle = 0.5 * (low + high)
    if fold:
        step = (y - low) / (high - low) * np.maximum(shift - low, high - shift)
        x = np.where(shift - low >= high - shift, shift - step, shift + step)
    else:
        below = low + (shift - low) * ((y - low) / (middle - low))
        above = shift + (high - shift) * ((y - middle) / (high - middle))
        x = np.where(y <= middle, below, above)
    return np.hstack([Y[:, : -shift.size], np.clip(x, low, high)])

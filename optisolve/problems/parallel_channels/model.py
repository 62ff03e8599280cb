"""The equations of `parallel_channels` in numpy; they are fast enough without a compiled kernel.

.. math:: \\max_p \\sum_m w_m \\log_2(1 + g_m p_m / \\sigma_m^2) \\quad \\text{s.t.} \\quad \\sum_m p_m \\le P, \\; p \\ge 0

Source: Cover and Thomas, Elements of Information Theory, parallel Gaussian channels.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["budget_excess", "project_to_budget", "weighted_rate"]


def weighted_rate(P: FloatArray, gain: FloatArray, noise_w: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted sum rate, float64 [n], bit/s/Hz.

    Args:
        P: float64 [n, M], W.
        gain: float64 [M], linear.
        noise_w: float64 [M], W.
        weight: float64 [M].
    """
    return np.asarray((weight * np.log1p(P * (gain / noise_w))).sum(axis=1) / np.log(2.0))


def budget_excess(P: FloatArray, p_total_w: float) -> FloatArray:
    """Inequality constraint ``sum p / P - 1 <= 0``, float64 [n, 1]."""
    return np.asarray(P.sum(axis=1, keepdims=True) / p_total_w - 1.0)


def project_to_budget(P: FloatArray, p_total_w: float) -> FloatArray:
    """Euclidean projection of powers >= 0 onto the budget, float64 [n, M], W.

    Points within the budget stay; the others are lowered by a common amount and cut at 0, with that amount found by sorting
    (projection onto the simplex, Held, Wolfe and Crowder 1974).
    """
    over = P.sum(axis=1) > p_total_w * (1.0 + 1e-15)
    if not over.any():
        return P
    rows = P[over]
    falling = -np.sort(-rows, axis=1)  # [k, M]
    excess = (np.cumsum(falling, axis=1) - p_total_w) / np.arange(1, P.shape[1] + 1)
    last = (falling > excess).sum(axis=1) - 1  # falling - excess changes its sign once
    lowered = np.maximum(rows - excess[np.arange(last.size), last][:, None], 0.0)
    projected = P.copy()
    projected[over] = lowered * np.minimum(1.0, p_total_w / lowered.sum(axis=1))[:, None]
    return projected

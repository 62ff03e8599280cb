"""The part of the repair that needs no sweeps, in plain numpy and to the last bit as the kernels do it.

A process that projects a few points, most of which keep their distances, need not load a compiler for them.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.problems.uav_isac.model import Constants

__all__ = ["project_powers", "too_close"]


def project_powers(X: FloatArray, c: Constants) -> None:
    """Euclidean projection of the powers of every row, in place; rows that keep the cap keep their bits.

    Args:
        X: float64 [n, 3M], inside the bounds, written.
        c: Constants of the scenario.
    """
    rows = np.flatnonzero(_sum_after(X[:, 2::3], np.zeros(len(X)), c) > c.p_total_w)
    if rows.size == 0:
        return
    power = X[rows, 2::3]  # [r, M]
    cap = c.p_total_w * (1.0 - 4.0 * c.n_uavs * np.finfo(np.float64).eps)  # rounding must not leave the sum above p_total_w
    left, right = np.zeros(rows.size), np.full(rows.size, np.inf)  # breakpoints of the sum on both sides of the cap
    for m in range(c.n_uavs):
        for bound in (c.p_min_w, c.p_max_w):
            tau = power[:, m] - bound
            further, above = tau > left, _sum_after(power, tau, c) > cap
            right = np.where(further & ~above, np.minimum(right, tau), right)
            left = np.where(further & above, tau, left)
    bounded = right < np.inf
    high, low = _sum_after(power, left, c), _sum_after(power, np.where(bounded, right, left), c)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = left + (high - cap) / (high - low) * (right - left)
    tau = np.where(bounded, between, np.inf)  # unbounded: the cap is M p_min, every power goes to its lower bound
    X[rows, 2::3] = np.minimum(np.maximum(power - tau[:, None], c.p_min_w), c.p_max_w)


def too_close(X: FloatArray, c: Constants) -> BoolArray:
    """Rows in which two UAVs are nearer to each other than allowed, bool [n]."""
    close = np.zeros(len(X), dtype=bool)
    for i in range(c.n_uavs):
        for j in range(i + 1, c.n_uavs):
            dx, dy = X[:, 3 * i] - X[:, 3 * j], X[:, 3 * i + 1] - X[:, 3 * j + 1]
            close |= np.sqrt(dx * dx + dy * dy) < c.d_min_m
    return close


def _sum_after(power: FloatArray, tau: FloatArray, c: Constants) -> FloatArray:
    """Sum of the powers [n, M] lowered by tau [n] and clipped, added up UAV by UAV as the kernel does."""
    total = np.zeros(len(power))
    for m in range(c.n_uavs):
        total += np.minimum(np.maximum(power[:, m] - tau, c.p_min_w), c.p_max_w)
    return total

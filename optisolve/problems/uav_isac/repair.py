"""Projection of powers and repair of separations (numba)."""

from __future__ import annotations

from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit

__all__ = ["project_rows"]

_SWEEPS = 64
_FIRST_MARGIN = 1e-9
_LAST_MARGIN = 1e-2
_GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


@njit(nogil=True, cache=True, error_model="numpy")
def project_rows(
    X: FloatArray, lattice: FloatArray, area: float, d_min: float, p_min: float, p_max: float, p_total: float
) -> None:
    """Make every row feasible, in place; rows that are feasible already keep their bits.

    Powers get their exact Euclidean projection (up to rounding, to the safe side). UAVs that are too close are pushed apart
    pair by pair; where that does not settle, the row moves to the lattice.

    Args:
        X: float64 [n, 3M], inside the bounds, written.
        lattice: float64 [M, 2], positions with pairwise distances of at least `d_min`, m.
        area: Side of the square, m.
        d_min: Smallest distance between two UAVs, m.
        p_min: Lower bound of a power, W.
        p_max: Upper bound of a power, W.
        p_total: Cap on the sum, W; at least M p_min.
    """
    for row in range(X.shape[0]):
        _project_powers(X[row], p_min, p_max, p_total)
        if _too_close(X[row], d_min) and not _push_apart(X[row], area, d_min):
            _move_to_lattice(X[row], lattice)


@njit(nogil=True, cache=True, error_model="numpy")
def _project_powers(x: Any, p_min: Any, p_max: Any, p_total: Any) -> None:
    n_uavs = x.shape[0] // 3
    if _sum_after(x, 0.0, p_min, p_max) <= p_total:
        return
    cap = p_total * (1.0 - 4.0 * n_uavs * np.finfo(np.float64).eps)  # rounding must not leave the sum above p_total
    left, right = 0.0, np.inf  # breakpoints of the piecewise linear sum on both sides of the cap
    for m in range(n_uavs):
        for bound in (p_min, p_max):
            tau = x[3 * m + 2] - bound
            if tau > left and _sum_after(x, tau, p_min, p_max) > cap:
                left = tau
            elif tau > left:
                right = min(right, tau)
    high = _sum_after(x, left, p_min, p_max)
    if right < np.inf:
        low = _sum_after(x, right, p_min, p_max)
        tau = left + (high - cap) / (high - low) * (right - left)
    else:
        tau = np.inf  # the cap is M p_min: every power at its lower bound
    for m in range(n_uavs):
        x[3 * m + 2] = min(max(x[3 * m + 2] - tau, p_min), p_max)


@njit(nogil=True, cache=True, error_model="numpy")
def _sum_after(x: Any, tau: Any, p_min: Any, p_max: Any) -> Any:
    total = 0.0
    for m in range(x.shape[0] // 3):
        total += min(max(x[3 * m + 2] - tau, p_min), p_max)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _distance(x: Any, i: Any, j: Any) -> Any:
    dx = x[3 * i] - x[3 * j]
    dy = x[3 * i + 1] - x[3 * j + 1]
    return np.sqrt(dx * dx + dy * dy)


@njit(nogil=True, cache=True, error_model="numpy")
def _too_close(x: Any, d_min: Any) -> Any:
    n_uavs = x.shape[0] // 3
    for i in range(n_uavs):
        for j in range(i + 1, n_uavs):
            if _distance(x, i, j) < d_min:
                return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _push_apart(x: Any, area: Any, d_min: Any) -> Any:
    """Sweep over close pairs, moving both UAVs along their line; true when all pairs are far enough apart."""
    n_uavs = x.shape[0] // 3
    margin = _FIRST_MARGIN
    for _ in range(_SWEEPS):
        for i in range(n_uavs):
            for j in range(i + 1, n_uavs):
                distance = _distance(x, i, j)
                if distance < d_min:
                    _push_pair(x, i, j, distance, d_min * (1.0 + margin), area)
        if not _too_close(x, d_min):
            return True
        margin = min(2.0 * margin, _LAST_MARGIN)  # a growing margin ends the slow tail of the sweeps
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def _push_pair(x: Any, i: Any, j: Any, distance: Any, target: Any, area: Any) -> None:
    if distance > 1e-9 * target:
        ux = (x[3 * j] - x[3 * i]) / distance
        uy = (x[3 * j + 1] - x[3 * i + 1]) / distance
    else:  # no direction of their own: one that differs from pair to pair, without chance
        angle = _GOLDEN_ANGLE * (1.0 + i + j * j)
        ux, uy = np.cos(angle), np.sin(angle)
    step = 0.5 * (target - distance)
    x[3 * i] = min(max(x[3 * i] - step * ux, 0.0), area)
    x[3 * i + 1] = min(max(x[3 * i + 1] - step * uy, 0.0), area)
    x[3 * j] = min(max(x[3 * i] + target * ux, 0.0), area)  # measured from where the first one could go
    x[3 * j + 1] = min(max(x[3 * i + 1] + target * uy, 0.0), area)


@njit(nogil=True, cache=True, error_model="numpy")
def _move_to_lattice(x: Any, lattice: Any) -> None:
    """Each UAV in turn takes the nearest lattice point that is still free."""
    n_uavs = x.shape[0] // 3
    taken = np.zeros(n_uavs, dtype=np.bool_)
    for m in range(n_uavs):
        nearest, smallest = 0, np.inf
        for point in range(n_uavs):
            dx = x[3 * m] - lattice[point, 0]
            dy = x[3 * m + 1] - lattice[point, 1]
            if not taken[point] and dx * dx + dy * dy < smallest:
                nearest, smallest = point, dx * dx + dy * dy
        taken[nearest] = True
        x[3 * m] = lattice[nearest, 0]
        x[3 * m + 1] = lattice[nearest, 1]

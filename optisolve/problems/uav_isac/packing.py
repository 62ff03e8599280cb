"""How far apart can M points stand in a square? Lattices that prove a separation feasible, and place stubborn rows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from optisolve.core.arrays import FloatArray, frozen

__all__ = ["lattice"]


@lru_cache(maxsize=64)
def lattice(n_points: int, area_m: float) -> tuple[FloatArray, float]:
    """Spread points over a square on the best of the square and the staggered lattices.

    Any stretch of a staggered lattice is tried, which contains the hexagonal one, the two opposite corners and the
    "four corners and the center". This is a sufficient construction: its spacing is a proven lower bound on the largest
    possible one, not always that maximum itself.

    Args:
        n_points: Number of points M, at least 1.
        area_m: Side of the square, m.

    Returns:
        float64 [M, 2] in [0, area_m]^2, read-only, and their smallest distance in m (infinite for one point), computed
        from the coordinates themselves.
    """
    if n_points == 1:
        return frozen([[area_m / 2, area_m / 2]]), math.inf
    best, spacing = np.empty((0, 2)), -1.0
    for n_rows in range(1, n_points + 1):
        for points in (_square(n_points, n_rows), _staggered(n_points, n_rows)):
            candidate = points * area_m
            distance = _smallest_distance(candidate)
            if distance > spacing:
                best, spacing = candidate, distance
    return frozen(best), spacing


def _square(n_points: int, n_rows: int) -> FloatArray:
    per_row = math.ceil(n_points / n_rows)
    x, y = np.meshgrid(_spread(per_row), _spread(n_rows))
    return np.stack([x.ravel(), y.ravel()], axis=1)[:n_points]


def _staggered(n_points: int, n_rows: int) -> FloatArray:
    """Rows alternate between points at 0, w, 2w, ... and at w/2, 3w/2, ...; the whole spans the unit square."""
    half_steps = max(1, math.ceil(2 * n_points / n_rows) - 1)
    while True:
        columns = np.arange(half_steps)
        rows = [columns[row % 2 :: 2] for row in range(n_rows)]
        if sum(len(row) for row in rows) >= n_points:
            break
        half_steps += 1
    x, y = _spread(half_steps), _spread(n_rows)
    return np.array([(x[column], y[row]) for row in range(n_rows) for column in rows[row]])[:n_points]


def _spread(count: int) -> FloatArray:
    return np.linspace(0.0, 1.0, count) if count > 1 else np.array([0.5])


def _smallest_distance(points: FloatArray) -> float:
    gap = points[:, None, :] - points[None, :, :]
    distance = np.sqrt(gap[:, :, 0] ** 2 + gap[:, :, 1] ** 2)
    np.fill_diagonal(distance, np.inf)
    return float(distance.min())

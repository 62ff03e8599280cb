"""Where UAVs may stand: null policies, which anybody would try first, and lattices, which prove a separation feasible."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from optisolve.core.arrays import FloatArray, frozen
from optisolve.problems.uav_isac.model import Constants

__all__ = ["drafts", "lattice", "with_equal_powers"]

_KMEANS_ROUNDS = 100


def drafts(c: Constants, users_m: FloatArray) -> dict[str, FloatArray]:
    """Placements with equal powers, before repair.

    Args:
        c: Constants of the scenario.
        users_m: float64 [K, 2], m.

    Returns:
        By name, each float64 [1, 3M].
    """
    placements = {
        "uniform_lattice": _uniform_lattice(c.n_uavs, c.area_m),
        "users_kmeans": _users_kmeans(c.n_uavs, users_m),
        "centroid_ring": _centroid_ring(c.n_uavs, users_m, c.altitude_m / math.sqrt(2.0)),
    }
    return {name: with_equal_powers(c, positions) for name, positions in placements.items()}


def with_equal_powers(c: Constants, positions: FloatArray) -> FloatArray:
    """Positions float64 [M, 2] in m and the same power everywhere, before repair; float64 [1, 3M]."""
    power = min(max(c.p_total_w / c.n_uavs, c.p_min_w), c.p_max_w)
    return np.column_stack([positions, np.full(len(positions), power)]).reshape(1, -1)


def _uniform_lattice(n_uavs: int, area_m: float) -> FloatArray:
    """Centers of equal cells, row by row; rows differ by at most one UAV."""
    n_rows = round(math.sqrt(n_uavs))
    sizes = [n_uavs // n_rows + (row < n_uavs % n_rows) for row in range(n_rows)]
    return np.array(
        [
            ((column + 0.5) / size * area_m, (row + 0.5) / n_rows * area_m)
            for row, size in enumerate(sizes)
            for column in range(size)
        ]
    )


def _users_kmeans(n_uavs: int, users_m: FloatArray) -> FloatArray:
    """Lloyd's algorithm from a farthest-point start: no chance involved."""
    centers = users_m.mean(axis=0, keepdims=True)  # [1, 2]
    for _ in range(n_uavs - 1):
        farthest = users_m[_squared_distances(users_m, centers).min(axis=1).argmax()]
        centers = np.concatenate([centers, farthest[None, :]])
    for _ in range(_KMEANS_ROUNDS):
        nearest = _squared_distances(users_m, centers).argmin(axis=1)  # [K]
        moved = np.array([users_m[nearest == m].mean(axis=0) if (nearest == m).any() else centers[m] for m in range(n_uavs)])
        if np.array_equal(moved, centers):
            break
        centers = moved
    return np.asarray(centers, dtype=np.float64)


def _centroid_ring(n_uavs: int, users_m: FloatArray, radius_m: float) -> FloatArray:
    """Evenly spaced on the ring around the users' centroid that is best for ranging it, R = H / sqrt(2)."""
    angles = 2.0 * np.pi * np.arange(n_uavs) / n_uavs
    ring: FloatArray = users_m.mean(axis=0) + radius_m * np.column_stack([np.cos(angles), np.sin(angles)])
    return ring


def _squared_distances(points: FloatArray, centers: FloatArray) -> FloatArray:
    """float64 [n points, n centers]."""
    gap = points[:, None, :] - centers[None, :, :]
    total: FloatArray = (gap**2).sum(axis=2)
    return total


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

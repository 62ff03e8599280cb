"""Weight vectors of the sub-problems and their neighborhoods."""

from __future__ import annotations

from math import comb

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["farthest_points", "lattice_size", "neighborhoods", "simplex_lattice", "spread_weights", "weight_vectors"]

_CANDIDATES_PER_WEIGHT = 20
_BLOCK_ROWS = 512
_MANY = 400
"""Weights from which on a search tree and boxes are faster than all distances."""
_BOX = 32
"""Points in a box."""
_UNROLLED = 8
"""Objectives from which on numpy sums in another order than one after the other."""
_ROUNDED = 12
"""Digits of a squared distance that count. Rounding merges what is equal in exact arithmetic, so that ties do not depend on the
machine."""


def weight_vectors(n_objectives: int, n: int) -> FloatArray:
    """Exactly n weight vectors on the unit simplex.

    The simplex lattice is used where it has exactly n points (always for two objectives), a spread subset of a fine
    lattice otherwise. One objective has the single weight 1 for every sub-problem.

    Args:
        n_objectives: Number of objectives m >= 1.
        n: Number of vectors, >= 1.

    Returns:
        float64 [n, m], rows sum to 1; the same on every machine.
    """
    if n_objectives == 1:
        return np.ones((n, 1))
    if n == 1:
        return np.full((1, n_objectives), 1.0 / n_objectives)
    partitions = _partitions_reaching(n_objectives, n)
    if lattice_size(n_objectives, partitions) == n:
        return simplex_lattice(n_objectives, partitions)
    return spread_weights(n_objectives, n)


def lattice_size(n_objectives: int, partitions: int) -> int:
    """Number of points of the simplex lattice with h partitions, C(h + m - 1, m - 1)."""
    return comb(partitions + n_objectives - 1, n_objectives - 1)


def simplex_lattice(n_objectives: int, partitions: int) -> FloatArray:
    """All weights whose entries are multiples of 1/h and sum to 1.

    Args:
        n_objectives: Number of objectives m >= 2.
        partitions: Number of divisions h >= 1 of each axis.

    Returns:
        float64 [C(h + m - 1, m - 1), m], in lexicographic order.

    Source: Das & Dennis, SIAM J. Optim. 8(3), 1998, doi 10.1137/S1052623496307510.
    """
    counts = np.arange(partitions + 1)[:, None]  # [h + 1, 1], first entry of each partial row
    for _ in range(n_objectives - 2):
        left = partitions - counts.sum(axis=1)  # what later entries may still use
        parent = np.repeat(np.arange(counts.shape[0]), left + 1)
        starts = np.repeat(np.cumsum(left + 1) - (left + 1), left + 1)
        entry = np.arange(parent.size) - starts
        counts = np.column_stack([counts[parent], entry])
    counts = np.column_stack([counts, partitions - counts.sum(axis=1)])
    return counts / float(partitions)


def spread_weights(n_objectives: int, n: int) -> FloatArray:
    """Any number n of weights, spread over the simplex by farthest-point selection.

    Starting from the first vertex, the candidate farthest from everything chosen so far is added until there are n;
    ties go to the lower index. Candidates are a fine lattice together with a copy drawn halfway to the center, since
    a coarse lattice in many dimensions lies on the boundary only.

    Args:
        n_objectives: Number of objectives m >= 2.
        n: Number of vectors, >= 1.

    Returns:
        float64 [n, m], rows sum to 1, sorted lexicographically.
    """
    fine = simplex_lattice(n_objectives, _partitions_reaching(n_objectives, _CANDIDATES_PER_WEIGHT * n))
    pool = np.concatenate([fine, 0.5 * fine + 0.5 / n_objectives])  # [c, m]
    weights = pool[farthest_points(pool, n)]
    return np.ascontiguousarray(weights[np.lexsort(weights.T[::-1])])


def farthest_points(points: FloatArray, n: int) -> IntArray:
    """The first point, then n - 1 times the one farthest from all chosen so far; of equally far ones the first.

    A new one changes distances near itself only. With many to choose, points are put into boxes, and boxes that are farther
    from it than any of their points is from the chosen ones are left alone; the points and their order are the same.

    Args:
        points: float64 [c, m].
        n: How many, 1 to c.

    Returns:
        int64 [n], indices in the order of choice.
    """
    if n >= _MANY and points.shape[1] < _UNROLLED:
        return _farthest_in_boxes(points, n)
    chosen = np.zeros(n, dtype=np.int64)
    distance = ((points - points[0]) ** 2).sum(axis=1)  # squared distance to the chosen set
    for k in range(1, n):
        chosen[k] = int(np.argmax(distance))
        np.minimum(distance, ((points - points[chosen[k]]) ** 2).sum(axis=1), out=distance)
    return chosen


def _farthest_in_boxes(points: FloatArray, n: int) -> IntArray:
    from scipy.spatial import cKDTree

    from optisolve.solvers.moead import kernels

    order = np.asarray(cKDTree(points, leafsize=_BOX).indices, dtype=np.int64)  # neighbors stand beside each other
    order = np.concatenate([np.sort(order[start : start + _BOX]) for start in range(0, order.size, _BOX)])
    chosen: IntArray = kernels.farthest(points, order, _BOX, n)
    return chosen


def neighborhoods(weights: FloatArray, size: int) -> IntArray:
    """The T sub-problems with the closest weights, each sub-problem first in its own row.

    With one objective all weights are equal, so the neighborhood is a stretch of a ring instead.

    Args:
        weights: float64 [N, m].
        size: Neighborhood size T <= N.

    Returns:
        int64 [N, T]; ties go to the lower index.
    """
    n, n_objectives = weights.shape
    if n_objectives == 1:
        steps = np.arange(size)
        offsets = np.where(steps % 2, (steps + 1) // 2, -(steps // 2))  # 0, 1, -1, 2, -2, ...
        ring: IntArray = (np.arange(n, dtype=np.int64)[:, None] + offsets.astype(np.int64)) % n
        return ring
    if n >= _MANY:
        return _nearest_by_tree(weights, size)
    squared = ((weights[:, None, :] - weights[None, :, :]) ** 2).sum(axis=2)  # [N, N]
    return np.argsort(np.round(squared, _ROUNDED), axis=1, kind="stable")[:, :size].astype(np.int64)


def _nearest_by_tree(weights: FloatArray, size: int) -> IntArray:
    """The same from a search tree: all within the distance of the last one, rounding allowed for, in the same order."""
    from scipy.spatial import cKDTree

    n = weights.shape[0]
    tree = cKDTree(weights)
    rows = np.empty((n, size), dtype=np.int64)
    for start in range(0, n, _BLOCK_ROWS):
        block = weights[start : start + _BLOCK_ROWS]
        last = np.asarray(tree.query(block, k=[size])[0])[:, 0]  # [block]
        near = tree.query_ball_point(block, np.sqrt(last**2 + 10.0 ** (1 - _ROUNDED)), return_sorted=True)
        for i, found in enumerate(near, start):
            others = np.array(found, dtype=np.int64)
            squared = np.round(((weights[i] - weights[others]) ** 2).sum(axis=1), _ROUNDED)
            rows[i] = others[np.argsort(squared, kind="stable")[:size]]
    return rows


def _partitions_reaching(n_objectives: int, n: int) -> int:
    """The smallest number of partitions whose lattice has at least n points."""
    partitions = 1
    while lattice_size(n_objectives, partitions) < n:
        partitions += 1
    return partitions

"""Points that a run has paid for: joined with new ones, ranked, the best of them."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.problem import Evaluation, Instance
from optisolve.core.solver import Known

__all__ = ["best_of", "joined"]


def joined(first: Known | None, X: FloatArray, evaluation: Evaluation) -> Known:
    """Known points and new ones with their values together."""
    if first is None:
        return Known(X, evaluation)
    old = first.evaluation
    failed: BoolArray | None = None
    if old.failed is not None or evaluation.failed is not None:
        masks = [np.zeros(e.F.shape[0], dtype=np.bool_) if e.failed is None else e.failed for e in (old, evaluation)]
        failed = np.concatenate(masks)
    F, G, H = (np.concatenate(pair) for pair in zip(old, evaluation, strict=True))
    return Known(np.concatenate([first.X, X]), Evaluation(F, G, H, failed, evaluation.tolerance))


def best_of(known: Known, instance: Instance, n: int) -> Known:
    """The best n of known points, best first: feasible ones by Pareto rank and crowding, then the least violating ones."""
    rows = _ranked(known.evaluation.F * instance.signs, known.evaluation.violation)[:n]
    e = known.evaluation
    part = Evaluation(e.F[rows], e.G[rows], e.H[rows], None if e.failed is None else e.failed[rows], e.tolerance)
    return Known(known.X[rows], part)


def _ranked(F: FloatArray, violation: FloatArray) -> IntArray:
    """Rows from best to worst, int64 [n]."""
    from moocore import pareto_rank

    feasible = violation <= 0.0
    rank = np.full(F.shape[0], F.shape[0], dtype=np.int64)
    crowded = np.zeros(F.shape[0])
    if F.shape[1] == 1:
        rank[feasible] = np.argsort(np.argsort(F[feasible, 0], kind="stable"), kind="stable")
    elif feasible.any():
        rank[feasible] = pareto_rank(F[feasible])
        for level in np.unique(rank[feasible]):
            rows = np.flatnonzero(feasible & (rank == level))
            crowded[rows] = -_crowding(F[rows])
    return np.lexsort((crowded, rank, violation))


def _crowding(F: FloatArray) -> FloatArray:
    """Crowding distance of the points of one rank, float64 [n]; ends are infinite."""
    distance = np.zeros(F.shape[0])
    for column in F.T:
        order = np.argsort(column, kind="stable")
        width = float(np.ptp(column)) or 1.0
        gaps = np.diff(column[order]) / width
        distance[order[1:-1]] += gaps[1:] + gaps[:-1]
        distance[order[[0, -1]]] = np.inf
    return distance

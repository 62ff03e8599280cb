"""Anytime curves: what was reached after how many evaluations."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Instance
from optisolve.evaluation.history import History
from optisolve.scoring.indicators import hypervolume_gains, hypervolume_trace

__all__ = ["checkpoints", "credit", "trace_rows"]


def checkpoints(n: int, count: int = 48) -> IntArray:
    """Log-spaced evaluation counts from 1 to n, at most `count`, int64, ascending."""
    if n == 0:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.rint(np.geomspace(1, n, count)).astype(np.int64))


def trace_rows(instance: Instance, history: History) -> list[list[float | None]]:
    """Rows (evaluations, seconds, value, smallest violation so far).

    The value is the hypervolume for several objectives and the best feasible objective, in its own sense, for one;
    None while nothing is feasible.
    """
    at = checkpoints(len(history))
    if at.size == 0:
        return []
    least = np.minimum.accumulate(history.violation)[at - 1]
    values = _values(instance, history, at)
    seconds = history.seconds_at(at)
    return [
        [int(n), round(float(s), 6), None if np.isnan(value) else float(value), float(v)]
        for n, s, value, v in zip(at, seconds, values, least, strict=True)
    ]


def credit(instance: Instance, history: History) -> dict[str, dict[str, float]]:
    """Offspring and what they gained by source, in order of first appearance.

    Returns:
        ``{source: {"evaluations": ..., "hypervolume_gain": ...}}``; the gains sum to the final hypervolume. For one
        objective ``objective_gain``: by how much the source improved the best feasible objective, >= 0.
    """
    if instance.hypervolume_box is not None:
        name = "hypervolume_gain"
        gains = hypervolume_gains(history.F_min, history.violation, instance.signs, instance.hypervolume_box)
    else:
        name = "objective_gain"
        best = np.minimum.accumulate(np.where(history.violation <= 0.0, history.F_min[:, 0], np.inf))
        gains = np.zeros(len(history))
        known = np.isfinite(best[:-1])  # the first feasible point improves on nothing
        gains[1:][known] = best[:-1][known] - best[1:][known]
    return {
        source: {"evaluations": int((history.source == code).sum()), name: float(gains[history.source == code].sum())}
        for code, source in enumerate(history.sources)
    }


def _values(instance: Instance, history: History, at: IntArray) -> FloatArray:
    if instance.hypervolume_box is not None:
        values = hypervolume_trace(history.F_min, history.violation, instance.signs, instance.hypervolume_box, at)
    else:
        best = np.minimum.accumulate(np.where(history.violation <= 0.0, history.F_min[:, 0], np.inf))[at - 1]
        values = best * instance.signs[0]
    feasible = np.logical_or.accumulate(history.violation <= 0.0)[at - 1]
    return np.where(feasible, values, np.nan)

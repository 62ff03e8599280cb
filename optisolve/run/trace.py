"""Anytime curves: what was reached after how many evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Instance
from optisolve.numerics.indicators import GainMeter, hypervolume_trace
from optisolve.run.evaluator import History
from optisolve.run.schema import SourcePart, TraceRow

__all__ = ["checkpoints", "common_beginning", "credit", "trace_rows"]

_NOTHING = {"tokens_in": 0, "tokens_out": 0, "usd": 0.0}


def checkpoints(n: int, count: int = 48) -> IntArray:
    """Log-spaced evaluation counts from 1 to n, at most `count`, int64, ascending."""
    if n == 0:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.rint(np.geomspace(1, n, count)).astype(np.int64))


def trace_rows(instance: Instance, history: History) -> list[TraceRow]:
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
        (int(n), round(float(s), 6), None if np.isnan(value) else float(value), float(v))
        for n, s, value, v in zip(at, seconds, values, least, strict=True)
    ]


def common_beginning(instance: Instance, history: History, trace: Sequence[TraceRow]) -> int:
    """Evaluations up to which the curve of an earlier run is that of a history: same values and violations, row by row."""
    n = min(trace[-1][0], len(history)) if trace else 0
    agreed = 0
    for row, again in zip(trace, trace_rows(instance, history.first(n)), strict=False):
        if (row[0], *row[2:]) != (again[0], *again[2:]):
            break
        agreed = row[0]
    return agreed


def credit(instance: Instance, history: History, report: Mapping[str, Any] | None = None) -> dict[str, SourcePart]:
    """What every source made, gained and cost, in order of first appearance.

    Args:
        instance: What was solved.
        history: Everything that was evaluated.
        report: The solver's report. A decomposition solver's ``survivors`` and, where a language model was asked, the
            ``spent`` of its operator are taken over.

    Returns:
        Evaluations and ``hypervolume_gain`` by source; the gains sum to the final hypervolume. For one objective
        ``objective_gain``: by how much the source improved the best feasible objective, >= 0. ``survivors``:
        offspring that replaced an incumbent, for sources of offspring. ``tokens_in``, ``tokens_out`` and ``usd`` of the
        calls that the source came from; they sum to the run's totals, if need be with the source ``"unused"``.
    """
    name = "objective_gain" if instance.hypervolume_box is None else "hypervolume_gain"
    gains = GainMeter(instance.signs, instance.hypervolume_box).add(history.F_min, history.violation)
    told: dict[str, dict[str, float]] = {
        source: {"evaluations": int((history.source == code).sum()), name: float(gains[history.source == code].sum())}
        for code, source in enumerate(history.sources)
    }
    report = report or {}
    for source, survivors in report.get("survivors", {}).items():
        if source in told:
            told[source]["survivors"] = survivors
    spent: Mapping[str, Mapping[str, float]] = report.get("operator", {}).get("spent", {})
    for source in [*told, *(source for source in spent if source not in told)] if spent else ():
        told.setdefault(source, {"evaluations": 0, name: 0.0}).update(spent.get(source, _NOTHING))
    return {source: SourcePart.model_validate(values) for source, values in told.items()}


def _values(instance: Instance, history: History, at: IntArray) -> FloatArray:
    if instance.hypervolume_box is not None:
        values = hypervolume_trace(history.F_min, history.violation, instance.signs, instance.hypervolume_box, at)
    else:
        best = np.minimum.accumulate(np.where(history.violation <= 0.0, history.F_min[:, 0], np.inf))[at - 1]
        values = best * instance.signs[0]
    feasible = np.logical_or.accumulate(history.violation <= 0.0)[at - 1]
    return np.where(feasible, values, np.nan)

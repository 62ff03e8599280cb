"""Judging gates like algorithm selectors: closed gap between single best and virtual best, the gate's own cost inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gate_training.runs import RunTable
from optisolve.core.arrays import FloatArray
from optisolve.study.intervals import mean_interval
from optisolve.study.portfolio import portfolio

__all__ = ["GateRow", "evaluate_choices", "gate_rows"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate's figures.

    Attributes:
        gate: Its name.
        instances: Instances that it was judged on.
        loss: Mean loss of its answers.
        closed_gap: 0 for the single best solver of the *training* instances, 1 for the virtual best; NaN when they coincide.
        low: Lower end of the 95 % interval of `closed_gap`; NaN where none can be given, e.g. of fewer than ten instances.
        high: Upper end.
        feasible: Share of answers that are feasible by verification.
        median_gap: Median certified gap of the answers that have a bound; None without any.
        evaluations: Mean evaluations.
        calls: Mean calls of a language model.
        tokens: Mean tokens of a language model.
        fallbacks: Share of runs in which the asked-for gate could not decide.
        seconds: Median seconds, a side figure.
    """

    gate: str
    instances: int
    loss: float
    closed_gap: float
    low: float
    high: float
    feasible: float
    median_gap: float | None
    evaluations: float
    calls: float
    tokens: float
    fallbacks: float
    seconds: float


def evaluate_choices(
    table: RunTable, single_best: str, losses: Mapping[str, FloatArray]
) -> dict[str, tuple[float, float, float]]:
    """Closed gap with its 95 % interval over instances, per gate.

    Args:
        table: Held-out instances with the experts' own losses.
        single_best: The best expert on the training instances.
        losses: float64 [n] per gate, loss of its answer on every instance, its own cost inside.

    Returns:
        ``(closed gap, low, high)``; NaN where single best and virtual best coincide. The interval is that of the mean of
        the ratio's linearization (delta method), see `optisolve.study.intervals.mean_interval`.
    """
    frame = table.frame()
    virtual = portfolio(frame).virtual_best_loss  # of the portfolio, not of the gates
    own = table.losses[:, table.experts.index(single_best)]
    span = float(own.mean()) - virtual
    width = own - table.losses.min(axis=1)
    told = {}
    for gate, values in losses.items():
        if span <= 0.0:
            told[gate] = (float("nan"),) * 3
            continue
        center = (float(own.mean()) - float(values.mean())) / span
        told[gate] = (center, *mean_interval(center + (own - values - center * width) / span))
    return told


def gate_rows(table: RunTable, single_best: str, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[GateRow]:
    """Rows of the gates' table, best first.

    Args:
        table: Held-out instances.
        single_best: The best expert on the training instances.
        runs: Per gate one mapping per instance: ``loss``, ``feasible`` (0 or 1), ``gap`` (NaN without a bound),
            ``evaluations``, ``calls``, ``tokens``, ``fallback`` (0 or 1), ``seconds``.
    """
    losses = {gate: np.array([run["loss"] for run in rows]) for gate, rows in runs.items()}
    closed = evaluate_choices(table, single_best, losses)
    made = []
    for gate, rows in runs.items():
        gaps = [run["gap"] for run in rows if np.isfinite(run["gap"])]
        made.append(
            GateRow(
                gate,
                len(rows),
                float(losses[gate].mean()),
                *closed[gate],
                feasible=float(np.mean([run["feasible"] for run in rows])),
                median_gap=float(np.median(gaps)) if gaps else None,
                evaluations=float(np.mean([run["evaluations"] for run in rows])),
                calls=float(np.mean([run["calls"] for run in rows])),
                tokens=float(np.mean([run["tokens"] for run in rows])),
                fallbacks=float(np.mean([run["fallback"] for run in rows])),
                seconds=float(np.median([run["seconds"] for run in rows])),
            )
        )
    return sorted(made, key=lambda row: (row.loss, row.gate))

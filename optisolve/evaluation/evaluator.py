"""The evaluator that solvers call: batched, budgeted, traced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.problem import Evaluation, Instance
from optisolve.core.solver import Outcome
from optisolve.core.status import Limit, Termination
from optisolve.core.watch import unwatched
from optisolve.evaluation.archive import Archive
from optisolve.evaluation.history import History

__all__ = ["Evaluator", "archived_outcome"]


class Evaluator:
    """Counts, traces and archives every evaluation of one run.

    Args:
        instance: What is evaluated.
        meter: Enforces the budget.
        on_progress: Called at most every `progress_s` seconds after a batch.
        progress_s: Smallest time between two progress calls, s.

    Attributes:
        archive: Non-dominated feasible points so far.
        history: Objectives, violations and sources of all points so far.
    """

    def __init__(
        self,
        instance: Instance,
        meter: BudgetMeter,
        *,
        on_progress: Callable[[Evaluator], None] | None = None,
        progress_s: float = 0.1,
    ) -> None:
        self.instance = instance
        self.meter = meter
        self.archive = Archive(len(instance.objectives), instance.space.dim)
        self.history = History(len(instance.objectives))
        self._on_progress = on_progress
        self._progress_s = progress_s
        self._next_progress = 0.0

    def __call__(self, X: FloatArray, *, source: str | Sequence[str] = "solver") -> Evaluation:
        """Evaluate a batch.

        Args:
            X: float64 [n, d], inside the bounds.
            source: Who proposed the points: one label, or one per row.

        Returns:
            The evaluation in the problem's own senses.

        Raises:
            BudgetExhausted: The batch does not fit; nothing was evaluated.
            ProblemError: A point is not usable; nothing was counted.
        """
        X = self.instance.space.require(X)
        with self.meter.shield(), unwatched():
            self.meter.charge_evaluations(X.shape[0])
            evaluation = self.instance.evaluate_checked(X)
            violation = evaluation.violation
            F_min = evaluation.F * self.instance.signs
            self.archive.add(X, F_min, violation)
            self.history.append(F_min, violation, source, self.meter.elapsed_s)
        if self._on_progress is not None:
            now = time.perf_counter()
            if now >= self._next_progress:
                self._next_progress = now + self._progress_s
                self._on_progress(self)
        return evaluation

    def outcome(
        self,
        termination: Termination,
        limit: Limit | None = None,
        *,
        detail: str = "",
        report: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """The outcome made of the archive; for one objective the best point, for several the front sorted by the first."""
        return archived_outcome(self.archive, termination, limit, detail=detail, report=report)


def archived_outcome(
    archive: Archive,
    termination: Termination,
    limit: Limit | None = None,
    *,
    detail: str = "",
    report: Mapping[str, Any] | None = None,
) -> Outcome:
    """The outcome made of an archive; for one objective the best point, for several the front sorted by the first."""
    X = archive.points
    if X.shape[0] == archive.F_min.shape[0]:
        X = X[np.argsort(archive.F_min[:, 0], kind="stable")]
    return Outcome(np.ascontiguousarray(X), termination, limit, detail, report=dict(report or {}))

"""The evaluator that solvers call: batched, budgeted, traced."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import BudgetExhausted, ProblemError
from optisolve.core.failures import Attempt, attempt, policy_of
from optisolve.core.problem import FAILED_VIOLATION, Evaluation, Instance
from optisolve.core.solver import Outcome
from optisolve.core.status import Limit, Termination
from optisolve.core.watch import unwatched
from optisolve.run.archive import Archive
from optisolve.run.history import History

__all__ = ["Evaluator", "archived_outcome"]

_UNSEEN = 1e6
"""Scales of an objective at which a failed point is put while no other one is known."""


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
        policy: What happens to points that the model cannot evaluate, see `Instance.on_failure`.
        failed: How many there were so far.
        first_failure: What was wrong with the first one.
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
        self.policy = policy_of(instance)
        self.failed, self.first_failure = 0, ""
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
            ProblemError: A point is not usable and nothing was counted; or the model cannot evaluate it, and the policy is
                ``"stop"``.
        """
        X = self.instance.space.require(X)
        with self.meter.shield(), unwatched():
            self._require_room_for_failures()
            self.meter.charge_evaluations(X.shape[0])
            made = attempt(self.instance, X, self.instance._evaluate)
            evaluation = self._failed(made) if made.message else made.evaluation
            violation, F_min = evaluation.violation, evaluation.F * self.instance.signs
            if made.message and self.policy == "skip":
                kept = ~made.failed
                labels = source if isinstance(source, str) else [s for s, keep in zip(source, kept, strict=True) if keep]
                self._keep(X[kept], F_min[kept], violation[kept], labels)
            else:
                self._keep(X, F_min, violation, source)
        if self._on_progress is not None:
            now = time.perf_counter()
            if now >= self._next_progress:
                self._next_progress = now + self._progress_s
                self._on_progress(self)
        return evaluation

    def _keep(self, X: FloatArray, F_min: FloatArray, violation: FloatArray, source: str | Sequence[str]) -> None:
        self.archive.add(X, F_min, violation)
        self.history.append(F_min, violation, source, self.meter.elapsed_s)

    def _failed(self, made: Attempt) -> Evaluation:
        """The evaluation of a batch with failed rows, as the policy wants it.

        A solver gets finite numbers that are worse than all it has seen, and a violation that no feasible point has.
        """
        count = int(made.failed.sum())
        self.failed += count
        self.first_failure = self.first_failure or made.message
        if self.policy == "stop":
            told = f"{self.instance.origin.scenario}: the model cannot evaluate a point: {made.message}."
            raise ProblemError(f"{told} With on_failure = 'penalize' it counts as a bad point.") from made.cause
        if self.policy == "skip":
            self.meter.refund_evaluations(count)
        F, G, H = (values.copy() for values in made.evaluation)
        known = [self.history.F_min[self.history.violation < FAILED_VIOLATION], F[~made.failed] * self.instance.signs]
        F[made.failed] = _worse_than(np.concatenate(known), self.instance) * self.instance.signs
        G[made.failed], H[made.failed] = FAILED_VIOLATION, 0.0
        return Evaluation(F, G, H, made.failed)

    def _require_room_for_failures(self) -> None:
        """Skipped points cost no budget, so a model that always fails would be asked for ever."""
        limit = self.meter.budget.evaluations
        if self.policy == "skip" and limit is not None and self.failed >= limit:
            raise BudgetExhausted(Limit.EVALUATIONS, f"{self.failed} points could not be evaluated")

    def __getstate__(self) -> dict[str, Any]:
        """Without the display of a run at work."""
        return {**self.__dict__, "_on_progress": None}

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


def _worse_than(F_min: FloatArray, instance: Instance) -> FloatArray:
    """A point worse than all of these in every objective, float64 [m], minimization form."""
    scale = np.array([objective.scale for objective in instance.objectives])
    if not F_min.shape[0]:
        return _UNSEEN * scale
    worst = F_min.max(axis=0)
    beyond: FloatArray = worst + np.maximum(worst - F_min.min(axis=0), scale)
    return beyond


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

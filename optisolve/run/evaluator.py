"""The evaluator that solvers call: batched, budgeted; all that was evaluated, the best of it, and how far it got when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import BudgetExhausted, ProblemError, RunStopped
from optisolve.core.evaluation import unwatched
from optisolve.core.failures import Attempt, WrongShape, attempt, hopeless_points, policy_of
from optisolve.core.problem import FAILED_VIOLATION, Evaluation, Instance
from optisolve.core.solver import Outcome
from optisolve.core.status import Limit, Termination
from optisolve.numerics.indicators import GainMeter, gain_totals, hypervolume_trace
from optisolve.run.archive import Archive, archived_outcome
from optisolve.run.pool import Unfinished
from optisolve.run.schema import SourcePart, TraceRow

__all__ = [
    "Evaluator",
    "History",
    "checkpoints",
    "credit",
    "trace_rows",
]

Points: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Points of a batch with their constraints: X [n, d], G [n, k], H [n, p]."""

KEPT_BYTES = 2**30
"""Most memory that the points of a history may take, bytes."""

_UNSEEN = 1e6
"""Scales of an objective at which a failed point is put while no other one is known."""


class Evaluator:
    """Counts, traces and archives every evaluation of one run.

    Args:
        instance: What is evaluated.
        meter: Enforces the budget.
        attempts: Evaluates a checked batch; the instance's own evaluation unless it is done elsewhere.
        hurry: Called by an interrupt in the middle of a batch, to cut it short, where `attempts` takes it apart.
        after: Called after every batch; may raise `RunStopped`.
        keep: Keep every point with its constraints in the history.

    Attributes:
        archive: Non-dominated feasible points so far, all or as many as the budget lets it keep.
        history: Objectives, violations and sources of all points so far.
        policy: What happens to points that the model cannot evaluate, see `Instance.on_failure`.
        failed: How many there were so far.
        first_failure: What was wrong with the first one.
        stopped: `after` has stopped the run; foreign code may swallow what was raised, so no batch follows.
    """

    def __init__(
        self,
        instance: Instance,
        meter: BudgetMeter,
        *,
        attempts: Callable[[FloatArray], Attempt] | None = None,
        hurry: Callable[[], object] | None = None,
        after: Callable[[Evaluator], None] | None = None,
        keep: bool = False,
    ) -> None:
        self.instance = instance
        self.meter = meter
        self.archive = Archive(len(instance.objectives), instance.space.dim, capacity=meter.budget.points)
        self.history = History(len(instance.objectives), keep=keep)
        self.policy = policy_of(instance)
        self.failed, self.first_failure = 0, ""
        self.stopped = False
        self._attempts, self._hurry, self._after = attempts, hurry, after

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
            RunStopped: Who watches the run has stopped it.
        """
        if self.stopped:
            raise RunStopped
        X = self.instance.space.require(X)
        with self.meter.shield(self._hurry or _nothing), unwatched():
            self.claim(X.shape[0])
            try:
                made = self._attempted(X)
            except Unfinished as end:
                self._keep_part(X, end, source)
                with suppress(RunStopped):  # it ends anyway
                    self.tell()
                if end.limit is None:
                    raise KeyboardInterrupt from None
                raise BudgetExhausted(end.limit, f"{self.meter.elapsed_s:.1f} s used, in the middle of a batch") from None
            evaluation = self._keep(X, made, source)
        self.tell()
        return evaluation

    @property
    def apart(self) -> bool:
        """Whether every point is a call of its own."""
        return self._hurry is not None

    def claim(self, n: int) -> None:
        """Count points that are about to be evaluated.

        Raises:
            BudgetExhausted: They do not fit.
        """
        self._require_room_for_failures()
        self.meter.charge_evaluations(n)

    def take(self, X: FloatArray, outcome: Attempt | WrongShape | MemoryError, source: str) -> Evaluation:
        """Take over a point, float64 [1, d], that was claimed before."""
        with unwatched():
            made = outcome if isinstance(outcome, Attempt) else self._hopeless(X, outcome)
            return self._keep(X, made, source)

    def tell(self) -> None:
        """Tell who watches the run.

        Raises:
            RunStopped: They have stopped it.
        """
        if self._after is not None:
            try:
                self._after(self)
            except RunStopped:
                self.stopped = True
                raise

    def _attempted(self, X: FloatArray) -> Attempt:
        if self._attempts is None:
            return attempt(self.instance, X, self.instance._evaluate)
        try:
            return self._attempts(X)
        except (WrongShape, MemoryError) as error:
            return self._hopeless(X, error)

    def _hopeless(self, X: FloatArray, error: WrongShape | MemoryError) -> Attempt:
        """Bad points, unless the same was wrong at every point so far."""
        if len(self.history) == 0 or (self.history.violation >= FAILED_VIOLATION).all():
            raise error
        return hopeless_points(self.instance, X, error)

    def _keep_part(self, X: FloatArray, end: Unfinished, source: str | Sequence[str]) -> None:
        """Count and keep the rows of a batch that were evaluated when the run was ended."""
        self.meter.refund_evaluations(X.shape[0] - end.rows.size)
        if end.made is not None:
            self._keep(X[end.rows], end.made, source if isinstance(source, str) else [source[i] for i in end.rows])

    def _keep(self, X: FloatArray, made: Attempt, source: str | Sequence[str]) -> Evaluation:
        """Take over what came of points, as the policy wants it."""
        evaluation = self._failed(made) if made.message else made.evaluation
        if made.message and self.policy == "stop" and not self.apart:  # it went out whole
            self._end(made, 0)
        violation, F_min = evaluation.violation, evaluation.F * self.instance.signs
        points = (X, evaluation.G, evaluation.H)
        if evaluation.failed is not None and self.policy != "penalize":
            kept = ~evaluation.failed
            if not isinstance(source, str):
                source = [label for label, keep in zip(source, kept, strict=True) if keep]
            F_min, violation = F_min[kept], violation[kept]
            points = (X[kept], evaluation.G[kept], evaluation.H[kept])
        self.archive.add(points[0], F_min, violation)
        self.history.append(F_min, violation, source, self.meter.elapsed_s, points=points)
        if made.message and self.policy == "stop":
            self._end(made, int(made.failed.sum()))
        return evaluation

    def _end(self, made: Attempt, lost: int) -> None:
        """End the run at a failed point, as the policy wants it; the others of a batch that went out point by point are kept.

        Args:
            made: What came of the batch.
            lost: Points of it that are not kept.
        """
        self.meter.refund_evaluations(lost)
        told = f"{self.instance.origin.scenario}: the model cannot evaluate a point: {made.message}."
        raise ProblemError(f"{told} With on_failure = 'penalize' it counts as a bad point.") from made.cause

    def _failed(self, made: Attempt) -> Evaluation:
        """The evaluation of a batch with failed rows, as the policy wants it.

        A solver gets finite numbers that are worse than all it has seen, and a violation that no feasible point has.
        """
        count = int(made.failed.sum())
        self.failed += count
        self.first_failure = self.first_failure or made.message
        if self.policy == "skip":
            self.meter.refund_evaluations(count)
        F, G, H = (values.copy() for values in made.evaluation)
        known = [self.history.F_min[self.history.violation < FAILED_VIOLATION], F[~made.failed] * self.instance.signs]
        F[made.failed] = _worse_than(np.concatenate(known), self.instance) * self.instance.signs
        G[made.failed], H[made.failed] = FAILED_VIOLATION, 0.0
        return self.instance.judged(Evaluation(F, G, H, made.failed))

    def _require_room_for_failures(self) -> None:
        """Skipped points cost no budget, so a model that always fails would be asked for ever."""
        limit = self.meter.budget.evaluations
        if self.policy == "skip" and limit is not None and self.failed >= limit:
            raise BudgetExhausted(Limit.EVALUATIONS, f"{self.failed} points could not be evaluated")

    def __getstate__(self) -> dict[str, Any]:
        """Without who watches a run at work, and who evaluates for it."""
        return {**self.__dict__, "_after": None, "_attempts": None, "_hurry": None}

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


def _nothing() -> None:
    """No batch to cut short."""


def _worse_than(F_min: FloatArray, instance: Instance) -> FloatArray:
    """A point worse than all of these in every objective, float64 [m], minimization form."""
    scale = np.array([objective.scale for objective in instance.objectives])
    if not F_min.shape[0]:
        return _UNSEEN * scale
    worst = F_min.max(axis=0)
    beyond: FloatArray = worst + np.maximum(worst - F_min.min(axis=0), scale)
    return beyond


class History:
    """Objectives, violations and sources of all evaluated points, in evaluation order.

    Args:
        n_objectives: Number of objectives m.
        keep: Keep the points and their constraints as well.

    Attributes:
        sources: Labels of those who proposed points.
        points: Batches of points with their constraints; None where they are not kept.
    """

    def __init__(self, n_objectives: int, *, keep: bool = False) -> None:
        self._F = np.empty((1024, n_objectives))
        self._violation = np.empty(1024)
        self._source = np.empty(1024, dtype=np.int64)
        self._n = 0
        self._clock: list[tuple[int, float]] = []
        self.sources: list[str] = []
        self.points: list[Points] | None = [] if keep else None
        self._kept = 0

    def __len__(self) -> int:
        return self._n

    @property
    def batches(self) -> int:
        """How many batches there were."""
        return len(self._clock)

    def append(
        self,
        F_min: FloatArray,
        violation: FloatArray,
        source: str | Sequence[str],
        elapsed_s: float,
        *,
        points: Points | None = None,
    ) -> None:
        """Add a batch: F_min float64 [n, m] in minimization form, violation float64 [n].

        Raises:
            MemoryError: The points that are kept take more than `KEPT_BYTES`; the batch is in the history nevertheless.
        """
        n = F_min.shape[0]
        while self._n + n > self._violation.size:
            self._grow()
        block = slice(self._n, self._n + n)
        self._F[block] = F_min
        self._violation[block] = violation
        self._source[block] = self._code(source) if isinstance(source, str) else [self._code(s) for s in source]
        self._n += n
        self._clock.append((self._n, elapsed_s))
        if self.points is not None and points is not None:
            self.points.append((points[0].copy(), points[1].copy(), points[2].copy()))
            self._kept += sum(part.nbytes for part in points)
            if self._kept > KEPT_BYTES:
                raise MemoryError(f"history = 'all' has filled {KEPT_BYTES / 2**30:g} GiB with {self._n:,} points")

    @property
    def F_min(self) -> FloatArray:
        """float64 [n, m], minimization form."""
        return self._F[: self._n]

    @property
    def violation(self) -> FloatArray:
        """float64 [n], total violation of each point."""
        return self._violation[: self._n]

    @property
    def source(self) -> IntArray:
        """int64 [n], index into `sources`."""
        return self._source[: self._n]

    def seconds_at(self, evaluations: IntArray) -> FloatArray:
        """Elapsed time when each evaluation count was reached, float64, s."""
        counts = np.array([n for n, _ in self._clock])
        times = np.array([t for _, t in self._clock])
        return times[np.searchsorted(counts, evaluations)]

    def seconds_by_source(self) -> dict[str, float]:
        """Time from the end of the batch before to the end of each batch, split evenly over its points, by source, s."""
        ends = np.array([n for n, _ in self._clock], dtype=np.int64)
        spent = np.maximum(np.diff(np.array([0.0, *(t for _, t in self._clock)])), 0.0)  # a clock may begin anew
        sizes = np.diff(np.concatenate([[0], ends]))
        each = np.repeat(spent / np.maximum(sizes, 1), sizes)
        total = np.bincount(self.source, each, minlength=len(self.sources))
        return {source: float(seconds) for source, seconds in zip(self.sources, total, strict=True)}

    def first(self, n: int) -> History:
        """The first n points as a history of their own."""
        part = History(self._F.shape[1])
        part._F, part._violation, part._source, part._n = self._F[:n], self._violation[:n], self._source[:n], n
        part._clock, part.sources = self._clock, self.sources
        return part

    def _code(self, source: str) -> int:
        if source not in self.sources:
            self.sources.append(source)
        return self.sources.index(source)

    def _grow(self) -> None:
        self._F = np.concatenate([self._F, np.empty_like(self._F)])
        self._violation = np.concatenate([self._violation, np.empty_like(self._violation)])
        self._source = np.concatenate([self._source, np.empty_like(self._source)])


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
    counts = np.bincount(history.source, minlength=len(history.sources)).tolist()
    told: dict[str, dict[str, float]] = {
        source: {"evaluations": count, name: gain}
        for source, count, gain in zip(history.sources, counts, _gains(instance, history, counts), strict=True)
    }
    report = report or {}
    for source, survivors in report.get("survivors", {}).items():
        if source in told:
            told[source]["survivors"] = survivors
    spent: Mapping[str, Mapping[str, float]] = report.get("operator", {}).get("spent", {})
    for source in [*told, *(source for source in spent if source not in told)] if spent else ():
        told.setdefault(source, {"evaluations": 0, name: 0.0}).update(spent.get(source, _NOTHING))
    return {source: SourcePart.model_validate(values) for source, values in told.items()}


def _gains(instance: Instance, history: History, counts: Sequence[int]) -> list[float]:
    """What every source gained."""
    box, source, ends = instance.hypervolume_box, history.source, np.cumsum(counts)
    if box is not None and instance.signs.size > 2 and (np.diff(source) >= 0).all():  # one after the other
        runs = [(int(end) - count, int(end)) for end, count in zip(ends, counts, strict=True)]
        return gain_totals(history.F_min, history.violation, instance.signs, box, runs)
    gains = GainMeter(instance.signs, box).add(history.F_min, history.violation)
    return [float(gains[source == code].sum()) for code in range(len(counts))]


def _values(instance: Instance, history: History, at: IntArray) -> FloatArray:
    if instance.hypervolume_box is not None:
        values = hypervolume_trace(history.F_min, history.violation, instance.signs, instance.hypervolume_box, at)
    else:
        best = np.minimum.accumulate(np.where(history.violation <= 0.0, history.F_min[:, 0], np.inf))[at - 1]
        values = best * instance.signs[0]
    feasible = np.logical_or.accumulate(history.violation <= 0.0)[at - 1]
    return np.where(feasible, values, np.nan)

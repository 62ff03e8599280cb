"""What solvers with a model of the objectives share: a start, then points that the model proposes, each evaluated once."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Evaluation
from optisolve.core.repair import equality_repair
from optisolve.core.solver import Outcome, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.solvers.start import StartOptions, first_points, starting_points

__all__ = ["Model", "ModelBased", "Points"]

_MANY_CONSTRAINTS = 8
"""Constraints that a model has one by one; of more, the largest violation."""
_DIGITS = 9
"""Digits of variables scaled to [0, 1] to which points are the same point."""
_TRIES, _SAMPLES = 4, 64
"""Rounds of random points, and points per round, in which one that is not known is looked for."""


class Points:
    """All points of a run with their values.

    Args:
        task: The run.
        repair: Project points with `Instance.project`; otherwise they are only clipped.

    Attributes:
        X: float64 [n, d], as evaluated.
        U: float64 [n, d], the same in the unit box.
        F: float64 [n, m], to be minimized.
        G: float64 [n, k], inequalities and absolute equalities less their tolerance: above 0 misses.
        violation: float64 [n].
        failed: bool [n], points that the model could not evaluate.
    """

    def __init__(self, task: Task, repair: bool) -> None:
        self._task, self._repair, self._instance = task, repair, task.instance
        d, m, k = task.instance.space.dim, len(task.instance.objectives), task.instance.tolerance.size
        self.X, self.U, self.F = np.empty((0, d)), np.empty((0, d)), np.empty((0, m))
        self.G, self.violation, self.failed = np.empty((0, k)), np.empty(0), np.empty(0, dtype=np.bool_)
        self._keys = set[bytes]()

    def learn(self, X: FloatArray, evaluation: Evaluation) -> None:
        """Take over points that were evaluated, float64 [n, d]."""
        n, misses = X.shape[0], np.concatenate([evaluation.G, np.abs(evaluation.H)], axis=1)
        failed = np.zeros(n, dtype=np.bool_) if evaluation.failed is None else evaluation.failed
        self.X = np.concatenate([self.X, X])
        self.U = np.concatenate([self.U, self._instance.space.normalize(X)])
        self.F = np.concatenate([self.F, evaluation.F * self._instance.signs])
        self.G = np.concatenate([self.G, misses - self._instance.tolerance])
        self.violation = np.concatenate([self.violation, evaluation.violation])
        self.failed = np.concatenate([self.failed, failed])
        self._keys.update(self._keys_of(X))

    def evaluate(self, X: FloatArray, source: list[str]) -> None:
        """Evaluate points as they are, float64 [n, d], and learn their values."""
        self.learn(X, self._task.evaluate(X, source=source))

    def repaired(self, X: FloatArray) -> FloatArray:
        """Points as they are evaluated, float64 [n, d]."""
        return self._instance.project(X) if self._repair else self._instance.space.clip(X)

    def foreseen(self, U: FloatArray) -> FloatArray:
        """Points of the unit box as they would be evaluated, float64 [n, d], as far as that costs no evaluations."""
        X = self._instance.space.denormalize(U)
        return self._instance.space.normalize(self._instance.space.clip(X) if self._looks else self.repaired(X))

    def fresh(self, X: FloatArray, source: str, count: int, rng: np.random.Generator) -> tuple[FloatArray, list[str]]:
        """Proposals repaired, those that are known already replaced by random points.

        Args:
            X: float64 [n, d], n <= count.
            source: Who proposed them.
            count: Points wanted.
            rng: Source of randomness.

        Returns:
            float64 [<= count, d] and a label each; fewer where no unknown point was found.
        """
        new = self._unknown(self.repaired(X)) if X.shape[0] else X
        n = new.shape[0]
        for _ in range(_TRIES):
            if new.shape[0] >= count:
                break
            more = self.repaired(self._instance.space.sample(rng, count if self._looks else max(count, _SAMPLES)))
            new = self._unknown(np.concatenate([new, more]))[:count]
        return new, [source] * n + ["random"] * (new.shape[0] - n)

    def violated(self) -> tuple[FloatArray, int]:
        """What a model of the constraints is made of: those that any point has violated; of more than eight, the largest.

        Returns:
            float64 [n, k], above 0 misses, and how many constraints were violated so far.
        """
        seen = self.G[~self.failed]
        columns = np.flatnonzero((seen > 0.0).any(axis=0))
        few = columns.size <= _MANY_CONSTRAINTS
        return self.G[:, columns] if few else self.G.max(axis=1, keepdims=True), columns.size

    @property
    def _looks(self) -> bool:
        """Whether a repair costs evaluations, as it looks at equalities that are not linear."""
        instance = self._instance
        asks = self._repair and bool(instance.equality_names) and instance.repairs_by_default
        return asks and not equality_repair(instance).linear.all()

    def _unknown(self, X: FloatArray) -> FloatArray:
        """The points that are neither known nor a repetition, float64 [<= n, d]."""
        keys = self._keys_of(X)
        new: BoolArray = np.array([k not in self._keys and keys.index(k) == i for i, k in enumerate(keys)], dtype=np.bool_)
        return X[new]

    def _keys_of(self, X: FloatArray) -> list[bytes]:
        return [u.tobytes() for u in np.round(self._instance.space.normalize(X), _DIGITS) + 0.0]  # -0.0 is 0.0


class Model(Protocol):
    """What proposes points."""

    def propose(self, count: int) -> FloatArray:
        """Points worth evaluating, float64 [<= count, d], in the space's units, not repaired."""
        ...

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        ...


@dataclass(frozen=True, slots=True)
class ModelBased(StartOptions):
    """Base of solvers that evaluate a few points first and then what a model of the objectives proposes.

    Points are repaired before they are evaluated, and the model learns them as they were evaluated. A proposal that is known
    already gives way to a random point; where no unknown point is found the run ends.

    Args:
        n_initial: Points evaluated first.
        batch_size: Points proposed per step.
        repair: Project proposals with `Instance.project`; otherwise they are only clipped to the bounds.
    """

    n_initial: Annotated[int, Ge(2)] | None = None
    batch_size: Annotated[int, Ge(1), Le(64)] | None = None
    repair: bool = True

    @abstractmethod
    def _model(self, task: Task, points: Points) -> Model:
        """The model of a run; heavy libraries are imported here, not at the top of a module."""

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        points = Points(task, self.repair)
        model, steps, random = self._model(task, points), 0, 0

        def report() -> JsonObject:
            return {"steps": steps, "random": random, **model.report()}

        task.reporter = report
        self._begin(task, points)
        while (left := task.meter.remaining_evaluations) > 0:
            count = min(left, self.batch_size or 1 + points.X.shape[0] // 100)
            known = int((~points.failed).sum()) >= 2  # of less there is nothing to learn
            X = model.propose(count) if known else np.empty((0, points.X.shape[1]))
            X, source = points.fresh(X, self.info.name, count, task.rng(step=steps, purpose="random"))
            if X.shape[0] == 0:
                return task.outcome(Termination.LIMIT, Limit.STALLED, report=report())
            steps, random = steps + 1, random + source.count("random")
            points.evaluate(X, source)
        return task.outcome(Termination.LIMIT, spent_limit(task), report=report())

    def _begin(self, task: Task, points: Points) -> None:
        left, d = task.meter.remaining_evaluations, task.instance.space.dim
        wanted = self.n_initial or first_points(task, self, max(4, min(2 * (d + 1), left // 4)))
        start = starting_points(task, self, max(wanted, task.start.shape[0]))
        if start.known is not None:
            points.learn(start.known.X, start.known.evaluation)
        if start.X.shape[0] and left > 0:
            points.evaluate(points.repaired(start.X[:left]), start.source[:left])

"""ParEGO and its successors: a Gaussian process per objective says where a point is worth paying for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy.optimize import minimize
from scipy.special import log_ndtr

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Evaluation, Instance
from optisolve.core.repair import equality_repair
from optisolve.core.solver import Flight, Outcome, SolverInfo, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.numerics.gaussian_process import GaussianProcess
from optisolve.solvers.moead.scalarize import dominated
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.parego.acquisition import Acquisition, Goal, Warp
from optisolve.solvers.start import Init, StartOptions, first_points, sobol, starting_points

__all__ = ["Parego"]

_N_GLOBAL, _N_LOCAL, _N_REFINED = 256, 256, 64
"""Candidates of the space, around good points, and of each round of refinement."""
_ROUNDS, _MORE_ROUNDS = (0.05, 0.001), (0.05, 0.015, 0.004, 0.001)
"""Standard deviations around the best candidates of each round of refinement, with and without a gradient to climb."""
_STARTS, _CLIMB = 6, 30
"""Best candidates that climb the acquisition's gradient together, and iterations."""
_STEPS = (0.2, 0.05, 0.01)
"""Standard deviations of local candidates, shares of a variable's range."""
_MANY_CONSTRAINTS = 8
"""Constraints with a process of their own; of more, the largest violation has one."""
_ASIDE = 8
"""On the way to the scoring box every so many-th step improves the front wherever it is: the box may be out of reach."""
_REFIT = 1.1
"""Lengths are fitted again when there are this many times more points."""
_DIGITS = 9
"""Digits of variables scaled to [0, 1] to which points are the same point."""


@dataclass(frozen=True, slots=True)
class Parego(StartOptions):
    """Bayesian optimization with one Gaussian process per objective, for tens to hundreds of evaluations.

    Every constraint that was violated has a process as well. A step takes the point with the largest expected improvement of
    the front's hypervolume (or, as in ParEGO, of the Tchebycheff value of a drawn preference), times the probability that it is
    feasible; points of the same step are pending for each other. The hypervolume ends at the corner of the instance's scoring
    box; while no point lies in it, seven of eight steps seek the way there. Candidates are repaired before they are judged.

    Args:
        init: Where the first points come from, see `StartOptions`; ``auto`` ends with points of a Sobol sequence.
        acquisition: What is to be improved: the ``"hypervolume"``, or a preference's ``"tchebycheff"`` value.
        n_initial: Points known or evaluated before the first fit; None means 2 (d + 1), at most a quarter of the budget.
        batch_size: Points proposed per step; None means one, and one more per hundred points known.
        max_points: Most points that a process is fitted to, whose time grows with their cube; beyond, the best and some others.
        max_variables: Most variables it accepts: distances in more say little.
        n_preferences: Evenly spread weight vectors that are drawn from; several objectives only.
        repair: Project candidates with `Instance.project`; otherwise they are only clipped to the bounds.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="parego",
        version="1",
        summary="Bayesian optimization with a Gaussian process per objective: the method for tens to hundreds of evaluations.",
        citation="Knowles 2006, doi 10.1109/TEVC.2005.851274; Emmerich et al. 2016, doi 10.1007/978-3-319-29975-4_8",
        steady=True,
    )
    fills: ClassVar[str] = "sobol"
    init: Init = ("auto",)
    acquisition: Acquisition = "hypervolume"
    n_initial: Annotated[int, Ge(2)] | None = None
    batch_size: Annotated[int, Ge(1), Le(64)] | None = None
    max_points: Annotated[int, Ge(20), Le(2000)] = 400
    max_variables: Annotated[int, Gt(0)] = 60
    n_preferences: Annotated[int, Ge(2)] = 64
    repair: bool = True

    def skip(self, instance: Instance) -> str | None:
        """Why this solver cannot treat an instance here; too many variables are a reason."""
        if instance.space.dim > self.max_variables:
            return (
                f"parego treats at most max_variables={self.max_variables} variables, this has {instance.space.dim}; "
                "moead_de, nsga2 or cma_es take as many as there are"
            )
        return StartOptions.skip(self, instance)

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        search = _Search(task, self)
        task.reporter = search.report
        with _one_thread():
            search.initialize()
            if task.flight is not None:
                search.fly(task.flight)
            while task.meter.remaining_evaluations > 0:
                if not search.step():
                    return task.outcome(Termination.LIMIT, Limit.STALLED, report=search.report())
        return task.outcome(Termination.LIMIT, spent_limit(task), report=search.report())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of matrix products, and with them every later point, would depend on the number of threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


@dataclass(slots=True)
class _Surrogates:
    """What the processes say of candidates.

    Args:
        objectives: One process per objective, of warped values.
        constraints: One per constraint that matters.
        levels: float64 [k], values up to which those count as satisfied.
    """

    objectives: list[GaussianProcess]
    constraints: list[GaussianProcess]
    levels: FloatArray

    def predict(self, U: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means and deviations of the objectives, float64 [n, m], and logarithms of the probability of feasibility, [n]."""
        means, deviations = zip(*(process.predict(U) for process in self.objectives), strict=True)
        log_feasible = np.zeros(U.shape[0])
        for process, level in zip(self.constraints, self.levels, strict=True):
            mean, deviation = process.predict(U)
            log_feasible += log_ndtr((level - mean) / deviation)
        return np.stack(means, axis=1), np.stack(deviations, axis=1), log_feasible

    def believing(self, u: FloatArray) -> _Surrogates:
        """The same with a pending point."""
        objectives, constraints = ([process.believing(u) for process in group] for group in (self.objectives, self.constraints))
        return _Surrogates(objectives, constraints, self.levels)


@dataclass(frozen=True, slots=True)
class _Sought:
    """What candidates are judged by: the acquisition.

    Args:
        surrogates: What is believed.
        goal: What is improved on.
        weight: float64 [m], the preference.
    """

    surrogates: _Surrogates
    goal: Goal
    weight: FloatArray

    def value(self, U: FloatArray) -> FloatArray:
        """Its logarithm, float64 [n]."""
        mean, deviation, log_feasible = self.surrogates.predict(U)
        total: FloatArray = log_feasible + self.goal.judged(mean, deviation, self.weight).value
        return total

    def climbed(self, U: FloatArray) -> FloatArray:
        """Points of the unit box from which it rises no further, float64 [k, d], all found in one descent."""
        shape = U.shape

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self._slopes(flat.reshape(shape))
            return -float(value.sum()), -gradient.ravel()

        best = minimize(
            loss,
            U.ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * U.size,
            options={"maxiter": _CLIMB, "ftol": 1e-6},
        )
        return np.clip(np.asarray(best.x, dtype=np.float64).reshape(shape), 0.0, 1.0)

    def _slopes(self, V: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logarithm of the acquisition, float64 [k], and its gradient, float64 [k, d]."""
        parts = [process.slopes(V) for process in self.surrogates.objectives]
        mean, deviation = (np.stack([part[i] for part in parts], axis=1) for i in (0, 1))
        value, by_mean, by_deviation = self.goal.judged(mean, deviation, self.weight, gradient=True)
        gradient = np.zeros_like(V)
        for j, part in enumerate(parts):
            gradient += by_mean[:, j, None] * part[2] + by_deviation[:, j, None] * part[3]
        for process, level in zip(self.surrogates.constraints, self.surrogates.levels, strict=True):
            at, width, at_slope, width_slope = process.slopes(V)
            z = (level - at) / width
            log_feasible = log_ndtr(z)
            ratio = np.exp(-0.5 * z * z - log_feasible) / math.sqrt(2.0 * math.pi) / width
            value = value + log_feasible
            gradient -= ratio[:, None] * (at_slope + z[:, None] * width_slope)
        return value, gradient


class _Search:
    """One run."""

    def __init__(self, task: Task, options: Parego) -> None:
        self._task, self._options, self._space = task, options, task.instance.space
        d, m = self._space.dim, len(task.instance.objectives)
        self._U, self._F, self._violation = np.empty((0, d)), np.empty((0, m)), np.empty(0)
        self._G, self._failed = np.empty((0, task.instance.tolerance.size)), np.empty(0, dtype=np.bool_)
        self._weights = weight_vectors(m, options.n_preferences) if m > 1 else np.ones((1, 1))
        self._box = task.instance.hypervolume_box
        reference, ideal = (np.zeros(m), -np.ones(m)) if self._box is None else (self._box.reference, self._box.ideal)
        self._corner = np.asarray(reference) * task.instance.signs
        self._width = np.abs(np.subtract(reference, ideal))
        self._seen: set[bytes] = set()
        self._theta: dict[str, FloatArray] = {}
        self._fitted_at = self._steps = self._fits = self._random = 0

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        return {"steps": self._steps, "fits": self._fits, "random": self._random}

    def initialize(self) -> None:
        """Take over what is known, and evaluate what is missing of the first points."""
        task, left = self._task, self._task.meter.remaining_evaluations
        wanted = self._options.n_initial
        if wanted is None:
            wanted = first_points(task, self._options, max(4, min(2 * (self._space.dim + 1), left // 4)))
        start = starting_points(task, self._options, min(left, max(wanted, task.start.shape[0])))
        if start.known is not None:
            self._learn(start.known.X, start.known.evaluation)
        if start.source:
            self._evaluate(start.X, start.source)

    def step(self) -> bool:
        """Propose and evaluate one batch; False when every point of the space is known."""
        task, options = self._task, self._options
        rng = task.rng(step=self._steps)
        count = options.batch_size or 1 + self._U.shape[0] // 100
        count = min(count, task.meter.remaining_evaluations)
        if (~self._failed).sum() < 2:  # nothing to learn from
            X, source = self._space.sample(rng, count), "random"
            self._random += count
        else:
            U = self._proposals(count, rng)
            X, source = self._space.denormalize(U), "surrogate"
        self._steps += 1
        if X.shape[0] == 0:
            return False
        self._evaluate(X, [source] * X.shape[0])
        return True

    def fly(self, flight: Flight) -> None:
        """All steps of a run without batches: a free worker gets the best point, the others being pending for it."""
        pending = list[FloatArray]()
        known = True
        while flight.airborne or (flight.room and known):
            while flight.room and known:
                rng, source = self._task.rng(step=self._steps), "surrogate"
                if (~self._failed).sum() < 2:
                    X, source = self._space.sample(rng, 1), "random"
                    self._random += 1
                else:
                    X = self._space.denormalize(self._proposals(1, rng, pending))
                self._steps += 1
                if known := X.shape[0] > 0:
                    X = self._repaired(X)
                    pending.append(u := self._space.normalize(X)[0])
                    flight.send(X, source=source, tag=u)
            for landed in flight.land() if flight.airborne else ():
                pending = [u for u in pending if u is not landed.tag]
                self._learn(landed.X, landed.evaluation)

    def _evaluate(self, X: FloatArray, source: list[str]) -> None:
        X = self._repaired(X)
        self._learn(X, self._task.evaluate(X, source=source))

    def _learn(self, X: FloatArray, evaluation: Evaluation) -> None:
        """Take over points and their values."""
        G = _misses(evaluation)
        U = self._space.normalize(X)
        self._U = np.concatenate([self._U, U])
        self._seen.update(_keys(U))
        self._F = np.concatenate([self._F, evaluation.F * self._task.instance.signs])
        self._violation = np.concatenate([self._violation, evaluation.violation])
        self._G = np.concatenate([self._G, G])
        failed = np.zeros(X.shape[0], dtype=np.bool_) if evaluation.failed is None else evaluation.failed
        self._failed = np.concatenate([self._failed, failed])

    def _repaired(self, X: FloatArray) -> FloatArray:
        return self._task.instance.project(X) if self._options.repair else self._space.clip(X)

    def _as_evaluated(self, X: FloatArray) -> FloatArray:
        """Candidates as they would be evaluated, as far as that costs no evaluations (non-linear equalities are looked at)."""
        instance = self._task.instance
        asks = bool(instance.equality_names) and instance.repairs_by_default and not equality_repair(instance).linear.all()
        return self._space.clip(X) if asks else self._repaired(X)

    def _proposals(self, count: int, rng: np.random.Generator, pending: Sequence[FloatArray] = ()) -> FloatArray:
        """Points worth evaluating, float64 [<= count, d], in the unit box and repaired.

        Args:
            count: How many.
            rng: Source of randomness.
            pending: Points that are on their way, float64 [d] each.
        """
        kept = self._kept(rng)
        feasible, known, proposed = self._violation[kept] <= 0.0, self._U[kept], list(pending)
        if not feasible.any():  # on the way to a first feasible point every point counts, by what it misses
            name, F, feasible = "missed", self._missed(kept), np.ones_like(feasible)
        elif self._is_far(self._F[kept][feasible]) and self._steps % _ASIDE:
            name, F = "beyond", np.maximum((self._F[kept] - self._corner) / self._width, 0.0).sum(axis=1, keepdims=True)
        else:
            name, F = "f", self._F[kept]
        warp = Warp.of(F[feasible] if feasible.sum() >= 4 else F)
        unit = warp.unit(F)
        surrogates = self._fit(kept, Warp.warped(unit), name)
        corner = None if name != "f" or self._box is None else warp.unit(self._corner)
        goal = Goal.of(unit[feasible], self._options.acquisition, rng, corner)
        front = known[feasible][~dominated(F[feasible])]
        weights = self._weights if name == "f" else np.ones((1, 1))
        for under_way in pending:
            goal = goal.with_point(Warp.unwarped(surrogates.predict(under_way[None, :])[0][0]))
            surrogates = surrogates.believing(under_way)
        for weight in weights[rng.permutation(len(weights))[np.arange(count) % len(weights)]]:
            order = np.lexsort((goal.scalar(unit, weight), ~feasible))
            centers = np.concatenate([known[order[:4]], front])
            u = self._maximized(_Sought(surrogates, goal, weight), centers, rng, proposed)
            if u is None:
                break
            proposed.append(u)
            if len(proposed) < len(pending) + count:
                goal = goal.with_point(Warp.unwarped(surrogates.predict(u[None, :])[0][0]))
                surrogates = surrogates.believing(u)
        return np.array(proposed[len(pending) :]).reshape(-1, self._space.dim)

    def _maximized(
        self, sought: _Sought, centers: FloatArray, rng: np.random.Generator, pending: Sequence[FloatArray]
    ) -> FloatArray | None:
        """The candidate with the largest acquisition, float64 [d]; None when no unknown point was found."""
        d, seen = self._space.dim, self._seen | set(_keys(np.array(pending).reshape(-1, self._space.dim)))
        U, value = self._judged(
            np.concatenate([sobol(rng, d, _N_GLOBAL), _around(rng, centers, _N_LOCAL, _STEPS)]), sought, seen
        )
        for scale in _ROUNDS if sought.goal.has_gradient else _MORE_ROUNDS:
            if U.shape[0] == 0:
                return None
            best = np.argsort(-value, kind="stable")[:_STARTS]
            higher = sought.climbed(U[best]) if sought.goal.has_gradient else U[best]
            fresh, its_value = self._judged(np.concatenate([higher, _around(rng, higher, _N_REFINED, (scale,))]), sought, seen)
            U, value = np.concatenate([U[best], fresh]), np.concatenate([value[best], its_value])
        chosen: FloatArray = U[int(np.argmax(value))]
        return chosen

    def _judged(self, U: FloatArray, sought: _Sought, seen: set[bytes]) -> tuple[FloatArray, FloatArray]:
        """Candidates, repaired and without those that are known, and logarithms of their acquisition."""
        U = self._space.normalize(self._as_evaluated(self._space.denormalize(U)))
        fresh = {key: i for i, key in enumerate(_keys(U)) if key not in seen}
        U = U[np.array(sorted(fresh.values()), dtype=np.int64)]
        return U, sought.value(U) if U.shape[0] else np.empty(0)

    def _is_far(self, F: FloatArray) -> bool:
        """Whether none of the feasible points, float64 [n, m], lies in the scoring box."""
        return self._box is not None and not (self._corner > F).all(axis=1).any()

    def _missed(self, kept: IntArray) -> FloatArray:
        """What points miss of feasibility, every constraint in units of its mean miss, float64 [n, 1]."""
        G = self._G[kept]
        missed = np.where(self._task.instance.tolerance < G, G, 0.0)
        scale = missed.mean(axis=0)
        total: FloatArray = (missed / np.where(scale > 0.0, scale, 1.0)).sum(axis=1, keepdims=True)
        return total

    def _kept(self, rng: np.random.Generator) -> IntArray:
        """Rows that the processes are fitted to: all that could be evaluated, up to `max_points`."""
        rows = np.flatnonzero(~self._failed)
        limit = self._options.max_points
        if rows.size <= limit:
            return rows
        F = self._F[rows]
        rank = np.argsort(np.argsort(F, axis=0), axis=0).min(axis=1) + (self._violation[rows] > 0.0) * rows.size
        best = np.argsort(rank, kind="stable")[: limit // 2]
        others = np.setdiff1d(np.arange(rows.size), best)
        return np.sort(rows[np.concatenate([best, rng.choice(others, limit - best.size, replace=False)])])

    def _fit(self, kept: IntArray, Y: FloatArray, name: str) -> _Surrogates:
        """Processes of the objectives, or of what takes their place, and of the constraints that matter."""
        again = kept.size >= self._fitted_at * _REFIT
        if again:
            self._fitted_at = kept.size
        U = self._U[kept]
        objectives = [self._process(f"{name}{j}", U, Y[:, j], again) for j in range(Y.shape[1])]
        if name == "missed":
            return _Surrogates(objectives, [], np.empty(0))
        G = self._G[kept]
        violated = np.flatnonzero((self._task.instance.tolerance < G).any(axis=0))
        if violated.size > _MANY_CONSTRAINTS:
            G, violated = G.max(axis=1, keepdims=True), np.array([0])
        scale = np.array([np.abs(G[:, j]).mean() for j in violated])
        constraints = [self._process(f"g{j}", U, np.tanh(G[:, j] / s), again) for j, s in zip(violated, scale, strict=True)]
        return _Surrogates(objectives, constraints, np.zeros(violated.size))

    def _process(self, name: str, U: FloatArray, y: FloatArray, again: bool) -> GaussianProcess:
        theta = self._theta.get(name)
        if theta is not None and not again:
            return GaussianProcess.at(U, y, theta)
        process = GaussianProcess.fit(U, y, theta, hurry=lambda: self._task.meter.out_of_time)
        self._fits += 1
        self._theta[name] = process.theta
        return process


def _keys(U: FloatArray) -> list[bytes]:
    """What tells points of the unit box apart, float64 [n, d]."""
    return [u.tobytes() for u in np.round(U, _DIGITS) + 0.0]  # -0.0 is 0.0


def _misses(evaluation: Evaluation) -> FloatArray:
    """Inequalities and absolute equalities, float64 [n, k]; positive values miss."""
    return np.concatenate([evaluation.G, np.abs(evaluation.H)], axis=1)


def _around(rng: np.random.Generator, centers: FloatArray, n: int, scales: Sequence[float]) -> FloatArray:
    """Points near centers in the unit box, some variables moved, float64 [n, d]."""
    d = centers.shape[1]
    base = centers[np.arange(n) % centers.shape[0]]
    scale = np.array(scales)[np.arange(n) // centers.shape[0] % len(scales)]
    moved = rng.random((n, d)) < np.maximum(1.0 / d, rng.random((n, 1)))
    moved[np.arange(n), rng.integers(d, size=n)] = True
    points: FloatArray = np.clip(base + moved * scale[:, None] * rng.normal(size=(n, d)), 0.0, 1.0)
    return points

"""The decomposition engine: from a first population, sub-problems solved together in waves, with any variation operator.

A wave freezes the population, asks the operator for offspring, evaluates all of them as one batch and commits them
in index order. Nothing depends on how long an operator takes or on how many threads it uses, which is what lets a
language model with many requests in flight drive the same engine, bit for bit reproducible.

Sources: Zhang & Li 2007, doi 10.1109/TEVC.2007.892759 (decomposition, neighborhoods); Li & Zhang 2009,
doi 10.1109/TEVC.2008.925798 (delta, bounded replacement); Wang et al. 2014, doi 10.1109/CEC.2014.6900319 (global
replacement).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import SolverError
from optisolve.core.problem import Evaluation
from optisolve.core.solver import Flight, Outcome, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Limit, Termination
from optisolve.numerics.indicators import GainMeter
from optisolve.solvers.fresh import Fresh
from optisolve.solvers.moead.options import DecompositionOptions
from optisolve.solvers.moead.scalarize import MIN_WEIGHT, Points, Scalarization, Yardstick, front_nadir, front_width, scalarize
from optisolve.solvers.moead.variation import Feedback, Learner, Proposals, Variation, Wave
from optisolve.solvers.moead.weights import neighborhoods, weight_vectors
from optisolve.solvers.start import first_points, starting_points

__all__ = ["assign", "run"]


def assign(F: FloatArray, violation: FloatArray, weights: FloatArray, ideal: FloatArray, kind: int, theta: float) -> IntArray:
    """Give each sub-problem one of K points so that the total of their scalarized values is smallest.

    Points of others arrive in an arbitrary order, or more of them than are needed; without this step a good point could
    sit at a sub-problem that it does not serve, and be replaced at once.

    Args:
        F: float64 [K, m], K >= N, minimization form.
        violation: float64 [K]; infeasible points are last choices, in the order of their violation.
        weights: float64 [N, m], >= the smallest safe weight.
        ideal: float64 [m].
        kind: A `Scalarization`.
        theta: Penalty of PBI, dimensionless.

    Returns:
        int64 [N], the point of each sub-problem.
    """
    from scipy.optimize import linear_sum_assignment

    width = front_width(F, ideal, front_nadir(F, violation))
    cost = scalarize(F[None, :, :], weights[:, None, :], ideal, width, kind, theta)  # [N sub-problems, K points]
    worst = cost.max() + 1.0
    rank = np.argsort(np.argsort(violation, kind="stable"), kind="stable")
    cost = np.where(violation > 0.0, worst * (1.0 + rank), cost)
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class _Offspring:
    """What was proposed, and what it will be judged by.

    Attributes:
        X: float64 [k, d], not repaired.
        source: One label, or one per row.
        rows: int64 [k], row of `mates` that each belongs to.
        owner: int64 [k], sub-problem that each was made for.
        mates: int64 [p, T], pools of incumbents.
        yardstick: What values are measured by.
    """

    X: FloatArray
    source: str | list[str]
    rows: IntArray
    owner: IntArray
    mates: IntArray
    yardstick: Yardstick

    @property
    def label(self) -> str:
        """The label of the first one."""
        return self.source if isinstance(self.source, str) else self.source[0]

    def first(self, count: int) -> _Offspring:
        """At most so many of them."""
        return self if self.rows.size <= count else self._part(slice(0, count))

    def apart(self) -> Iterator[_Offspring]:
        """Each by itself."""
        return (self._part(slice(i, i + 1)) for i in range(self.rows.size))

    def _part(self, some: slice) -> _Offspring:
        source = self.source if isinstance(self.source, str) else self.source[some]
        return replace(self, X=self.X[some], source=source, rows=self.rows[some], owner=self.owner[some])


_ALIKE = 1e-9
"""Difference, absolute and relative, below which values of one objective are the same."""
_SWEEPS_ALIKE = 10
"""Sweeps in a row without any difference after which a population of one objective begins again."""
_EMPTY_SWEEPS = 3
"""Sweeps in a row without a single offspring after which the run counts as stalled."""


def run(task: Task, options: DecompositionOptions, variation: Variation) -> Outcome:
    """Solve a task by decomposition until its budget is spent.

    Args:
        task: The task; its budget must limit evaluations or seconds.
        options: Settings of the engine.
        variation: Proposes offspring; several per target are all evaluated, none is fine too. A `Learner` is told after
            every wave what became of them.

    Returns:
        The outcome of the evaluator's archive. Its report holds ``waves``, ``offspring`` and ``survivors`` by source
        (a survivor replaced at least one incumbent), and the operator's own figures under ``operator``.

    Raises:
        SolverError: The budget limits neither evaluations nor seconds, or the operator broke its contract.
    """
    require_stopping_rule(task)
    engine = _Engine(task, options, variation)
    task.reporter = engine.report
    engine.initialize()
    if task.flight is not None:
        engine.fly(task.flight)
    while task.meter.remaining_evaluations > 0 and not engine.stalled:
        engine.step()
    limit = Limit.STALLED if engine.stalled else spent_limit(task)
    return task.outcome(Termination.LIMIT, limit, report=engine.report())


class _Engine:
    """State of one run: the incumbents of N sub-problems and what the waves did to them."""

    def __init__(self, task: Task, options: DecompositionOptions, variation: Variation) -> None:
        from optisolve.solvers.moead import kernels

        self._kernels = kernels
        self._task, self._options, self._variation = task, options, variation
        self._instance = task.instance
        n, n_objectives = options.population(task.meter.budget), len(task.instance.objectives)
        self._n = n
        self._wave_size = min(options.wave_size or n, n)
        self._weights = weight_vectors(n_objectives, n)  # [N, m]
        self._safe_weights = np.maximum(self._weights, MIN_WEIGHT)
        self._size = min(options.n_neighbors, n)
        self._neighbors = neighborhoods(self._weights, self._size)  # [N, T]
        self._kind = int(Scalarization[options.scalarization.upper()])
        self._max_replaced = self._size if options.max_replaced is None else options.max_replaced
        self._all_targets = np.arange(n)
        self._row_of = np.zeros(n, dtype=np.int64)  # sub-problem -> row of the current wave
        self._ideal = np.full(n_objectives, np.inf)
        self._any_feasible = False
        self._queue = np.empty(0, dtype=np.int64)  # sub-problems not yet served in this sweep
        self._rng = task.rng(operator="engine")  # mating pools and replacement orders, orders of service, drawn in wave order
        self._waves = self._empty_sweeps = self._sweeps_alike = 0
        self._learner = variation if isinstance(variation, Learner) else None
        self._gains = GainMeter(task.instance.signs, task.instance.hypervolume_box, working=True)
        self._global = options.replacement == "global" and n_objectives > 1  # one objective suits all weights alike
        self._fresh = Fresh(task) if options.repair and task.instance.repairs_integers else None
        self._offspring: dict[str, int] = {}
        self._survivors: dict[str, int] = {}

    @property
    def stalled(self) -> bool:
        """True when the operator has proposed nothing for several sweeps in a row."""
        return self._empty_sweeps >= _EMPTY_SWEEPS

    def initialize(self) -> None:
        """Evaluate the first population, those of its points that the run has not paid for yet."""
        task, known = self._task, self._task.known
        n_known = 0 if known is None else known.X.shape[0]
        n_first = min(first_points(task, self._options, self._n), n_known + task.meter.remaining_evaluations)
        start = starting_points(task, self._options, n_first)
        X, F, violation = np.empty((0, self._instance.space.dim)), np.empty((0, self._ideal.size)), np.empty(0)
        if known is not None:
            X, F, violation = known.X, known.evaluation.F * self._instance.signs, known.evaluation.violation
            self._any_feasible = bool(self._kernels.running_ideal(F, violation, self._ideal, self._any_feasible))
        if start.source:
            parts = zip((X, F, violation), self._evaluate(start.X, start.source), strict=True)
            X, F, violation = (np.concatenate(pair) for pair in parts)
        if X.shape[0] < self._n:
            return  # the budget is spent
        if self._learner is not None:
            self._gains.add(F, violation)
        if X.shape[0] > self._n or not start.random:
            order = assign(F, violation, self._safe_weights, self._ideal, self._kind, self._options.pbi_theta)
            X, F, violation = X[order], F[order], violation[order]
        self._X, self._F, self._violation = X.copy(), F, violation

    def step(self) -> None:
        """One wave: propose, evaluate, commit."""
        if self._queue.size == 0:
            self._sweeps_alike = self._sweeps_alike + 1 if self._alike() else 0
            if self._sweeps_alike > _SWEEPS_ALIKE:
                self._begin_again()
                return
        offspring = self._offspring_of(self._next_targets())
        if offspring is not None and (left := self._task.meter.remaining_evaluations) > 0:
            offspring = offspring.first(left)
            self._commit(offspring, *self._evaluate(offspring.X, offspring.source))

    def _alike(self) -> bool:
        """Whether one objective tells no two incumbents apart: they have met in one point, or lie on a plateau."""
        F, violation = self._F, self._violation
        return self._ideal.size == 1 and all(np.allclose(values, values[0], _ALIKE, _ALIKE) for values in (F, violation))

    def _begin_again(self) -> None:
        """Random points in place of incumbents between which nothing can be chosen; the archive keeps what was found."""
        fresh = self._instance.space.sample(self._rng, self._n)[: self._task.meter.remaining_evaluations]
        self._X, self._F, self._violation = self._evaluate(fresh, "start:uniform")
        self._sweeps_alike = 0

    def fly(self, flight: Flight) -> None:
        """All waves of a run without any: as soon as a worker is free, one sub-problem gets its next offspring."""
        while flight.airborne or (flight.room and not self.stalled):
            while flight.room and not self.stalled:
                offspring = self._offspring_of(self._next_targets(at_most=1))
                for one in () if offspring is None else offspring.first(flight.room).apart():
                    flight.send(self._repaired(one.X, one.source), source=one.label, tag=one)
            for landed in flight.land() if flight.airborne else ():
                assert isinstance(landed.tag, _Offspring)
                self._commit(landed.tag, landed.X, *self._taken(landed.evaluation))

    def _offspring_of(self, targets: IntArray) -> _Offspring | None:
        """What the operator proposes for sub-problems; None for nothing."""
        wave, yardstick = self._wave(targets, self._rng)
        proposals = self._variation.propose(wave)
        self._waves += 1
        if proposals.owner.size == 0:
            self._empty_sweeps += int(self._queue.size == 0)
            return None
        self._empty_sweeps = 0
        return _Offspring(proposals.X, proposals.source, self._rows(proposals, targets), proposals.owner, wave.mates, yardstick)

    def _commit(self, offspring: _Offspring, X: FloatArray, F: FloatArray, violation: FloatArray) -> None:
        """Let offspring, evaluated, replace incumbents, and tell the operator."""
        source, rows, rng = offspring.source, offspring.rows, self._rng
        replaced = self._kernels.commit(
            Points(self._X, self._F, self._violation),
            Points(X, F, violation),
            *self._replaceable(F, rows, offspring.mates, offspring.yardstick),
            offspring.yardstick,
            self._max_replaced,
            rng.random((rows.size, self._size)),
        )
        self._credit(source, replaced)
        if self._learner is not None:
            labels = [source] * rows.size if isinstance(source, str) else source
            gain = self._gains.add(F, violation)
            self._learner.learn(Feedback(offspring.owner, labels, replaced, gain, X, F, violation, self._gains.moved))

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far, JSON-compatible."""
        operator = self._variation.report()
        return {
            "waves": self._waves,
            "offspring": dict(sorted(self._offspring.items())),
            "survivors": dict(sorted(self._survivors.items())),
            "operator": dict(operator),
        }

    def _next_targets(self, at_most: int | None = None) -> IntArray:
        """Sub-problems of the next wave, ascending; every sweep serves each of them once."""
        left = self._task.meter.remaining_evaluations
        if self._queue.size == 0:
            if at_most is None and self._wave_size == self._n <= left:
                return self._all_targets
            self._queue = self._rng.permutation(self._n)
        size = min(at_most or self._wave_size, left, self._queue.size)
        targets, self._queue = np.sort(self._queue[:size]), self._queue[size:]
        return targets

    def _wave(self, targets: IntArray, rng: np.random.Generator) -> tuple[Wave, Yardstick]:
        """The frozen state for the operator, and what its values were measured by."""
        options, kernels = self._options, self._kernels
        nadir, width = kernels.front(self._F, self._violation, self._ideal)
        if not options.normalize:
            width = np.ones_like(width)
        mates = kernels.mating_pools(
            self._neighbors, targets, options.delta, rng.random(targets.size), rng.random((targets.size, self._size))
        )
        yardstick = Yardstick(self._safe_weights, self._ideal, width, self._kind, options.pbi_theta)
        wave = Wave(
            index=self._waves,
            targets=targets,
            mates=mates,
            X=self._X.copy(),  # copies: an operator may keep a wave, and cannot reach the population
            F=self._F.copy(),
            violation=self._violation.copy(),
            weights=self._weights,
            ideal=self._ideal.copy(),
            nadir=nadir,
            values=kernels.mate_values(self._F, targets, mates, yardstick),
            rng=self._task.rng(wave=self._waves, operator="variation"),
            instance=self._instance,
        )
        return wave, yardstick

    def _rows(self, proposals: Proposals, targets: IntArray) -> IntArray:
        """Row of the wave that each offspring belongs to, int64 [k]."""
        owner = proposals.owner
        if owner is targets:
            return self._all_targets[: owner.size]
        self._row_of[:] = -1
        self._row_of[targets] = np.arange(targets.size)
        rows = self._row_of[owner]
        labels = owner.size if isinstance(proposals.source, str) else len(proposals.source)
        if proposals.X.shape[0] != owner.size or labels != owner.size or (rows < 0).any() or (np.diff(owner) < 0).any():
            raise SolverError(
                f"{type(self._variation).__name__} proposed {proposals.X.shape[0]} points for {owner.size} owners with "
                f"{labels} sources; expected equal numbers, owners ascending and among the wave's targets."
            )
        return rows

    def _replaceable(self, F: FloatArray, rows: IntArray, mates: IntArray, yardstick: Yardstick) -> tuple[IntArray, IntArray]:
        """Pools of incumbents, int64 [p, T], and the row of it that each offspring may replace, int64 [k]."""
        if not self._global:
            return rows, mates
        return self._kernels.best_suited(F, yardstick), self._neighbors

    def _evaluate(self, X: FloatArray, source: str | list[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Repair or clip, evaluate, and update the ideal point: points, objectives (minimized), violations."""
        X = self._repaired(X, source)
        return X, *self._taken(self._task.evaluate(X, source=source))

    def _repaired(self, X: FloatArray, source: str | list[str]) -> FloatArray:
        X = self._instance.project(X) if self._options.repair else self._instance.space.clip(X)
        return X if self._fresh is None else self._fresh.moved(X, source)

    def _taken(self, evaluation: Evaluation) -> tuple[FloatArray, FloatArray]:
        """Objectives (minimized) and violations, after an update of the ideal point."""
        F, violation = evaluation.F * self._instance.signs, evaluation.violation
        self._any_feasible = bool(self._kernels.running_ideal(F, violation, self._ideal, self._any_feasible))
        return F, violation

    def _credit(self, source: str | list[str], replaced: IntArray) -> None:
        """Count offspring and survivors by source."""
        if isinstance(source, str):
            self._offspring[source] = self._offspring.get(source, 0) + replaced.size
            self._survivors[source] = self._survivors.get(source, 0) + int(np.count_nonzero(replaced))
            return
        for label, count in zip(source, replaced.tolist(), strict=True):
            self._offspring[label] = self._offspring.get(label, 0) + 1
            self._survivors[label] = self._survivors.get(label, 0) + int(count > 0)

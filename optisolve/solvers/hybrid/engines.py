"""The engines: they make most of the points, learn from all of them, and say what they believe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import Evaluation
from optisolve.core.solver import Task
from optisolve.solvers.bo.loop import Points as Evaluated
from optisolve.solvers.hybrid.state import Link, State
from optisolve.solvers.isolation import IsolatedRandomness
from optisolve.solvers.moead.scalarize import Points
from optisolve.solvers.parego.acquisition import Warp
from optisolve.solvers.parego.solver import Parego, Search
from optisolve.solvers.pymoo_adapter import cma_fitness
from optisolve.solvers.start import StartOptions, starting_points

__all__ = ["CmaEngine", "Engine", "ParegoEngine"]

_SIGMA, _STARTS = 0.25, 20
"""First standard deviation of CMA-ES, and most points that its first mean is chosen among; as in `cma_es`."""
_LINKED, _MOST_LINKS = 0.3, 4
"""Correlation from which two variables count as moved together, and pairs that are told."""


class Engine(Protocol):
    """What a hybrid needs of an engine."""

    def begin(self) -> None:
        """Evaluate the first points."""
        ...

    def propose(self) -> tuple[FloatArray, str]:
        """Its next points, repaired, float64 [n, d], and their label; none when it has nothing more to ask."""
        ...

    def learn(self, X: FloatArray, evaluation: Evaluation, others: BoolArray) -> None:
        """Take over what became of its last proposal, of which `others` were replaced by somebody else's points."""
        ...

    def state(self, weight: FloatArray) -> State | None:
        """What it knows, seen with a preference; None before anything could be evaluated."""
        ...

    def report(self) -> JsonObject:
        """Deterministic figures of the run so far."""
        ...


class ParegoEngine(Search):
    """The search of `parego`; its proposals are those that `parego` would make of the same points."""

    def __init__(self, task: Task, options: Parego) -> None:
        super().__init__(task, options)

    def begin(self) -> None:
        """The first points of `parego`."""
        self.initialize()

    def propose(self) -> tuple[FloatArray, str]:
        """The next step of `parego`."""
        X, source = self._next()
        return (self._repaired(X) if X.shape[0] else X), source

    def learn(self, X: FloatArray, evaluation: Evaluation, others: BoolArray) -> None:
        """All points are equal to a surrogate."""
        self._learn(X, evaluation)

    def state(self, weight: FloatArray) -> State | None:
        """The best points under the preference, and what the processes expect in their middle."""
        there = ~self._failed
        if not there.any():
            return None
        points = Points(self._U[there], self._F[there], self._violation[there])
        state = State.of(points, weight, self._task.meter.remaining_evaluations)
        if self._belief is None:
            return state
        surrogates, warp = self._belief
        mean, deviation, _ = surrogates.predict(state.mean[None, :])
        low, middle, high = (Warp.unwarped(mean + k * deviation)[0] * warp.half + warp.middle for k in (-1.0, 0.0, 1.0))
        rates = np.sum([np.exp(-process.theta[:-1]) for process in surrogates.objectives], axis=0)
        return replace(state, expected=np.stack([middle, 0.5 * (high - low)]), sway=rates / rates.sum())


class CmaEngine:
    """CMA-ES of pycma with growing population, to which points of others are told as if it had drawn them.

    `cma_es` goes through pymoo, which hands values back without their points; here pycma is asked itself. Restarts begin at a
    uniform point with twice the population, until the budget is spent.

    Source: Hansen 2011, arXiv 1110.4181 (points of others); Auger & Hansen 2005 (restarts).
    """

    def __init__(self, task: Task, options: StartOptions, *, n_initial: int | None, repair: bool) -> None:
        self._task, self._options, self._n_initial = task, options, n_initial
        self._evaluated = Evaluated(task, repair)
        self._random = IsolatedRandomness(int(task.rng(purpose="cma").integers(1, 2**31)))
        self._es: Any = None
        self._asked = np.empty((0, task.instance.space.dim))
        self._restarts = self._generations = 0

    def begin(self) -> None:
        """Evaluate the starting points, the best of which is the first mean."""
        task, known = self._task, self._evaluated
        left = task.meter.remaining_evaluations
        wanted = self._n_initial or max(1, min(_STARTS, left // 4))
        start = starting_points(task, self._options, min(left, max(wanted, task.start.shape[0])))
        if start.known is not None:
            known.learn(start.known.X, start.known.evaluation)
        if start.source:
            known.evaluate(known.repaired(start.X), start.source)
        best = np.lexsort((known.F[:, 0], known.violation))[:1]
        self._launch(known.U[best[0]] if best.size else np.full(task.instance.space.dim, 0.5))

    def propose(self) -> tuple[FloatArray, str]:
        """A generation, as far as the budget goes."""
        with self._drawing():
            stopped = bool(self._es.stop())
        if stopped:
            self._restarts += 1
            begin = self._task.rng(purpose="restart", number=self._restarts).random(self._asked.shape[1])
            self._launch(begin, pop_size=2 * int(self._es.popsize))
        with self._drawing():
            self._asked = np.array(self._es.ask())
        self._generations += 1
        X = self._task.instance.space.denormalize(self._asked)[: self._task.meter.remaining_evaluations]
        return self._evaluated.repaired(X), "cma_es"

    def learn(self, X: FloatArray, evaluation: Evaluation, others: BoolArray) -> None:
        """Tell a whole generation: its own points as it drew them, those of others as they were evaluated."""
        self._evaluated.learn(X, evaluation)
        if X.shape[0] < self._asked.shape[0]:
            return  # the budget is spent; half a generation cannot be told
        told = np.where(others[:, None], self._task.instance.space.normalize(X), self._asked)
        fitness = cma_fitness(evaluation, self._task.instance)[:, 0]
        finite = np.isfinite(fitness)
        worst = float(fitness[finite].max()) if finite.any() else 0.0
        with self._drawing():
            self._es.tell(list(told), np.where(finite, fitness, worst + max(1.0, abs(worst))).tolist())

    def state(self, weight: FloatArray) -> State | None:
        """Its distribution: mean, standard deviations, the strongest correlations."""
        known, es = self._evaluated, self._es
        there = ~known.failed
        if not there.any():
            return None
        points = Points(known.U[there], known.F[there], known.violation[there])
        state = State.of(points, weight, self._task.meter.remaining_evaluations)
        with self._drawing():
            mean = np.array(es.gp.pheno(np.array(es.mean), into_bounds=es.boundary_handler.repair), dtype=np.float64)
            spread, links = np.array(es.stds, dtype=np.float64), _links(np.asarray(es.sm.correlation_matrix))
        return replace(state, mean=np.clip(mean, 0.0, 1.0), spread=np.maximum(spread, 1e-9), links=links)

    def report(self) -> JsonObject:
        """Generations and restarts."""
        return {"generations": self._generations, "restarts": self._restarts}

    def _launch(self, mean: FloatArray, pop_size: int | None = None) -> None:
        import cma

        with self._drawing():
            settings: dict[str, object] = {"bounds": [0.0, 1.0], "verbose": -9, "verb_log": 0, "seed": np.nan}
            if pop_size is not None:
                settings["popsize"] = pop_size
            self._es = cma.CMAEvolutionStrategy(mean, _SIGMA, settings)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """pycma draws from the process-wide generator: here from the run's own."""
        with self._random.active():
            yield


def _links(correlation: FloatArray) -> tuple[Link, ...]:
    """The strongest correlations between two variables."""
    first, second = np.triu_indices(correlation.shape[0], 1)
    strength = correlation[first, second]
    order = np.argsort(-np.abs(strength), kind="stable")[:_MOST_LINKS]
    return tuple(Link(int(first[i]), int(second[i]), float(strength[i])) for i in order if abs(strength[i]) >= _LINKED)

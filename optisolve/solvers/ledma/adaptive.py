"""Operators of the adaptive mix that learn while a run goes on: differential evolution that remembers what worked, and a cheap
model that looks at an operator's children before any of them is evaluated."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.core.problem import FAILED_VIOLATION
from optisolve.core.space import Space
from optisolve.numerics.local_rbf import local_guess
from optisolve.solvers.moead.scalarize import MIN_WEIGHT
from optisolve.solvers.moead.variation import Feedback, Mutation, Proposals, Wave

__all__ = ["HistoryDe", "Screened", "Seen"]

_MEMORIES = 6
_SPREAD = 0.1
"""Spread of the parameters round what is remembered, as published."""
_BEST_SHARE = 0.2
"""Share of the mates that count as the best."""
_CHILDREN = 20
"""Children per target that the model chooses from."""
_NEAR = 60
"""Known points per model; twice as many as its tail has coefficients where there are many variables."""
_MOST_NEAR = 120


class HistoryDe:
    """Differential evolution towards the better mates, whose factor and crossover rate follow what was successful.

    .. math:: v = x_i + F (x_{best} - x_i) + F (x_{r_1} - x_{r_2})

    with one of the best mates of the sub-problem, then binomial crossover and polynomial mutation; one child per target. F and
    CR are drawn round one of six memories; after every wave the memory that is next in turn becomes the mean of what survived,
    weighted by how many incumbents it replaced (the mean of F is Lehmer's).

    Args:
        mutation: What follows.

    Source: Zhang & Sanderson 2009 (JADE), doi 10.1109/TEVC.2009.2014613; Tanabe & Fukunaga 2013 (SHADE),
    doi 10.1109/CEC.2013.6557555.
    """

    def __init__(self, mutation: Mutation) -> None:
        self._mutation = mutation
        self._factor, self._rate = np.full(_MEMORIES, 0.5), np.full(_MEMORIES, 0.5)
        self._next = 0
        self._drawn = np.empty((2, 0))  # factor and rate of each child

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target; their parameters are kept until `learn`."""
        rng, space, n = wave.rng, wave.instance.space, wave.targets.size
        memory, rows = rng.integers(_MEMORIES, size=n), np.arange(n)
        rate = np.clip(self._rate[memory] + _SPREAD * rng.standard_normal(n), 0.0, 1.0)
        factor = np.clip(self._factor[memory] + _SPREAD * np.tan(np.pi * (rng.random(n) - 0.5)), 0.05, 1.0)
        size = wave.mates.shape[1]
        first, second = (wave.mates[rows, rng.integers(size, size=n)] for _ in range(2))
        order = np.lexsort((wave.values, wave.violation[wave.mates]), axis=1)
        best = wave.mates[rows, order[rows, rng.integers(max(1, round(_BEST_SHARE * size)), size=n)]]
        X, x = wave.X, wave.X[wave.targets]
        moved = x + factor[:, None] * (X[best] - x + X[first] - X[second])
        moved = np.where(moved < space.lower, (x + space.lower) / 2.0, moved)  # half the way to a bound that was overstepped
        moved = np.where(moved > space.upper, (x + space.upper) / 2.0, moved)
        taken = rng.random(x.shape) < rate[:, None]
        taken[rows, rng.integers(space.dim, size=n)] = True
        self._drawn = np.stack([factor, rate])
        return Proposals(self._mutation.apply(np.where(taken, moved, x), space, rng), wave.targets, "adaptive_de")

    def keep(self, rows: IntArray) -> None:
        """Only these children of the last proposals are evaluated."""
        self._drawn = self._drawn[:, rows]

    def learn(self, feedback: Feedback) -> None:
        """Remember the parameters of the children that replaced somebody."""
        survived = feedback.replaced > 0
        if not survived.any():
            return
        factor, rate = self._drawn[:, : survived.size][:, survived]
        weight = feedback.replaced[survived] / feedback.replaced[survived].sum()
        self._factor[self._next] = (weight * factor**2).sum() / (weight * factor).sum()
        self._rate[self._next] = (weight * rate).sum()
        self._next = (self._next + 1) % _MEMORIES

    def report(self) -> JsonObject:
        """What is remembered at the end, on average."""
        return {"factor": round(float(self._factor.mean()), 4), "crossover": round(float(self._rate.mean()), 4)}


class Seen:
    """Everything that a run has evaluated, as a model needs it.

    Args:
        space: The decision space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._parts: list[tuple[FloatArray, FloatArray, FloatArray]] = []

    def begin(self, X: FloatArray, F: FloatArray, violation: FloatArray) -> None:
        """The first population, unless the points that the run had paid for before it are there already."""
        if not self._parts:
            self.add(X, F, violation)

    def add(self, X: FloatArray, F: FloatArray, violation: FloatArray) -> None:
        """Points float64 [k, d], objectives in minimization form [k, m], violations [k]; failed ones are left out."""
        usable = (violation < FAILED_VIOLATION) & np.isfinite(F).all(axis=1)
        self._parts.append((self._space.normalize(X[usable]), F[usable], violation[usable]))

    def points(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """All of them: points in the unit box [N, d], objectives [N, m], violations [N]."""
        if len(self._parts) > 1:
            U, F, violation = (np.concatenate(part) for part in zip(*self._parts, strict=True))
            self._parts = [(U, F, violation)]
        return self._parts[0]


class Inner(Protocol):
    """An operator that makes one child per target, with any number of draws per target."""

    def propose(self, wave: Wave) -> Proposals:
        """One child per row of the wave."""
        ...

    def report(self) -> JsonObject:
        """Figures of the run."""
        ...


class Screened:
    """Lets an operator make twenty children per target and keeps the one that a model of the points nearby thinks best.

    The model is a radial basis function on the evaluated points nearest to the target's incumbent, for every objective and for
    the total violation; it costs no evaluation. Children are judged before they are repaired.

    Args:
        inner: Makes the children.
        seen: All evaluated points; shared, and filled by the owner.
        label: Source of the children.
    """

    def __init__(self, inner: Inner, seen: Seen, label: str) -> None:
        self._inner, self._seen, self._label = inner, seen, label

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target."""
        n = wave.targets.size
        made = self._inner.propose(wave.part(np.repeat(np.arange(n), _CHILDREN), wave.rng))
        rows = np.arange(n) * _CHILDREN + self._best(wave, made.X.reshape(n, _CHILDREN, -1))
        if isinstance(self._inner, HistoryDe):
            self._inner.keep(rows)
        return Proposals(made.X[rows], wave.targets, self._label)

    def learn(self, feedback: Feedback) -> None:
        """Tell the operator what became of the children that were kept."""
        if isinstance(self._inner, HistoryDe):
            self._inner.learn(feedback)

    def report(self) -> JsonObject:
        """The operator's own figures."""
        return self._inner.report()

    def _best(self, wave: Wave, children: FloatArray) -> IntArray:
        """Which child of each target looks best, int64 [n]; the first one where the model says nothing."""
        space = wave.instance.space
        U, F, violation = self._seen.points()
        near = min(_MOST_NEAR, max(_NEAR, 2 * (1 + space.dim)))
        try:
            guess = local_guess(
                U,
                np.column_stack([F, violation]),
                space.normalize(wave.X[wave.targets]),
                space.normalize(children.reshape(-1, space.dim)).reshape(children.shape),
                near,
            )
        except np.linalg.LinAlgError:
            return np.zeros(wave.targets.size, dtype=np.int64)
        width = np.where(wave.nadir > wave.ideal, wave.nadir - wave.ideal, 1.0)
        weights = np.maximum(wave.weights[wave.targets], MIN_WEIGHT)
        value = (weights[:, None] * (guess[:, :, :-1] - wave.ideal) / width).max(axis=2)
        if (violation > 0.0).any():  # ten of the widths of the front for one of violation
            value = value + 10.0 * np.maximum(guess[:, :, -1], 0.0)
        best: IntArray = np.where(np.isfinite(value), value, np.inf).argmin(axis=1)
        return best

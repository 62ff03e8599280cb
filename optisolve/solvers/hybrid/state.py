"""What an engine knows in the middle of a run, and the same with its scores shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.solvers.moead.scalarize import MIN_WEIGHT, Points, front_nadir, front_width, tchebycheff

__all__ = ["Link", "State"]

_FEWEST, _SHARE = 5, 0.2
"""Best points that stand for where an engine without a distribution of its own looks: at least, and of all."""
_LEAST_SPREAD = 0.02
"""Smallest deviation of such points, share of a variable's range: equal ones would leave no room."""


class Link(NamedTuple):
    """Two variables that an engine moves together: their numbers and their correlation."""

    first: int
    second: int
    correlation: float


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What an engine knows.

    Attributes:
        points: Everything evaluated so far, in order, with X in the unit box; points that could not be evaluated are left out.
        weight: float64 [m], how the objectives are weighed this time.
        values: float64 [n], the points' Tchebycheff values under that weight, lower is better.
        mean: float64 [d], where the engine looks, in the unit box.
        spread: float64 [d], standard deviations round it, > 0.
        expected: float64 [2, m], mean and deviation of the objectives that the engine expects at `mean`, to be minimized; None
            for an engine that expects nothing.
        sway: float64 [d], share of each variable in what moves the objectives, as far as the engine can tell; or None.
        links: Variables that it moves together, strongest first.
        left: Evaluations left.
    """

    points: Points
    weight: FloatArray
    values: FloatArray
    mean: FloatArray
    spread: FloatArray
    expected: FloatArray | None = None
    sway: FloatArray | None = None
    links: tuple[Link, ...] = ()
    left: int = 0

    @classmethod
    def of(cls, points: Points, weight: FloatArray, left: int) -> State:
        """The state of an engine without a distribution of its own: mean and deviation are those of its best points.

        Args:
            points: At least one.
            weight: float64 [m].
            left: Evaluations left.
        """
        values = _values(points, weight)
        best = points.X[np.lexsort((values, points.violation))[: max(_FEWEST, int(_SHARE * values.size))]]
        return cls(points, weight, values, best.mean(axis=0), np.maximum(best.std(axis=0), _LEAST_SPREAD), left=left)

    @property
    def order(self) -> IntArray:
        """Rows of the points from best to worst, int64 [n]; feasible ones first."""
        rows: IntArray = np.lexsort((self.values, self.points.violation))
        return rows

    def shuffled(self, rng: np.random.Generator) -> State:
        """The same, but for which point has which score: nothing in it tells where good points are.

        Mean and deviation become those of the points that seem best then, and what is said of single variables is dealt out
        anew.
        """
        n, d = self.points.X.shape
        rows, columns = rng.permutation(n), rng.permutation(d)  # identity included: never the true one would say something
        points = Points(self.points.X, self.points.F[rows], self.points.violation[rows])
        made = State.of(points, self.weight, self.left)
        links = tuple(Link(int(columns[i]), int(columns[j]), c) for i, j, c in self.links)
        sway = None if self.sway is None else self.sway[columns]
        return State(points, self.weight, made.values, made.mean, made.spread, self.expected, sway, links, self.left)


def _values(points: Points, weight: FloatArray) -> FloatArray:
    """Tchebycheff values between the ideal and the nadir point of what is known, float64 [n]."""
    feasible = points.violation <= 0.0
    ideal = (points.F[feasible] if feasible.any() else points.F).min(axis=0)
    width = front_width(points.F, ideal, front_nadir(points.F, points.violation))
    return tchebycheff((points.F - ideal) / width, np.maximum(weight, MIN_WEIGHT))

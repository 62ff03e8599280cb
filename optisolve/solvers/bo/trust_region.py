"""A trust region around the best point, and Thompson sampling in it, for many variables; imports torch.

Sources: TuRBO-1, Eriksson et al. 2019, arXiv 1910.01739; constraints: SCBO, Eriksson & Poloczek 2021, arXiv 2002.08526; several
objectives: drawn values are judged by the hypervolume that they add, as in MORBO, Daulton et al. 2022, arXiv 2109.10964, here
with one region whose center is drawn from the front.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.pareto import is_non_dominated
from scipy.stats import qmc

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.solvers.bo.acquisition import reference_point
from optisolve.solvers.parego.acquisition import Acquisition

__all__ = ["Region", "drawn"]

_LENGTHS = (0.5**7, 0.8, 1.6)
"""Shortest, first and longest side of a region."""
_SUCCESSES = 3
"""Steps with a better point after which a region grows."""
_LEAST_GAIN = 1e-3
"""Gain relative to what there is that makes a step a success."""
_MOVED = 20
"""Variables of a candidate that are moved away from the center, on average."""


@dataclass(slots=True)
class Region:
    """Size of the trust region, and what it has been through.

    Attributes:
        first: Row of the first point that counts; earlier ones belong to regions that shrank to nothing.
        length: Side as a share of the unit box.
        restarts: Regions before this one.
    """

    first: int = 0
    length: float = _LENGTHS[1]
    restarts: int = 0
    _successes: int = 0
    _failures: int = 0
    _best: tuple[float, float] | None = None

    def judge(self, violation: FloatArray, worth: float, count: int, d: int, end: int) -> None:
        """Grow, shrink or begin anew after a step.

        Args:
            violation: float64 [n], of the points that count.
            worth: Best objective or hypervolume of them, to be maximized, on a scale that stays; 0 without a feasible one.
            count: Points of the step.
            d: Variables.
            end: Row that a new region begins at.
        """
        now = (-float(violation.min(initial=np.inf)), worth)
        if self._best is not None:
            better = now[0] > self._best[0] + _LEAST_GAIN * abs(self._best[0]) or (
                now[0] >= self._best[0] and now[1] > self._best[1] + _LEAST_GAIN * abs(self._best[1])
            )
            self._successes, self._failures = (self._successes + 1, 0) if better else (0, self._failures + 1)
            if self._successes == _SUCCESSES:
                self.length, self._successes = min(2.0 * self.length, _LENGTHS[2]), 0
            elif self._failures >= math.ceil(max(4.0 / count, d / count)):
                self.length, self._failures = self.length / 2.0, 0
        self._best = now if self._best is None else max(now, self._best)
        if self.length < _LENGTHS[0]:
            self.first, self.length, self.restarts = end, _LENGTHS[1], self.restarts + 1
            self._successes = self._failures = 0
            self._best = None


def drawn(
    model: Any,
    Y: FloatArray,
    feasible: BoolArray,
    center: FloatArray,
    lengths: FloatArray,
    count: int,
    *,
    n_objectives: int,
    kind: Acquisition,
    n_candidates: int,
    foreseen: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
) -> FloatArray:
    """Points of the region that are best in draws of the posterior, one draw each.

    Args:
        model: Fitted processes: objectives to be maximized, then constraints, at most 0 when met.
        Y: float64 [n, m + k], outcomes of the points that count.
        feasible: bool [n].
        center: float64 [d].
        lengths: float64 [d], sides of the region.
        count: Points wanted.
        n_objectives: m.
        kind: What is to be improved, of several objectives.
        n_candidates: Points of the region among which the best is taken.
        foreseen: Where a point would be evaluated.
        rng: Source of randomness.

    Returns:
        float64 [<= count, d].
    """
    d, m = center.size, n_objectives
    low, high = np.clip(center - lengths / 2.0, 0.0, 1.0), np.clip(center + lengths / 2.0, 0.0, 1.0)
    spread = qmc.Sobol(d, rng=rng).random_base2(math.ceil(math.log2(n_candidates)))[:n_candidates]
    moved = rng.random((n_candidates, d)) <= min(_MOVED / d, 1.0)
    still = np.flatnonzero(~moved.any(axis=1))
    moved[still, rng.integers(d, size=still.size)] = True
    U = np.unique(foreseen(np.where(moved, low + (high - low) * spread, center)), axis=0)
    with torch.no_grad():
        samples = model.posterior(torch.from_numpy(U)).rsample(torch.Size([count])).numpy()  # [count, n, m + k]
    good = Y[feasible][:, :m]
    open_rows, chosen = np.ones(U.shape[0], dtype=np.bool_), list[int]()
    for sample in samples:
        if not open_rows.any():
            break
        misses = np.maximum(sample[:, m:], 0.0).sum(axis=1)
        allowed = open_rows & (misses <= 0.0)
        if allowed.any():
            score = np.where(allowed, _worth(sample[:, :m], good if good.size else Y[:, :m], kind, rng), -np.inf)
        else:
            score = np.where(open_rows, -misses, -np.inf)
        chosen.append(int(np.argmax(score)))
        open_rows[chosen[-1]] = False
        good = np.concatenate([good, sample[chosen[-1:], :m]])
    return U[chosen]


def _worth(drawn_values: FloatArray, good: FloatArray, kind: Acquisition, rng: np.random.Generator) -> FloatArray:
    """How good drawn values are beside those that are there, float64 [n]; all are to be maximized."""
    m = drawn_values.shape[1]
    if m == 1:
        return drawn_values[:, 0]
    front = torch.from_numpy(good)
    front = front[is_non_dominated(front)]
    low, high = front.min(dim=0).values.numpy(), front.max(dim=0).values.numpy()
    scaled = (drawn_values - high) / np.where(high > low, high - low, 1.0)
    scalar: FloatArray = (rng.dirichlet(np.ones(m)) * scaled).min(axis=1) + 0.05 * scaled.mean(axis=1)
    if kind == "tchebycheff":
        return scalar
    corner = torch.tensor(reference_point(good, None), dtype=torch.double)
    lower, upper = FastNondominatedPartitioning(ref_point=corner, Y=front).get_hypercell_bounds().numpy()  # [cells, m]
    sides = np.minimum(drawn_values[:, None, :], upper) - lower  # [n, cells, m]
    added: FloatArray = np.maximum(sides, 0.0).prod(axis=2).sum(axis=1)
    return added if added.max() > 0.0 else scalar

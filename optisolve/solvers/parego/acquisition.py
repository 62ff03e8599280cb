"""What a point is expected to add, from means and deviations of its objectives.

All values are in minimization form. Improvements are given as logarithms, so that they still order points that add next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.solvers.moead.scalarize import dominated

__all__ = ["Acquisition", "Goal", "sobol"]

Acquisition = Literal["hypervolume", "tchebycheff"]

_N_SAMPLES, _N_DIRECTIONS = 32, 128
"""Draws of the objectives' posterior, and directions of a hypervolume; the same for all candidates."""
_AUGMENTED = 0.05
"""Weight of the sum in the augmented Tchebycheff value (Knowles 2006)."""
_BEYOND = 1.1
"""Where the box ends in which a front's hypervolume is counted, in widths of the front from its ideal point."""
_SOFT = 1e-3
"""Softness of an improvement by samples, in widths of the front."""
_LEAST = 1e-300


@dataclass(frozen=True, eq=False, slots=True)
class Goal:
    """What is improved on: the front so far.

    Args:
        best: float64 [n, m], values of the feasible points.
        ideal: float64 [m].
        width: float64 [m], > 0.
        front: bool [n], which of `best` no other dominates.
        kind: What counts as an improvement: of the front's hypervolume, or of a preference's Tchebycheff value.
        normal: float64 [q, m], draws of the standard normal distribution.
        directions: float64 [l, m], positive unit vectors.
    """

    best: FloatArray
    ideal: FloatArray
    width: FloatArray
    front: BoolArray
    kind: Acquisition
    normal: FloatArray = field(repr=False)
    directions: FloatArray = field(repr=False)

    @classmethod
    def of(cls, Y: FloatArray, kind: Acquisition, rng: np.random.Generator) -> Goal:
        """The goal given values of the feasible points, float64 [n, m]."""
        m = Y.shape[1]
        front = ~dominated(Y)
        ideal, nadir = Y[front].min(axis=0), Y[front].max(axis=0)
        spread = Y.max(axis=0) - ideal
        width = np.where(nadir - ideal > 1e-9 * np.maximum(spread, _LEAST), nadir - ideal, np.where(spread > 0.0, spread, 1.0))
        normal = ndtri(np.clip(sobol(rng, m, _N_SAMPLES), 1e-6, 1.0 - 1e-6))
        directions = np.abs(ndtri(np.clip(sobol(rng, m, _N_DIRECTIONS), 1e-6, 1.0 - 1e-6)))
        directions = np.maximum(directions / np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
        return cls(Y, ideal, width, front, kind, normal, directions)

    def with_point(self, y: FloatArray) -> Goal:
        """The same with one more value, float64 [m], that of a pending point."""
        best = np.vstack([self.best, y])
        return Goal(best, self.ideal, self.width, ~dominated(best), self.kind, self.normal, self.directions)

    def scalar(self, Y: FloatArray, weight: FloatArray) -> FloatArray:
        """Augmented Tchebycheff values, float64 [...], of Y, float64 [..., m]."""
        parts = weight * (Y - self.ideal) / self.width
        value: FloatArray = parts.max(axis=-1) + _AUGMENTED * parts.sum(axis=-1)
        return value

    def log_improvement(self, mean: FloatArray, deviation: FloatArray, weight: FloatArray) -> FloatArray:
        """Logarithm of the expected improvement.

        Args:
            mean: float64 [n, m].
            deviation: float64 [n, m], > 0.
            weight: float64 [m], the preference; of no concern to the hypervolume.

        Returns:
            float64 [n]. Points that add nothing that a number can tell are ordered by their means.
        """
        if self.kind == "tchebycheff":
            improvement = self._of_scalar(mean, deviation, weight)
        else:
            mu, sigma = (mean - self.ideal) / self.width, deviation / self.width
            front = (self.best[self.front] - self.ideal) / self.width
            improvement = {1: _of_one, 2: _of_two}.get(mean.shape[1], self._of_many)(mu, sigma, front)
        tie = 1e-9 * ((mean - self.ideal) / self.width).sum(axis=1)
        logarithm: FloatArray = np.log(np.maximum(improvement, _LEAST)) - tie
        return logarithm

    def _of_scalar(self, mean: FloatArray, deviation: FloatArray, weight: FloatArray) -> FloatArray:
        """Of the augmented Tchebycheff value, by samples with a softplus (Ament et al. 2023, arXiv 2310.20708), float64 [n]."""
        drawn = mean[:, None, :] + deviation[:, None, :] * self.normal  # [n, q, m]
        better = self.scalar(self.best, weight).min() - self.scalar(drawn, weight)  # [n, q]
        improvement: FloatArray = _SOFT * np.logaddexp(0.0, better / _SOFT).mean(axis=1)
        return improvement

    def _of_many(self, mu: FloatArray, sigma: FloatArray, front: FloatArray) -> FloatArray:
        """Of the hypervolume of three objectives and more, up to a factor, float64 [n].

        A hypervolume is a mean over directions of powers of the distance to the box's corner, Golovin & Zhang 2020,
        arXiv 2006.04655, lemma 5; the expectation over the posterior is by samples.
        """
        m = mu.shape[1]
        reach = (_BEYOND - front)[:, None, :] / self.directions  # [k, l, m]
        held = np.maximum(reach.min(axis=2), 0.0).max(axis=0) ** m  # [l]
        total = np.zeros(mu.shape[0])
        for draw in self.normal:
            drawn = mu + sigma * draw  # [n, m]
            length = ((_BEYOND - drawn)[:, None, :] / self.directions).min(axis=2)  # [n, l]
            total += np.maximum(np.maximum(length, 0.0) ** m - held, 0.0).mean(axis=1)
        return total / self.normal.shape[0]


def _of_one(mu: FloatArray, sigma: FloatArray, front: FloatArray) -> FloatArray:
    """Expected improvement of one objective, float64 [n] (Jones et al. 1998, doi 10.1023/A:1008306431147, eq. 15)."""
    return _below(front.min(axis=0), mu, sigma)[:, 0]


def _of_two(mu: FloatArray, sigma: FloatArray, front: FloatArray) -> FloatArray:
    """Expected improvement of the hypervolume of two objectives, exact, float64 [n].

    The region that the front leaves open is cut into strips along the first objective; in each the expectation is a product.

    Source: Emmerich, Yang, Deutz, Wang & Fonseca 2016, doi 10.1007/978-3-319-29975-4_8, section 5 (in other words).
    """
    front = front[(front < _BEYOND).all(axis=1)]
    front = front[np.argsort(front[:, 0], kind="stable")]
    ends = np.append(front[:, 0], _BEYOND)  # where strips end
    heights = np.append(_BEYOND, front[:, 1])
    width = np.diff(_below(ends, mu[:, :1], sigma[:, :1]), axis=1, prepend=0.0)  # [n, k]
    improvement: FloatArray = (width * _below(heights, mu[:, 1:], sigma[:, 1:])).sum(axis=1)
    return improvement


def _below(t: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    """Expectation of max(t - Y, 0) for a normal Y, float64 [n, k], of t, float64 [k], and mu, sigma, float64 [n, 1]."""
    z = (t - mu) / sigma
    expectation: FloatArray = sigma * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
    return np.maximum(expectation, 0.0)


def sobol(rng: np.random.Generator, d: int, n: int) -> FloatArray:
    """Scrambled Sobol points, float64 [n, d]."""
    if n == 0:
        return np.empty((0, d))
    points: FloatArray = qmc.Sobol(d, rng=rng).random_base2(max(0, math.ceil(math.log2(n))))[:n]
    return points

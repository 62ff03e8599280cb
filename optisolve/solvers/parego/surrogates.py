"""What the processes say of candidates, and what candidates are judged by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

from optisolve.core.arrays import FloatArray
from optisolve.numerics.gaussian_process import GaussianProcess
from optisolve.solvers.parego.acquisition import Goal

__all__ = ["Sought", "Surrogates"]

_CLIMB = 30
"""Iterations for which candidates climb the acquisition's gradient together."""


@dataclass(slots=True)
class Surrogates:
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

    def believing(self, u: FloatArray) -> Surrogates:
        """The same with a pending point."""
        objectives, constraints = ([process.believing(u) for process in group] for group in (self.objectives, self.constraints))
        return Surrogates(objectives, constraints, self.levels)


@dataclass(frozen=True, slots=True)
class Sought:
    """What candidates are judged by: the acquisition.

    Args:
        surrogates: What is believed.
        goal: What is improved on.
        weight: float64 [m], the preference.
    """

    surrogates: Surrogates
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

r"""The SOCP of `cell_free` in CVXPY, the two searches over it, and a dual bound in closed form.

Write n_k(a) for the signal amplitude and d_k(a) for the root of noise plus interference: the worst SINR is the square of
:math:`\max_a \min_k n_k / d_k`, a ratio of a linear and a convex function. For a level t,

.. math:: v(t) = \max_a \min_k (n_k(a) / t - d_k(a)) / c_k

is an SOCP with any scales c_k > 0, positive below the optimal level and negative above it. `CellFreeModel` moves t to the level
of the last point (generalized Dinkelbach, c_k = d_k of that point). The textbook halves a bracket by the sign of v.

The dual bound. For weights mu >= 0 and unit vectors u_k, :math:`d_k(a) \ge u_{k0} + \sum_m u_{km}\sqrt{\beta_{mk}}\,|a_m|`, so
:math:`\max_a \sum_k \mu_k (n_k - t d_k)` is at most

.. math:: \sum_m \max(0, |(\mu_k \sqrt{\gamma_{mk}})_k| - t \sum_k \mu_k u_{km} \sqrt{\beta_{mk}}) - t \sum_k \mu_k u_{k0},

and a level where this is not positive is not exceeded by any a. (beta and gamma include rho.)

Source: Ngo et al. 2017 (bisection); Crouzeix, Ferland and Schaible 1985 (generalized Dinkelbach); the bound is derived here.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import so_far
from optisolve.core.memory import require_room, room_bytes
from optisolve.core.status import Limit, Termination
from optisolve.modelling import ModelAnswer
from optisolve.modelling.cvxpy import Parametrized, Solved, cvxpy_answer, cvxpy_module
from optisolve.problems.cell_free import model

__all__ = ["REL_TOLERANCE", "CellFreeModel", "compiled", "level_bound", "rounding"]

REL_TOLERANCE = 1e-6
"""Relative distance of levels (square roots of SINR) at which the search ends."""

MAX_SOLVES = 30

_BYTES = 22.0
"""Memory of cvxpy's compilation per access point squared and user cubed, measured from 64 x 10 to 100 x 16."""


@cache
def compiled(n_access_points: int, n_users: int) -> Parametrized:
    """max s subject to n_k / (t c_k) - d_k / c_k >= s, compiled once per shape; the division is done in the parameters."""
    cp = cvxpy_module()
    shape = (n_access_points, n_users)
    a, load = cp.Variable(shape, name="a", nonneg=True), cp.Variable(n_access_points, name="load", nonneg=True)
    margin = cp.Variable(name="margin")
    root_gamma = cp.Parameter(shape, name="root_gamma", nonneg=True)
    root_beta = cp.Parameter(shape, name="root_beta", nonneg=True)
    noise = cp.Parameter(n_users, name="noise", nonneg=True)
    constraints = [load <= 1.0, cp.SOC(load, a, axis=1)]
    rates = [
        cp.sum(cp.multiply(root_gamma[:, k], a[:, k])) - margin
        >= cp.norm(cp.hstack([noise[k], cp.multiply(root_beta[:, k], load)]))
        for k in range(n_users)
    ]
    return Parametrized(
        cp.Problem(cp.Maximize(margin), constraints + rates), duals={f"rate{k}": c for k, c in enumerate(rates)}
    )


def level_bound(beta: FloatArray, gamma: FloatArray, weights: FloatArray, a: FloatArray) -> float:
    """Upper bound on min_k n_k / d_k, see the module's head.

    Args:
        beta: float64 [M, K], with rho.
        gamma: float64 [M, K], with rho.
        weights: float64 [K], mu >= 0, not all zero.
        a: float64 [M, K], the point whose d_k gives the unit vectors.
    """
    weights = weights / weights.max()
    load = np.sqrt((a * a).sum(axis=1))
    rows = np.vstack([np.ones(beta.shape[1]), load[:, None] * np.sqrt(beta)])  # [1 + M, K]
    unit = rows / np.linalg.norm(rows, axis=0)
    gain = np.linalg.norm(weights * np.sqrt(gamma), axis=1)  # [M]
    slope = (weights * unit[1:] * np.sqrt(beta)).sum(axis=1)  # [M]
    noise = float((weights * unit[0]).sum())

    def excess(t: float) -> float:
        return float(np.maximum(gain - t * slope, 0.0).sum()) - t * noise

    high = float(gain.sum()) / noise
    low = high
    while excess(low) < 0.0:
        low, high = 0.5 * low, low
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return high * (1.0 + rounding(beta.shape))


def rounding(shape: tuple[int, ...]) -> float:
    """Relative rounding of a bound, and of a rate beside it: sums of products over access points and users."""
    return 16.0 * (sum(shape) + 8.0) * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, slots=True)
class CellFreeModel:
    """The model that an instance hands out for ``"cvxpy"``.

    Args:
        beta: float64 [M, K], large-scale gains times rho.
        gamma: float64 [M, K], estimates' gains times rho.
    """

    beta: FloatArray
    gamma: FloatArray

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """Raise the level to that of the last point until the dual bound is met."""
        start = time.perf_counter()
        best = np.sqrt(self.gamma / self.gamma.sum(axis=1, keepdims=True))
        low, high, iterations, solves = self.level(best), math.inf, 0, 0
        detail, back_off, termination, limit = "", 1.0, Termination.LIMIT, Limit.ITERATIONS
        so_far(self._answer(best, high, Termination.LIMIT, Limit.TIME, "full power of every access point", 0, 0))
        self._require_room()
        while high > low * (1.0 + REL_TOLERANCE) and solves < MAX_SOLVES:
            left = None if time_limit_s is None else time_limit_s - (time.perf_counter() - start)
            solved, a = self.at_level(low * back_off, best, left)
            solves, iterations, detail = solves + 1, iterations + solved.iterations, solved.detail
            if solved.termination is Termination.NUMERICAL_ERROR and back_off > 0.5:
                back_off *= 0.9  # another level of the same search often goes through
                continue
            if solved.termination not in (Termination.OPTIMAL, Termination.CONVERGED) or a is None:
                termination, limit = solved.termination, solved.limit or limit
                break
            duals = np.array([solved.duals[f"rate{k}"][0] for k in range(self.beta.shape[1])])
            weights = np.maximum(duals, 0.0) / self.deviation(best)
            if weights.any():
                high = min(high, level_bound(self.beta, self.gamma, weights, a))
            level = self.level(a)
            if level <= low:  # no progress left in the back end's accuracy
                termination = Termination.CONVERGED
                break
            low, best = level, a
            so_far(self._answer(best, high, Termination.LIMIT, Limit.TIME, detail, iterations, solves))
        if high <= low * (1.0 + REL_TOLERANCE):
            termination = Termination.OPTIMAL
        return self._answer(best, high, termination, limit, detail, iterations, solves)

    def _require_room(self) -> None:
        """Refuse what cvxpy's compilation would fill the memory with."""
        m, k = self.beta.shape
        fits = int((room_bytes() / (_BYTES * m**2)) ** (1.0 / 3.0))
        cure = f"n_users={max(fits, 1)} would fit these access points; other solvers (moead_de, scipy_local) need less."
        require_room(_BYTES * m**2 * k**3, f"The SOCP of cell_free with n_access_points={m}, n_users={k}", cure)

    def _answer(
        self, a: FloatArray, level: float, termination: Termination, limit: Limit, detail: str, iterations: int, solves: int
    ) -> ModelAnswer:
        bound = math.log1p(level**2) / math.log(2.0) if math.isfinite(level) else None
        limited = limit if termination is Termination.LIMIT else None
        return cvxpy_answer(termination, a.ravel(), bound, limit=limited, detail=detail, iterations=iterations, solves=solves)

    def at_level(self, t: float, scale_point: FloatArray, time_limit_s: float | None) -> tuple[Solved, FloatArray | None]:
        """Solve the SOCP at a level; the point float64 [M, K], projected on the power limits."""
        scale = self.deviation(scale_point)
        solved = compiled(*self.beta.shape).solve(
            # By t as well: near the optimum all terms are near 1, whatever the unit or the signal-to-noise ratio
            {
                "root_gamma": np.sqrt(self.gamma) / (t * scale),
                "root_beta": np.sqrt(self.beta) / scale,
                "noise": 1.0 / scale,
            },
            time_limit_s=time_limit_s,
        )
        if not solved.values:
            return solved, None
        a = np.maximum(solved.values["a"], 0.0).reshape(1, -1)
        return solved, model.project(self.beta.shape, a).reshape(self.beta.shape)

    def deviation(self, a: FloatArray) -> FloatArray:
        """d_k, float64 [K], of amplitudes, float64 [M, K]."""
        found: FloatArray = np.sqrt(((a * a).sum(axis=1)[:, None] * self.beta).sum(axis=0) + 1.0)
        return found

    def level(self, a: FloatArray) -> float:
        """min_k n_k / d_k, the root of the worst SINR."""
        return math.sqrt(float(model.sinr(self.beta, self.gamma, a[None]).min()))

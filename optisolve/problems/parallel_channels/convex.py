"""CVXPY for `parallel_channels`: one concave program, compiled once per number of channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.modelling import ModelAnswer
from optisolve.modelling.cvxpy import Parametrized, cvxpy_answer, cvxpy_module

__all__ = ["LeastBudgetModel", "WaterFillingModel", "compiled"]


@cache
def compiled(n_channels: int, max_iterations: int | None = None) -> Parametrized:
    """``max sum_m w_m log(1 + snr_m s_m)`` over power shares s.

    Args:
        n_channels: Channels M.
        max_iterations: Limit of the interior-point method; None for its own.
    """
    cp = cvxpy_module()
    snr = cp.Parameter(n_channels, name="snr", nonneg=True)
    weight = cp.Parameter(n_channels, name="weight", nonneg=True)
    share = cp.Variable(n_channels, name="share", nonneg=True)
    # A product of two parameters is not DPP, hence rates of their own between them.
    nats = cp.Variable(n_channels, name="nats")
    constraints = [cp.sum(share) <= 1.0, nats <= cp.log1p(cp.multiply(snr, share))]
    options: Mapping[str, float | int] = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
    limits = {} if max_iterations is None else {"max_iter": max_iterations}
    return Parametrized(cp.Problem(cp.Maximize(weight @ nats), constraints), options={**options, **limits})


@dataclass(frozen=True, eq=False, slots=True)
class WaterFillingModel:
    """What the instance hands out for ``"cvxpy"``.

    Args:
        snr_per_w: float64 [M], gain over noise, 1/W.
        weight: float64 [M].
        p_total_w: Budget, W.
        max_iterations: Limit of the interior-point method; None for its own.
    """

    snr_per_w: FloatArray
    weight: FloatArray
    p_total_w: float
    max_iterations: int | None = None

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """Solve it; the shares are cut back to the budget, which interior-point methods miss by 1e-9.

        Args:
            time_limit_s: Wall-clock limit, s.
        """
        parameters = {"snr": self.snr_per_w * self.p_total_w, "weight": self.weight}
        solved = compiled(self.weight.size, self.max_iterations).solve(parameters, time_limit_s=time_limit_s)
        powers = None
        if solved.values:
            share = np.maximum(solved.values["share"], 0.0)
            powers = self.p_total_w * share / max(1.0, float(share.sum()))
        bound = None if solved.dual_bound is None else solved.dual_bound / log(2.0)
        return cvxpy_answer(
            solved.termination, powers, bound, limit=solved.limit, detail=solved.detail, iterations=solved.iterations
        )


@cache
def compiled_least_budget(n_channels: int) -> Parametrized:
    """``min sum_m s_m  s.t.  sum_m log(1 + snr_m s_m) >= nats`` over power shares s."""
    cp = cvxpy_module()
    snr = cp.Parameter(n_channels, name="snr", nonneg=True)
    asked = cp.Parameter(name="asked", nonneg=True)
    share = cp.Variable(n_channels, name="share", nonneg=True)
    nats = cp.Variable(n_channels, name="nats")
    constraints = [cp.sum(nats) >= asked, nats <= cp.log1p(cp.multiply(snr, share)), cp.sum(share) <= 1.0]
    options: Mapping[str, float | int] = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-9, "tol_feas": 1e-10}
    return Parametrized(cp.Problem(cp.Minimize(cp.sum(share)), constraints), options=options)


@dataclass(frozen=True, eq=False, slots=True)
class LeastBudgetModel:
    """The least total power that reaches a sum rate.

    Args:
        snr_per_w: float64 [M], gain over noise, 1/W.
        p_total_w: Budget, W.
        sum_rate: What is asked, bit/s/Hz.
    """

    snr_per_w: FloatArray
    p_total_w: float
    sum_rate: float

    def solve(self, *, time_limit_s: float | None = None) -> ModelAnswer:
        """Solve it; the point is raised by the rounding of the interior-point method, so that the rate is met.

        Args:
            time_limit_s: Wall-clock limit, s.
        """
        asked = np.array(max(0.0, self.sum_rate) * log(2.0))
        parameters = {"snr": self.snr_per_w * self.p_total_w, "asked": asked}
        solved = compiled_least_budget(self.snr_per_w.size).solve(parameters, time_limit_s=time_limit_s)
        powers = None
        if solved.values:
            powers = self.p_total_w * np.maximum(solved.values["share"], 0.0)
            for _ in range(60):  # at most 1e-6 relative
                if np.log1p(self.snr_per_w * powers).sum() >= max(0.0, self.sum_rate) * log(2.0):
                    break
                powers = powers * (1.0 + 1e-8)
            powers = powers / max(1.0, float(powers.sum()) / self.p_total_w)
        bound = None if solved.dual_bound is None else max(0.0, solved.dual_bound * self.p_total_w)
        return cvxpy_answer(
            solved.termination, powers, bound, limit=solved.limit, detail=solved.detail, iterations=solved.iterations
        )

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
from optisolve.numerics.water_filling import dual_value, net_rates

__all__ = ["LeastBudgetModel", "WaterFillingModel", "compiled"]


@cache
def compiled(n_channels: int, max_iterations: int | None = None) -> Parametrized:
    """``max sum_m w_m log(1 + snr_m s_m)`` over power shares s, rates counted in units of ``unit`` nats.

    Args:
        n_channels: Channels M.
        max_iterations: Limit of the interior-point method; None for its own.
    """
    cp = cvxpy_module()
    snr = cp.Parameter(n_channels, name="snr", nonneg=True)
    weight = cp.Parameter(n_channels, name="weight", nonneg=True)
    share = cp.Variable(n_channels, name="share", nonneg=True)
    # A product of two parameters is not DPP, hence rates of their own between them.
    rate, unit = cp.Variable(n_channels, name="rate"), cp.Parameter(name="unit", pos=True)
    budget = cp.sum(share) <= 1.0
    constraints = [budget, unit * rate <= cp.log1p(cp.multiply(snr, share))]
    options: Mapping[str, float | int] = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
    limits = {} if max_iterations is None else {"max_iter": max_iterations}
    problem = cp.Problem(cp.Maximize(weight @ rate), constraints)
    return Parametrized(problem, options={**options, **limits}, duals={"budget": budget})


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

        The bound is the Lagrangian at the price that the back end found, which holds for every price.

        Args:
            time_limit_s: Wall-clock limit, s.
        """
        snr, heaviest = self.snr_per_w * self.p_total_w, float(self.weight.max())
        unit = float((self.weight / heaviest * np.log1p(snr)).max())  # what the best channel gets from the whole budget
        parameters = {"snr": snr, "weight": self.weight / heaviest, "unit": np.array(unit)}
        solved = compiled(self.weight.size, self.max_iterations).solve(parameters, time_limit_s=time_limit_s)
        powers = None
        if solved.values:
            share = np.maximum(solved.values["share"], 0.0)
            powers = self.p_total_w * share / max(1.0, float(share.sum()))
        price = float(solved.duals["budget"][0]) * heaviest * unit if solved.duals else 0.0  # nats for the whole budget
        bound = dual_value(self.snr_per_w, self.weight, self.p_total_w, self.p_total_w / price) if price > 0.0 else None
        return cvxpy_answer(
            solved.termination, powers, bound, limit=solved.limit, detail=solved.detail, iterations=solved.iterations
        )


_MOST_NATS = 300.0
"""Nats whose exponential is still a power; nobody asks for more."""


@cache
def compiled_least_budget(n_channels: int) -> Parametrized:
    """``min sum_m s_m  s.t.  sum_m log(1 + snr_m s_m) >= asked, sum_m s_m <= most`` over powers s in a unit of their own.

    Rates are counted in units of ``unit`` nats.
    """
    cp = cvxpy_module()
    snr = cp.Parameter(n_channels, name="snr", nonneg=True)
    asked, most = cp.Parameter(name="asked", nonneg=True), cp.Parameter(name="most", pos=True)
    share = cp.Variable(n_channels, name="share", nonneg=True)
    rate, unit = cp.Variable(n_channels, name="rate"), cp.Parameter(name="unit", pos=True)
    within = [unit * rate <= cp.log1p(cp.multiply(snr, share)), cp.sum(share) <= most]
    reached = cp.sum(rate) >= asked
    constraints = [reached, *within]
    options: Mapping[str, float | int] = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-9, "tol_feas": 1e-10}
    problem = cp.Problem(cp.Minimize(cp.sum(share)), constraints)
    return Parametrized(problem, options=options, duals={"reached": reached})


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
        asked = max(0.0, self.sum_rate) * log(2.0)
        alone = np.expm1(min(asked, _MOST_NATS)) / float(self.snr_per_w.max())  # the best channel alone, never less than needed
        unit_w = float(min(self.p_total_w, alone)) or self.p_total_w
        unit = asked or 1.0
        parameters = {
            "snr": self.snr_per_w * unit_w,
            "asked": np.array(asked / unit),
            "most": np.array(self.p_total_w / unit_w),
            "unit": np.array(unit),
        }
        solved = compiled_least_budget(self.snr_per_w.size).solve(parameters, time_limit_s=time_limit_s)
        powers = None
        if solved.values:
            powers = unit_w * np.maximum(solved.values["share"], 0.0)
            for _ in range(60):  # at most 1e-6 relative
                if np.log1p(self.snr_per_w * powers).sum() >= asked:
                    break
                powers = powers * (1.0 + 1e-8)
            powers = powers / max(1.0, float(powers.sum()) / self.p_total_w)
        bound = None
        if solved.duals:  # the Lagrangian at the price that the back end found, W per nat, which holds for every price
            price = float(solved.duals["reached"][0]) * unit_w / unit
            net = net_rates(self.snr_per_w, np.full(self.snr_per_w.size, price), 1.0, self.p_total_w)
            bound = max(0.0, price * asked * (1.0 - 1e-15 * net.size) - float(net.sum()) * (1.0 + 1e-15 * net.size))
        return cvxpy_answer(
            solved.termination, powers, bound, limit=solved.limit, detail=solved.detail, iterations=solved.iterations
        )

"""Goals on `parallel_channels`: metrics, native instances, satisfiability by water-filling, the price of power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.metric import Bound, Feasibility, Metric, tightest
from optisolve.numerics.water_filling import dual_value, water_fill
from optisolve.problems.parallel_channels import model

if TYPE_CHECKING:
    from optisolve.goals.goal import GoalObjective

__all__ = ["budget_price", "feasibility", "is_least_budget", "metric_values", "metrics", "native_arrays"]


def metrics(n_channels: int) -> tuple[Metric, ...]:
    """The sum rate, without weights, and powers."""
    return (
        Metric("sum_rate", "bit/s/Hz", "sum rate", True, 0, ("rate", "sum rate", "total rate", "throughput", "capacity")),
        Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power")),
        Metric("power", "W", "power of one channel", False, n_channels, ("power",)),
    )


def metric_values(P: FloatArray, gain: FloatArray, noise_w: FloatArray) -> Mapping[str, FloatArray]:
    """By name, from powers float64 [n, M], W."""
    return {
        "sum_rate": model.weighted_rate(P, gain, noise_w, np.ones(gain.size)),
        "total_power": np.asarray(P.sum(axis=1)),
        "power": P,
    }


def native_arrays(
    arrays: Mapping[str, FloatArray], objective: GoalObjective | None, bounds: Sequence[Bound]
) -> tuple[dict[str, FloatArray] | None, tuple[Bound, ...]]:
    """The arrays of an instance for the goal, None when its objective is another one; and the bounds left over."""
    rest = [b for b in bounds if (b.metric, b.upper) != ("total_power", True)]
    budget = tightest(bounds, "total_power", None, upper=True, default=float(arrays["p_total_w"]))
    if budget <= 0.0:
        return None, tuple(bounds)
    changed = {**arrays, "p_total_w": frozen(budget)}
    if objective is not None:
        terms = [(t.metric, t.users) for t in objective.terms]
        if objective.sense != "max" or terms != [("sum_rate", ())]:
            return None, tuple(rest)
        changed["weight"] = frozen(np.ones(arrays["gain"].size))
    return changed, tuple(rest)


def is_least_budget(objective: GoalObjective | None, bounds: Sequence[Bound]) -> bool:
    """Least total power for a sum rate and nothing else."""
    aims = objective is not None and objective.sense == "min" and [t.metric for t in objective.terms] == ["total_power"]
    return aims and bool(bounds) and all((b.metric, b.upper) == ("sum_rate", False) for b in bounds)


def feasibility(snr_per_w: FloatArray, p_total_w: float, bounds: Sequence[Bound]) -> Feasibility:
    """Exact for a sum rate from below and a total power from above."""
    if any((b.metric, b.upper) not in {("sum_rate", False), ("total_power", True)} for b in bounds):
        return Feasibility(None, "bounds other than a least sum rate and a largest total power are not decided in advance")
    budget = tightest(bounds, "total_power", None, upper=True, default=p_total_w)
    asked = tightest(bounds, "sum_rate", None, upper=False, default=0.0)
    if budget < 0.0 or (budget == 0.0 and asked > 0.0):
        return Feasibility(False, "a power cannot be negative, and without power there is no rate")
    if asked <= 0.0:
        return Feasibility(True, "zero power does")
    ones = np.ones(snr_per_w.size)
    powers, level = water_fill(snr_per_w, ones, budget)
    reached = float(np.log1p(snr_per_w * powers).sum() / np.log(2.0))
    forgiven = FEASIBILITY_TOLERANCE * budget / (level * np.log(2.0))  # what spending more than the budget is worth at most
    most = dual_value(snr_per_w, ones, budget, level) + forgiven
    if most < asked * (1.0 - FEASIBILITY_TOLERANCE):
        return Feasibility(False, f"{budget:.6g} W reach a sum rate of {most:.6g} bit/s/Hz at most, {asked:.6g} are asked")
    if reached * (1.0 + 1e-12) < asked:
        return Feasibility(None, f"{budget:.6g} W reach {reached!r} bit/s/Hz, within the tolerance of what is asked")
    return Feasibility(True, f"{budget:.6g} W reach {reached:.6g} bit/s/Hz")


def budget_price(snr_per_w: FloatArray, weight: FloatArray, p_total_w: float) -> Mapping[str, float]:
    """``0.01 P / (level ln 2)``: rate gained by 1 % more budget, bit/s/Hz."""
    _, level = water_fill(snr_per_w, weight, p_total_w)
    return {"power_budget": float(0.01 * p_total_w / (level * np.log(2.0)))}

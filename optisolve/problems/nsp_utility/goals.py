"""Goals on `nsp_utility`: each primitive intent is a metric; all combinations of floors are convex and decided by CVXPY."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.status import Termination
from optisolve.goals.metric import Bound, Feasibility, Metric, effective, tightest
from optisolve.problems.nsp_utility import model
from optisolve.problems.nsp_utility.model import Constants, Goal

if TYPE_CHECKING:
    from optisolve.goals.goal import GoalObjective

__all__ = ["METRICS", "constants_for", "feasibility", "metric_values", "native_goal", "own_bounds"]

METRICS: tuple[Metric, ...] = (
    Metric("rate", "bit/s", "data rate", True, 0, ("rate", "data rate", "bit rate", "speed")),
    Metric("outage", "", "outage probability", False, 0, ("outage", "outage probability")),
    Metric("availability", "", "availability", True, 0, ("availability",)),
    Metric("bit_error", "", "bit error probability", False, 0, ("bit error", "bit error probability", "bit error rate", "ber")),
    Metric("throughput", "bit/s", "effective throughput", True, 0, ("throughput", "effective throughput")),
    Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power")),
)

_NATIVE = {("rate", False), ("outage", True), ("availability", False), ("bit_error", True), ("total_power", True)}
_GOALS: Mapping[tuple[str, str], Goal] = {
    ("max", "rate"): "rate",
    ("max", "availability"): "availability",
    ("min", "outage"): "availability",
    ("min", "bit_error"): "bep",
    ("max", "throughput"): "throughput",
    ("min", "total_power"): "energy",
}


def metric_values(P: FloatArray, c: Constants, gain: FloatArray) -> Mapping[str, FloatArray]:
    """By name, from powers float64 [n, M], W."""
    snr = P * (gain / c.noise_w)
    rate, exponent = 1e6 * model.rate_mbps(c, snr), model.availability_exponent(c, snr)
    available = np.exp(-exponent)
    return {
        "rate": rate,
        "outage": -np.expm1(-exponent),
        "availability": available,
        "bit_error": model.bit_error(snr),
        "throughput": rate * available,
        "total_power": np.asarray(P.sum(axis=1)),
    }


def own_bounds(c: Constants) -> tuple[Bound, ...]:
    """The scenario's floors; its cap on the total power is physics and always holds."""
    told = []
    if c.outage_max is not None:
        told.append(Bound("outage", None, True, c.outage_max))
    if c.bep_max is not None:
        told.append(Bound("bit_error", None, True, c.bep_max))
    if c.rate_min_mbps is not None:
        told.append(Bound("rate", None, False, 1e6 * c.rate_min_mbps))
    return tuple(told)


def native_goal(objective: GoalObjective | None) -> Goal | None:
    """The family's goal that an objective means; None when there is none or the objective is the scenario's own."""
    if objective is None or len(objective.terms) != 1:
        return None
    return _GOALS.get((objective.sense, objective.terms[0].metric))


def constants_for(
    c: Constants, goal: Goal | None, bounds: Sequence[Bound], *, keep: bool
) -> tuple[Constants, tuple[Bound, ...]]:
    """The constants with other floors and what is paid for, and the bounds that they cannot express.

    Args:
        c: As drawn.
        goal: What is optimized; None keeps the scenario's utility.
        bounds: What the goal asks.
        keep: Keep floors that the goal says nothing about.
    """
    held = effective(own_bounds(c), bounds, keep=keep)
    rest = [b for b in bounds if (b.metric, b.upper) not in _NATIVE]
    outage = tightest(held, "outage", None, upper=True, default=np.inf)
    outage = min(outage, 1.0 - tightest(held, "availability", None, upper=False, default=0.0))
    error = tightest(held, "bit_error", None, upper=True, default=np.inf)
    rate = tightest(held, "rate", None, upper=False, default=0.0)
    power = tightest(held, "total_power", None, upper=True, default=c.p_total_w)
    if outage <= 0.0 or error <= 0.0 or power <= 0.0:  # not expressible; as plain bounds they cannot be met either
        rest += [b for b in bounds if (b.metric, b.upper) in _NATIVE and (b.metric, b.upper) != ("rate", False)]
        outage, error, power = max(outage, 1e-9), max(error, 1e-9), c.p_total_w
    changed = dataclasses.replace(
        c,
        outage_max=outage if outage < 1.0 else None,
        bep_max=error if error < 0.5 else None,
        rate_min_mbps=1e-6 * rate if rate > 0.0 else None,
        p_total_w=power,
    )
    if goal is not None:
        paid = {"payment_base": 0.0, "payment": 1.0, "price_per_w": 0.0}
        changed = dataclasses.replace(changed, goal=goal, **paid)
        if goal == "energy":
            changed = dataclasses.replace(changed, p_circuit_w=c.p_circuit_w)
    return changed, tuple(rest)


def feasibility(c: Constants, gain: FloatArray, bounds: Sequence[Bound]) -> Feasibility:
    """By the least power that meets all floors: a convex program with our own dual bound."""
    from optisolve.problems.nsp_utility.convex import NspModel

    if any((b.metric, b.upper) not in _NATIVE for b in bounds):
        return Feasibility(None, "bounds in this direction are not convex and not decided in advance")
    if any(b.upper and b.value <= 0.0 for b in bounds) or any(b.metric == "availability" and b.value >= 1.0 for b in bounds):
        return Feasibility(False, "a probability of error or outage, or a total power, cannot reach 0 with finite power")
    asked, _ = constants_for(c, "energy", bounds, keep=False)
    if asked.outage_max is None and asked.bep_max is None and asked.rate_min_mbps is None:
        return Feasibility(True, "nothing is asked that zero power would not do")
    answer = NspModel(asked, gain).solve()
    if answer.termination is Termination.INFEASIBLE:
        return Feasibility(False, f"{answer.detail} (at most {asked.p_total_w:g} W in total)")
    if answer.x is None or model.evaluate(asked, gain, answer.x[None])[1].max() > FEASIBILITY_TOLERANCE:
        return Feasibility(None, answer.detail)
    return Feasibility(True, f"{float(answer.x.sum()):.6g} W meet all of it")

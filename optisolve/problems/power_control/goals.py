"""Goals on `power_control`: metrics, native instances, exact satisfiability of floors and caps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.metric import Bound, Feasibility, Metric, effective, tightest
from optisolve.numerics.interference import MOST_BITS, coupling, least_powers
from optisolve.problems.power_control import model
from optisolve.problems.power_control.model import Goal, Links

if TYPE_CHECKING:
    from optisolve.goals.goal import GoalObjective

__all__ = ["feasibility", "floor_prices", "metric_values", "metrics", "native_goal", "native_links", "own_bounds"]

_NATIVE = {("rate", False), ("power", True)}
_DECIDED = {*_NATIVE, ("total_power", True)}


def metrics(links: Links) -> tuple[Metric, ...]:
    """Rates and powers of links, and what they add up to."""
    n, full = links.noise_w.size, float(links.p_max_w.sum())
    return (
        Metric("rate", "bit/s/Hz", "spectral efficiency", True, n, ("rate", "throughput", "spectral efficiency", "data rate")),
        Metric("sum_rate", "bit/s/Hz", "sum rate", True, 0, ("sum rate", "total rate", "total throughput", "capacity")),
        Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power"), full),
        Metric("power", "W", "transmit power of one user", False, n, ("power", "transmit power")),
        Metric("energy_efficiency", "", "sum rate per watt consumed", True, 0, ("energy efficiency", "efficiency")),
    )


def metric_values(P: FloatArray, links: Links) -> Mapping[str, FloatArray]:
    """By name, from powers float64 [n, K], W."""
    rate = model.rates(P, links)
    return {
        "rate": rate,
        "sum_rate": np.asarray(rate.sum(axis=1)),
        "total_power": np.asarray(P.sum(axis=1)),
        "power": P,
        "energy_efficiency": model.objective(P, links, Goal.ENERGY_EFFICIENCY),
    }


def own_bounds(links: Links) -> tuple[Bound, ...]:
    """The scenario's minimum rates."""
    return tuple(Bound("rate", k, False, float(r)) for k, r in enumerate(links.min_rate_bit_s_hz) if r > 0.0)


def native_goal(objective: GoalObjective | None, own: Goal) -> Goal | None:
    """The family's goal that an objective means, or None."""
    if objective is None:
        return own
    if len(objective.terms) != 1 or objective.terms[0].users:
        return None
    known = {
        ("max", "sum_rate"): Goal.SUM_RATE,
        ("max", "rate"): Goal.SUM_RATE,  # without users it is the sum over all
        ("maxmin", "rate"): Goal.MAX_MIN,
        ("min", "total_power"): Goal.MIN_POWER,
        ("min", "power"): Goal.MIN_POWER,
        ("max", "energy_efficiency"): Goal.ENERGY_EFFICIENCY,
    }
    return known.get((objective.sense, objective.terms[0].metric))


def native_links(links: Links, bounds: Sequence[Bound], *, keep: bool) -> tuple[Links, tuple[Bound, ...]]:
    """The links with other floors and caps, and the bounds that they cannot express."""
    held = effective(own_bounds(links), bounds, keep=keep)
    n = links.noise_w.size
    floors = [max(0.0, tightest(held, "rate", k, upper=False, default=0.0)) for k in range(n)]
    caps = [tightest(held, "power", k, upper=True, default=float(links.p_max_w[k])) for k in range(n)]
    rest = [b for b in bounds if (b.metric, b.upper) not in _NATIVE]
    if max(floors, default=0.0) > MOST_BITS:  # no space of powers could hold it; the bound stays a constraint
        floors = [float(r) for r in links.min_rate_bit_s_hz]
        rest += [b for b in bounds if (b.metric, b.upper) == ("rate", False)]
    if any(cap <= 0.0 for cap in caps):
        caps = [float(p) for p in links.p_max_w]
        rest += [b for b in bounds if (b.metric, b.upper) == ("power", True)]
    return dataclasses.replace(links, min_rate_bit_s_hz=frozen(floors), p_max_w=frozen(caps)), tuple(rest)


def feasibility(links: Links, bounds: Sequence[Bound]) -> Feasibility:
    """Exact for rates from below and powers from above: the least powers are least in every component."""
    if any((b.metric, b.upper) not in _DECIDED for b in bounds):
        return Feasibility(None, "bounds other than least rates and largest powers are not decided in advance")
    n = links.noise_w.size
    rates = np.array([max(0.0, tightest(bounds, "rate", k, upper=False, default=0.0)) for k in range(n)])
    caps = np.array([tightest(bounds, "power", k, upper=True, default=float(links.p_max_w[k])) for k in range(n)])
    total = tightest(bounds, "total_power", None, upper=True, default=np.inf)
    if (caps < 0.0).any() or total < 0.0:
        return Feasibility(False, "a power cannot be negative")
    if rates.max(initial=0.0) > MOST_BITS:
        return Feasibility(False, f"a rate of {rates.max():.6g} bit/s/Hz needs a signal beyond any power")
    floor = np.expm1(rates * np.log(2.0))
    # A bound of 0 is measured by what there is to be had, see `GoalInstance`.
    allowed = caps + FEASIBILITY_TOLERANCE * np.where(caps > 0.0, caps, links.p_max_w)
    least = least_powers(links.gain, links.noise_w, floor, allowed)
    if least.reason:
        return Feasibility(False, least.reason)
    needed = float(least.verified_lower_w.sum())
    if needed > total + FEASIBILITY_TOLERANCE * (total or float(links.p_max_w.sum())):
        return Feasibility(False, f"the rates need at least {needed:.6g} W in total, {total:.6g} W are allowed")
    if least.powers_w is None or not _holds(np.minimum(least.powers_w, caps), links, rates, total):
        return Feasibility(None, "the rates are at the edge of what the powers can do, too near for a decision")
    return Feasibility(True, f"the least powers that meet the rates add up to {float(least.powers_w.sum()):.6g} W")


def _holds(powers_w: FloatArray, links: Links, rates: FloatArray, total_w: float) -> bool:
    """Whether powers within their caps, float64 [K], W, meet rates and a total within the feasibility tolerance."""
    reached = model.rates(powers_w[None, :], links)[0]
    enough = bool((reached >= rates * (1.0 - FEASIBILITY_TOLERANCE)).all())
    return enough and float(powers_w.sum()) <= total_w * (1.0 + FEASIBILITY_TOLERANCE)


def floor_prices(x: FloatArray, links: Links, floor: FloatArray) -> Mapping[str, float]:
    """Total power saved when one minimum rate falls by 1 %, W, from the multipliers of ``p = I(p)``.

    Args:
        x: float64 [K], the least powers, W.
        links: The channel.
        floor: float64 [K], SINR floors, linear.
    """
    matrix, _ = coupling(links.gain, links.noise_w, floor)
    multiplier = np.linalg.solve((np.eye(floor.size) - matrix).T, np.ones(floor.size))
    prices = {}
    for k in np.flatnonzero(links.min_rate_bit_s_hz > 0.0):
        slope = np.log(2.0) * (1.0 + floor[k])
        prices[f"link{k}.min_rate"] = float(0.01 * links.min_rate_bit_s_hz[k] * multiplier[k] * x[k] / floor[k] * slope)
    return prices

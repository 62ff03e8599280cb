"""Goals on `power_game`: metrics, native instances, exact satisfiability, shadow prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.metric import Bound, Feasibility, Metric, effective, tightest
from optisolve.numerics.interference import MOST_BITS, coupling, least_powers
from optisolve.problems.power_game import model
from optisolve.problems.power_game.model import Cell

if TYPE_CHECKING:
    from optisolve.goals.goal import GoalObjective

__all__ = ["feasibility", "is_least_power", "metric_values", "metrics", "native_cell", "own_bounds", "rate_prices"]

_NATIVE = {("rate", False), ("total_power", True), ("power", True)}


def metrics(cell: Cell) -> tuple[Metric, ...]:
    """Rates, powers and their sum."""
    n, now = cell.link_gain.size, float(cell.initial_power_w.sum())
    return (
        Metric("rate", "bit/s", "rate", True, n, ("rate", "throughput", "data rate", "bit rate", "speed")),
        Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power"), now),
        Metric("power", "W", "transmit power of one user", False, n, ("power", "transmit power")),
    )


def metric_values(P: FloatArray, cell: Cell) -> Mapping[str, FloatArray]:
    """By name, from powers float64 [n, K], W."""
    return {"rate": model.rates(P, cell), "total_power": model.total_power(P), "power": P}


def own_bounds(cell: Cell) -> tuple[Bound, ...]:
    """The scenario's thresholds and its intent."""
    rates = [Bound("rate", k, False, float(r)) for k, r in enumerate(cell.rate_threshold_bit_s) if r > 0.0]
    target = float(cell.initial_power_w.sum()) - cell.power_saving_w
    return (*rates, *([Bound("total_power", None, True, target)] if cell.power_saving_w > 0.0 else []))


def is_least_power(objective: GoalObjective | None) -> bool:
    """The family's own objective."""
    return objective is None or (objective.sense == "min" and [t.metric for t in objective.terms] == ["total_power"])


def native_cell(cell: Cell, bounds: Sequence[Bound], *, keep: bool) -> tuple[Cell, tuple[Bound, ...]]:
    """The cell with other thresholds, caps and intent, and the bounds that it cannot express.

    Args:
        cell: As drawn.
        bounds: What the goal asks.
        keep: Keep thresholds and intent that the goal says nothing about.
    """
    held = effective(own_bounds(cell), bounds, keep=keep)
    n, before = cell.link_gain.size, float(cell.initial_power_w.sum())
    floors = [max(0.0, tightest(held, "rate", k, upper=False, default=0.0)) for k in range(n)]
    caps = [tightest(held, "power", k, upper=True, default=float(cell.p_max_w[k])) for k in range(n)]
    target = tightest(held, "total_power", None, upper=True, default=np.inf)
    saving = before - target if np.isfinite(target) else 0.0
    rest = [b for b in bounds if (b.metric, b.upper) not in _NATIVE]
    if max(floors, default=0.0) > MOST_BITS * cell.bandwidth_hz:  # no SINR floor could say it; the bound stays a constraint
        floors = [float(r) for r in cell.rate_threshold_bit_s]
        rest += [b for b in bounds if (b.metric, b.upper) == ("rate", False)]
    if any(cap <= 0.0 for cap in caps):  # a space needs lower < upper; the bound stays a constraint
        caps = [float(p) for p in cell.p_max_w]
        rest += [b for b in bounds if (b.metric, b.upper) == ("power", True)]
    if saving <= 0.0 and np.isfinite(target):  # the family's intent is a fall; a looser cap is a plain bound
        rest += [b for b in bounds if b.metric == "total_power" and b.upper]
        saving = 0.0
    changed = dataclasses.replace(
        cell, rate_threshold_bit_s=frozen(floors), p_max_w=frozen(caps), power_saving_w=max(0.0, saving)
    )
    return changed, tuple(rest)


def feasibility(cell: Cell, bounds: Sequence[Bound]) -> Feasibility:
    """Exact for rates from below and powers from above, since the least powers are least in every component."""
    if any((b.metric, b.upper) not in _NATIVE for b in bounds):
        return Feasibility(None, "bounds other than least rates and largest powers are not decided in advance")
    n = cell.link_gain.size
    rates = frozen([max(0.0, tightest(bounds, "rate", k, upper=False, default=0.0)) for k in range(n)])
    caps = np.array([tightest(bounds, "power", k, upper=True, default=float(cell.p_max_w[k])) for k in range(n)])
    total = tightest(bounds, "total_power", None, upper=True, default=np.inf)
    if (caps < 0.0).any() or total < 0.0:
        return Feasibility(False, "a power cannot be negative")
    if rates.max(initial=0.0) > MOST_BITS * cell.bandwidth_hz:
        return Feasibility(
            False, f"a rate of {rates.max():.6g} bit/s needs a signal beyond any power in {cell.bandwidth_hz:g} Hz"
        )
    load = float(model.loads(rates, cell.bandwidth_hz).sum())
    gain, floor = np.tile(cell.link_gain, (n, 1)), np.expm1(rates / cell.bandwidth_hz * np.log(2.0))
    # A bound of 0 is measured by what there is to be had, see `GoalInstance`.
    allowed = caps + FEASIBILITY_TOLERANCE * np.where(caps > 0.0, caps, cell.p_max_w)
    least = least_powers(gain, np.full(n, cell.noise_w), floor, allowed)
    if least.reason:
        told = f"the rates load the receiver by {load:.6g}, which must stay below 1, whatever the powers"
        return Feasibility(False, told if load >= 1.0 else least.reason.replace("link ", "agent "))
    needed = float(least.verified_lower_w.sum())
    if needed > total + FEASIBILITY_TOLERANCE * (total or float(cell.p_max_w.sum())):
        return Feasibility(False, f"the rates need at least {needed:.6g} W in total, {total:.6g} W are allowed")
    if least.powers_w is None or not _holds(np.minimum(least.powers_w, caps), cell, rates, total):
        return Feasibility(None, "the rates are at the edge of what the powers can do, too near for a decision")
    return Feasibility(True, f"the least powers that meet the rates add up to {float(least.powers_w.sum()):.6g} W")


def _holds(powers_w: FloatArray, cell: Cell, rates: FloatArray, total_w: float) -> bool:
    """Whether powers within their caps, float64 [K], W, meet rates and a total within the feasibility tolerance."""
    enough = bool((model.rates(powers_w[None, :], cell)[0] >= rates * (1.0 - FEASIBILITY_TOLERANCE)).all())
    return enough and float(powers_w.sum()) <= total_w * (1.0 + FEASIBILITY_TOLERANCE)


def rate_prices(x: FloatArray, cell: Cell, gain: FloatArray, noise_w: FloatArray, floor: FloatArray) -> Mapping[str, float]:
    """Total power saved when one threshold falls by 1 %, W, from the multipliers of ``p = I(p)``.

    With ``(I - M)' m = 1`` the optimum is ``m'v``, and a change of the SINR floor of agent k moves it by
    ``m_k I_k(p) / floor_k``.

    Args:
        x: float64 [K], the optimum, W.
        cell: The cell.
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        floor: float64 [K], linear.
    """
    matrix, _ = coupling(gain, noise_w, floor)
    multiplier = np.linalg.solve((np.eye(floor.size) - matrix).T, np.ones(floor.size))
    prices = {}
    for k in np.flatnonzero(cell.rate_threshold_bit_s > 0.0):
        slope = np.log(2.0) / cell.bandwidth_hz * (1.0 + floor[k])  # d floor / d rate
        per_bit = multiplier[k] * x[k] / floor[k] * slope
        prices[f"agent{k}.min_rate"] = float(0.01 * cell.rate_threshold_bit_s[k] * per_bit)
    return prices

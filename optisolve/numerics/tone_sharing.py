"""Tones and one budget of power among users: Lagrangian dual, water-filling for given owners, elimination.

For a price lambda per watt the tones decouple:

    g(lambda) = lambda P + sum_m max_k max_{0 <= p <= cap} [w_k r_km(p) - lambda p]   >= optimum.

An owner whose own term is so far below a tone's best that g(lambda) less the difference falls under a known value cannot be
part of an optimum; if few combinations of owners remain, each of them is water-filled and bounded by its own dual, which does
not trust the filling.

Source: Yu and Lui 2006, doi 10.1109/TCOMM.2006.877962 (dual of multicarrier problems).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.numerics.water_filling import net_rates

__all__ = ["EXACT", "ToneSharing", "Tones", "dual", "fill", "share_tones"]

EXACT = 1e-9
"""Distance of value and bound, relative to the bound, that polynomial methods in floating point leave."""

_BISECTIONS = 200
_EPS = float(np.finfo(np.float64).eps)
_CONTESTED = 8  # tones and users looked at by the exchange; it only has to be good, not exact
_RIVALS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Tones:
    """M tones for K users.

    Attributes:
        snr_per_w: float64 [K, M], 1/W.
        tone_mbps: Rate of a tone per bit/s/Hz, Mbit/s.
        weight: float64 [K].
        power_total_w: P, W.
        tone_power_max_w: Largest power of a tone, W.
    """

    snr_per_w: FloatArray
    tone_mbps: float
    weight: FloatArray
    power_total_w: float
    tone_power_max_w: float


@dataclass(frozen=True, eq=False, slots=True)
class ToneSharing:
    """Owners and powers of the tones, and what they prove.

    Attributes:
        owner: int64 [M].
        power_w: float64 [M], W.
        value: Weighted rate, Mbit/s.
        bound: Nobody can be better, Mbit/s.
        price: What the whole budget is worth at the bound, Mbit/s; a share more of it lifts the bound by as much of it.
        combinations: Combinations of owners that the dual left.
        tried: All of them were water-filled.
        gap_free: The owners of the dual are optimal.
    """

    owner: IntArray
    power_w: FloatArray
    value: float
    bound: float
    price: float
    combinations: float
    tried: bool
    gap_free: bool


def share_tones(
    cell: Tones, *, combinations: float, gap_scale: Callable[[float], float], out_of_time: Callable[[], bool] | None = None
) -> ToneSharing:
    """The best owners and powers with a bound.

    Args:
        cell: What is shared.
        combinations: Largest number of owner combinations that are water-filled one by one.
        gap_scale: What a distance from a bound is relative to, Mbit/s for Mbit/s.
        out_of_time: Asked before every combination; the rest is left when it says so.
    """
    bound, price = dual(cell)
    owner, known = _exchange(cell, np.argmax(_net(cell, price), axis=0))
    allowed = _eliminate(cell, bound, price, known)
    left = float(np.prod(allowed.sum(axis=0), dtype=np.float64))
    gap_free, tried = known >= bound - EXACT * gap_scale(bound), False
    if not gap_free and left <= combinations:
        found = _best_combination(cell, allowed, out_of_time)
        if found is not None:
            owner, among, dearest = found
            bound, price, tried = min(bound, among), max(price, dearest), True
    value, power = _value(cell, owner)
    return ToneSharing(owner, power, value, bound, price, left, tried, gap_free)


def _net(cell: Tones, price: float) -> FloatArray:
    """The most that every pair can be worth at a price (Mbit/s for the whole budget), float64 [K, M], Mbit/s."""
    worth = np.broadcast_to(_worth(cell), cell.snr_per_w.shape)
    return net_rates(cell.snr_per_w * cell.power_total_w, worth, price, cell.tone_power_max_w / cell.power_total_w)


def _worth(cell: Tones) -> FloatArray:
    """Weighted rate per nat on a tone, float64 [K, 1], Mbit/s."""
    worth: FloatArray = cell.weight[:, None] * cell.tone_mbps / np.log(2.0)
    return worth


def _rounded_up(price: float, nets: FloatArray) -> float:
    """The price of the whole budget and nonnegative net values added up, with the rounding of the sum."""
    return (price + float(nets.sum())) * (1.0 + (nets.size + 4) * _EPS)


def dual(cell: Tones) -> tuple[float, float]:
    """The smallest dual value over the price, by bisection on the power used.

    Returns:
        The bound, Mbit/s, and its price, Mbit/s for the whole budget.
    """
    snr, cap = cell.snr_per_w * cell.power_total_w, cell.tone_power_max_w / cell.power_total_w
    slope = _worth(cell) * snr
    tones = np.arange(snr.shape[1])
    best, best_price = np.inf, 0.0
    low, middle, high = 0.0, 0.0, float(slope.max())
    for _ in range(_BISECTIONS):
        net = _net(cell, middle)
        bound = _rounded_up(middle, net.max(axis=0))
        if bound < best:
            best, best_price = bound, middle
        owner = np.argmax(net, axis=0)
        if middle > 0.0:
            used = np.clip((slope[owner, tones] / middle - 1.0) / snr[owner, tones], 0.0, cap).sum()
            low, high = (middle, high) if used > 1.0 else (low, middle)
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
    at_end = _rounded_up(high, _net(cell, high).max(axis=0))
    return (at_end, high) if at_end < best else (best, best_price)


def fill(cell: Tones, owner: IntArray) -> FloatArray:
    """Exact weighted water-filling for given owners: p = clip(nu w - 1/snr, 0, cap), sum p = P; float64 [M], W.

    Bisection finds which tones are partly filled; the water level then follows from a linear equation. The level is counted
    from the lowest threshold, where it keeps its digits.
    """
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    weight = cell.weight[owner]
    cap, total = cell.tone_power_max_w, cell.power_total_w
    if cap * owner.size <= total:
        return np.full(owner.size, cap)
    above = 1.0 / (weight * snr)
    above -= above.min()
    low, high = 0.0, float((above + cap / weight).max())
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if np.clip(weight * (middle - above), 0.0, cap).sum() > total:
            high = middle
        else:
            low = middle
    power = np.clip(weight * (low - above), 0.0, cap)
    partly = (power > 0.0) & (power < cap)
    if partly.any():
        rise = (total - power[~partly].sum() + (weight * above)[partly].sum()) / weight[partly].sum()
        power[partly] = np.clip(weight[partly] * (rise - above[partly]), 0.0, cap)
    return power


def _value(cell: Tones, owner: IntArray) -> tuple[float, FloatArray]:
    power = fill(cell, owner)
    snr = cell.snr_per_w[owner, np.arange(owner.size)] * power
    return float((cell.tone_mbps * np.log1p(snr) / np.log(2.0)) @ cell.weight[owner]), power


def _exchange(cell: Tones, owner: IntArray) -> tuple[IntArray, float]:
    """Give single contested tones to other users while that helps; contested means that the best two are close."""
    best = _value(cell, owner)[0]
    improved = cell.weight.size > 1
    while improved:
        improved = False
        net = _net(cell, _price_of(cell, owner, fill(cell, owner)))
        ranked = np.argsort(-net, axis=0, kind="stable")[:_RIVALS]  # [rivals, M]
        first, second = np.take_along_axis(net, ranked[:2], axis=0)
        for m in np.argsort(first - second, kind="stable")[:_CONTESTED]:
            for k in ranked[:, m]:
                trial = owner.copy()
                trial[m] = k
                value = _value(cell, trial)[0]
                if value > best * (1.0 + 1e-12):
                    owner, best, improved = trial, value, True
    return owner, best


def _price_of(cell: Tones, owner: IntArray, power: FloatArray) -> float:
    """The price of the whole budget, Mbit/s, at which these owners take these powers."""
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    slope = _worth(cell)[owner, 0] * snr * cell.power_total_w / (1.0 + snr * power)
    return float(slope[power < cell.tone_power_max_w].max(initial=0.0))  # nobody takes more than its cap at any price


def _eliminate(cell: Tones, bound: float, price: float, known: float) -> BoolArray:
    """Owners that an optimum may still contain, bool [K, M]."""
    net = _net(cell, price)
    margin = EXACT * bound  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = bound - (net.max(axis=0) - net) >= known - margin
    return allowed


def _best_combination(
    cell: Tones, allowed: BoolArray, out_of_time: Callable[[], bool] | None
) -> tuple[IntArray, float, float] | None:
    """Water-fill all remaining combinations.

    Returns:
        The best owners; a bound on all combinations, from each one's dual at the price of its filling, Mbit/s; and the
        largest of these prices. None when the time is up before all are seen.
    """
    choices = [np.flatnonzero(allowed[:, m]) for m in range(allowed.shape[1])]
    tones, cap = np.arange(allowed.shape[1]), cell.tone_power_max_w / cell.power_total_w
    snr, worth = cell.snr_per_w * cell.power_total_w, _worth(cell)[:, 0]
    best, best_owner, bound, dearest = -np.inf, np.zeros(len(choices), dtype=np.int64), 0.0, 0.0
    for combination in itertools.product(*choices):
        if out_of_time is not None and out_of_time():
            return None
        owner = np.array(combination, dtype=np.int64)
        value, power = _value(cell, owner)
        price = _price_of(cell, owner, power)
        bound = max(bound, _rounded_up(price, net_rates(snr[owner, tones], worth[owner], price, cap)))
        dearest = max(dearest, price)
        if value > best:
            best, best_owner = value, owner
    return best_owner, bound, dearest

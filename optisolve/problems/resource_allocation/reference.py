"""Certified OFDMA: Lagrangian dual with elimination, Hungarian method, CP-SAT with power levels.

For a price lambda per watt the tones decouple (Yu and Lui 2006):

    g(lambda) = lambda P + sum_m max_k max_{0 <= p <= cap} [w_k r_km(p) - lambda p]   >= optimum.

A verified point may spend P (1 + 1e-8), which raises g by 1e-8 lambda P: the slack. An owner whose own term is so far below a
tone's best that g(lambda) less the difference falls under a known value cannot be part of an optimum; if few combinations of
owners remain, each of them is water-filled and bounded by its own dual, which does not trust the filling.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.assignment import solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import second_opinion
from optisolve.numerics.water_filling import net_rates
from optisolve.problems.resource_allocation.forms import cpsat_level_form
from optisolve.problems.resource_allocation.instance import ResourceAllocationInstance
from optisolve.problems.resource_allocation.model import Cell, Goal, tone_rates

__all__ = ["LIMITS", "Limits", "dual", "fill", "solve_reference"]

_BISECTIONS = 200
_EXACT = 1e-9
"""Distance of value and bound, relative to the objective's gap scale, that polynomial methods in floating point leave."""
_ROUNDED = 1e-6
"""The same for integer models, whose numbers are rounded to steps far below it."""
_EPS = float(np.finfo(np.float64).eps)
_CONTESTED = 8  # tones and users looked at by the exchange; it only has to be good, not exact
_RIVALS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reference may cost.

    Args:
        combinations: Largest number of owner combinations that are water-filled one by one.
        deterministic_time: CP-SAT's limit.
    """

    combinations: int
    deterministic_time: float


LIMITS = {Effort.QUICK: Limits(500, 5.0), Effort.NORMAL: Limits(20_000, 60.0), Effort.THOROUGH: Limits(500_000, 600.0)}


def solve_reference(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    """The optimum of an instance with a proof, or the best point and a bound.

    Args:
        instance: The instance.
        limits: How much work to spend.

    Returns:
        PROVEN_OPTIMAL, DUAL_BOUND or PROVEN_INFEASIBLE.
    """
    if instance.cell.goal is Goal.EQUAL_POWER:
        return _by_hungarian(instance)
    if instance.power_levels:
        return _by_cpsat(instance, limits)
    return _by_dual(instance, limits)


# -- equal power ---------------------------------------------------------------------------------------------------------


def _by_hungarian(instance: ResourceAllocationInstance) -> Reference:
    quota = float(instance.cell.quota.sum())
    if quota < instance.n_tones:
        reason = f"the quotas add up to {quota:g} for {instance.n_tones} tones, each of which needs an owner"
        return proven_infeasible(reason, solver="hungarian")
    answer = solve_assignment(instance.model("assignment"))
    return certify(
        instance,
        answer.x,
        dual_bound=answer.dual_bound,
        tolerance=_EXACT * instance.objectives[0].gap_scale(answer.dual_bound or 0.0),
        slack=0.0,  # all variables are whole, and one tone too many violates a quota by 1 / M
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


# -- power levels --------------------------------------------------------------------------------------------------------


def _by_cpsat(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    """The relaxed model gives the bound; when its point misses a rate by rounding, the tight model gives the point.

    HiGHS is asked as well: a point of its own that contradicts CP-SAT's proof is what certification is given.
    """
    answer = solve_cpsat(instance.model("cpsat"), deterministic_time=limits.deterministic_time)
    other = second_opinion(instance)
    if answer.termination is Termination.INFEASIBLE and other is None:
        reason = "CP-SAT proves that no choice of levels reaches all minimum rates within the power"
        return proven_infeasible(reason, solver=answer.backend, solver_version=answer.version)
    x = answer.x
    if x is None or instance.evaluate_twin(x).violation[0] > 0.0:
        x = solve_cpsat(cpsat_level_form(instance, tight=True), deterministic_time=limits.deterministic_time).x
    x = max((p for p in (x, other) if p is not None), key=lambda p: _verified_value(instance, p), default=None)
    relaxed, price = dual(instance.cell)  # levels and minimum rates only lower the optimum
    bound = relaxed + FEASIBILITY_TOLERANCE * price  # what verification allows beyond the budget is worth that at most
    bound = bound if answer.dual_bound is None else min(bound, answer.dual_bound)
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=_ROUNDED * instance.objectives[0].gap_scale(bound),
        slack=0.0,  # both bounds hold for all that verification accepts
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


def _verified_value(instance: ResourceAllocationInstance, x: FloatArray) -> float:
    evaluation = instance.evaluate_twin(x)
    return float(evaluation.F[0, 0]) if evaluation.violation[0] <= 0.0 else -np.inf


# -- continuous powers ---------------------------------------------------------------------------------------------------


def _net(cell: Cell, price: float) -> FloatArray:
    """The most that every pair can be worth at a price (Mbit/s for the whole budget), float64 [K, M], Mbit/s."""
    worth = np.broadcast_to(_worth(cell), cell.snr_per_w.shape)
    return net_rates(cell.snr_per_w * cell.power_total_w, worth, price, cell.tone_power_max_w / cell.power_total_w)


def _worth(cell: Cell) -> FloatArray:
    """Weighted rate per nat on a tone, float64 [K, 1], Mbit/s."""
    worth: FloatArray = cell.weight[:, None] * cell.tone_mbps / np.log(2.0)
    return worth


def _rounded_up(price: float, nets: FloatArray) -> float:
    """The price of the whole budget and nonnegative net values added up, with the rounding of the sum."""
    return (price + float(nets.sum())) * (1.0 + (nets.size + 4) * _EPS)


def dual(cell: Cell) -> tuple[float, float]:
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


def fill(cell: Cell, owner: IntArray) -> FloatArray:
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


def _value(cell: Cell, owner: IntArray) -> tuple[float, FloatArray]:
    power = fill(cell, owner)
    return float(tone_rates(cell, owner[None, :], power[None, :])[0] @ cell.weight[owner]), power


def _by_dual(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    cell = instance.cell
    bound, price = dual(cell)
    owner, known = _exchange(cell, np.argmax(_net(cell, price), axis=0))
    allowed = _eliminate(cell, bound, price, known)
    combinations = float(np.prod(allowed.sum(axis=0), dtype=np.float64))
    tolerance = _EXACT * instance.objectives[0].gap_scale(bound)
    detail = f"Lagrangian dual; {combinations:.3g} combinations of owners could still be better."
    if known < bound - tolerance and combinations <= limits.combinations:
        owner, among, dearest = _best_combination(cell, allowed)
        bound, price = min(bound, among), max(price, dearest)
        detail = f"Owners struck out by the Lagrangian dual, all {combinations:.0f} remaining combinations water-filled."
    elif known >= bound - tolerance:
        detail = "Water-filling for the owners of the Lagrangian dual, which has no gap."
    return certify(
        instance,
        instance.point(owner, fill(cell, owner)),
        dual_bound=bound,
        tolerance=tolerance,
        slack=FEASIBILITY_TOLERANCE * price,  # spending more than the budget, by weak duality
        solver="lagrangian_water_filling",
        detail=detail,
    )


def _exchange(cell: Cell, owner: IntArray) -> tuple[IntArray, float]:
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


def _price_of(cell: Cell, owner: IntArray, power: FloatArray) -> float:
    """The price of the whole budget, Mbit/s, at which these owners take these powers."""
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    slope = _worth(cell)[owner, 0] * snr * cell.power_total_w / (1.0 + snr * power)
    return float(slope[power < cell.tone_power_max_w].max(initial=0.0))  # nobody takes more than its cap at any price


def _eliminate(cell: Cell, bound: float, price: float, known: float) -> BoolArray:
    """Owners that an optimum may still contain, bool [K, M]."""
    net = _net(cell, price)
    margin = _EXACT * bound  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = bound - (net.max(axis=0) - net) >= known - margin
    return allowed


def _best_combination(cell: Cell, allowed: BoolArray) -> tuple[IntArray, float, float]:
    """Water-fill all remaining combinations.

    Returns:
        The best owners; a bound on all combinations, from each one's dual at the price of its filling, Mbit/s; and the
        largest of these prices.
    """
    choices = [np.flatnonzero(allowed[:, m]) for m in range(allowed.shape[1])]
    tones, cap = np.arange(allowed.shape[1]), cell.tone_power_max_w / cell.power_total_w
    snr, worth = cell.snr_per_w * cell.power_total_w, _worth(cell)[:, 0]
    best, best_owner, bound, dearest = -np.inf, np.zeros(len(choices), dtype=np.int64), 0.0, 0.0
    for combination in itertools.product(*choices):
        owner = np.array(combination, dtype=np.int64)
        value, power = _value(cell, owner)
        price = _price_of(cell, owner, power)
        bound = max(bound, _rounded_up(price, net_rates(snr[owner, tones], worth[owner], price, cap)))
        dearest = max(dearest, price)
        if value > best:
            best, best_owner = value, owner
    return best_owner, bound, dearest

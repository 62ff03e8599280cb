"""Certified OFDMA: Lagrangian dual with elimination, Hungarian method, CP-SAT with power levels.

For a price lambda per watt the tones decouple (Yu and Lui 2006):

    g(lambda) = lambda P + sum_m max_k max_{0 <= p <= cap} [w_k r_km(p) - lambda p]   >= optimum.

An owner whose own term is so far below a tone's best that g(lambda) less the difference falls under a known value
cannot be part of an optimum; if few combinations of owners remain, water-filling each of them proves the optimum.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.assignment import solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.problems.resource_allocation.forms import cpsat_level_form
from optisolve.problems.resource_allocation.instance import ResourceAllocationInstance
from optisolve.problems.resource_allocation.model import Cell, Goal, tone_rates

__all__ = ["LIMITS", "Limits", "dual", "fill", "solve_reference"]

_BISECTIONS = 200
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
        PROVEN_OPTIMAL, DUAL_BOUND, or NONE with a detail that starts with ``infeasible:``.
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
        tolerance=1e-9 * max(1.0, abs(answer.dual_bound or 0.0)),
        slack=0.0,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


# -- power levels --------------------------------------------------------------------------------------------------------


def _by_cpsat(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    """The relaxed model gives the bound; when its point misses a rate by rounding, the tight model gives the point."""
    form = instance.model("cpsat")
    answer = solve_cpsat(form, deterministic_time=limits.deterministic_time)
    if answer.termination is Termination.INFEASIBLE:
        reason = "CP-SAT proves that no choice of levels reaches all minimum rates within the power"
        return proven_infeasible(reason, solver=answer.backend, solver_version=answer.version)
    x = answer.x
    if x is None or instance.evaluate_twin(x).violation[0] > 0.0:
        x = solve_cpsat(cpsat_level_form(instance, tight=True), deterministic_time=limits.deterministic_time).x
    relaxed = dual(instance.cell)[0]  # levels and minimum rates only lower the optimum
    bound = relaxed if answer.dual_bound is None else min(relaxed, answer.dual_bound)
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=max(form.rounding_error, 1e-6 * abs(bound)),
        slack=0.0,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


# -- continuous powers ---------------------------------------------------------------------------------------------------


def _terms(cell: Cell, price: float) -> tuple[FloatArray, FloatArray]:
    """Best power and net value of every pair at a price per watt, float64 [K, M] each."""
    scale = cell.weight[:, None] * cell.tone_mbps
    level = scale / (max(price, 1e-300) * np.log(2.0))
    power = np.clip(level - 1.0 / cell.snr_per_w, 0.0, cell.tone_power_max_w)
    return power, scale * np.log2(1.0 + cell.snr_per_w * power) - price * power


def dual(cell: Cell) -> tuple[float, float]:
    """The smallest dual value over the price, by bisection on the power used.

    Returns:
        The bound, Mbit/s, and its price, Mbit/s per W.
    """
    n_tones = cell.snr_per_w.shape[1]

    def value(price: float) -> tuple[float, float]:
        power, net = _terms(cell, price)
        owner = np.argmax(net, axis=0)
        used = float(power[owner, np.arange(n_tones)].sum())
        return price * cell.power_total_w + float(net.max(axis=0).sum()), used

    best, best_price = value(0.0)[0], 0.0
    low, high = 0.0, float((cell.weight[:, None] * cell.tone_mbps * cell.snr_per_w).max() / np.log(2.0))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        bound, used = value(middle)
        if bound < best:
            best, best_price = bound, middle
        low, high = (middle, high) if used > cell.power_total_w else (low, middle)
    return best, best_price


def fill(cell: Cell, owner: IntArray) -> FloatArray:
    """Exact weighted water-filling for given owners: p = clip(nu w - 1/snr, 0, cap), sum p = P; float64 [M], W.

    Bisection finds which tones are partly filled; the water level then follows from a linear equation.
    """
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    weight = cell.weight[owner]
    cap, total = cell.tone_power_max_w, cell.power_total_w
    if cap * owner.size <= total:
        return np.full(owner.size, cap)
    low, high = 0.0, float(((cap + 1.0 / snr) / weight).max())
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if np.clip(middle * weight - 1.0 / snr, 0.0, cap).sum() > total:
            high = middle
        else:
            low = middle
    power = np.clip(low * weight - 1.0 / snr, 0.0, cap)
    partly = (power > 0.0) & (power < cap)
    if partly.any():
        level = (total - power[~partly].sum() + (1.0 / snr[partly]).sum()) / weight[partly].sum()
        power[partly] = np.clip(level * weight[partly] - 1.0 / snr[partly], 0.0, cap)
    return power


def _value(cell: Cell, owner: IntArray) -> tuple[float, FloatArray]:
    power = fill(cell, owner)
    return float(tone_rates(cell, owner[None, :], power[None, :])[0] @ cell.weight[owner]), power


def _by_dual(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    cell = instance.cell
    bound, price = dual(cell)
    owner = np.argmax(_terms(cell, price)[1], axis=0)
    owner, known = _exchange(cell, owner)
    allowed = _eliminate(cell, bound, price, known)
    combinations = float(np.prod(allowed.sum(axis=0), dtype=np.float64))
    tolerance = 1e-9 * max(1.0, bound)
    detail = f"Lagrangian dual; {combinations:.3g} combinations of owners could still be better."
    if known < bound - tolerance and combinations <= limits.combinations:
        owner, bound = _best_combination(cell, allowed)
        detail = f"Owners struck out by the Lagrangian dual, all {combinations:.0f} remaining combinations water-filled."
    elif known >= bound - tolerance:
        detail = "Water-filling for the owners of the Lagrangian dual, which has no gap."
    return certify(
        instance,
        instance.point(owner, fill(cell, owner)),
        dual_bound=bound,
        tolerance=tolerance,
        slack=0.0,
        solver="lagrangian_water_filling",
        detail=detail,
    )


def _exchange(cell: Cell, owner: IntArray) -> tuple[IntArray, float]:
    """Give single contested tones to other users while that helps; contested means that the best two are close."""
    best = _value(cell, owner)[0]
    improved = cell.weight.size > 1
    while improved:
        improved = False
        net = _terms(cell, _price_of(cell, owner))[1]
        ranked = np.argsort(-net, axis=0, kind="stable")[:_RIVALS]  # [rivals, M]
        first, second = np.take_along_axis(net, ranked[:2], axis=0)
        for m in np.argsort(first - second, kind="stable")[:_CONTESTED]:
            for k in ranked[:, m]:
                trial = owner.copy()
                trial[m] = k
                value = _value(cell, trial)[0]
                if value > best + 1e-12:
                    owner, best, improved = trial, value, True
    return owner, best


def _price_of(cell: Cell, owner: IntArray) -> float:
    """The price at which water-filling these owners spends the power."""
    power = fill(cell, owner)
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    slope = cell.weight[owner] * cell.tone_mbps * snr / (np.log(2.0) * (1.0 + snr * power))
    partly = (power > 0.0) & (power < cell.tone_power_max_w)
    return float(slope[partly].mean()) if partly.any() else 0.0


def _eliminate(cell: Cell, bound: float, price: float, known: float) -> BoolArray:
    """Owners that an optimum may still contain, bool [K, M]."""
    net = _terms(cell, price)[1]
    slack = 1e-9 * max(1.0, abs(bound))  # rounding of the sums must not strike out the optimum
    allowed: BoolArray = bound - (net.max(axis=0) - net) >= known - slack
    return allowed


def _best_combination(cell: Cell, allowed: BoolArray) -> tuple[IntArray, float]:
    """Water-fill all remaining combinations; the best owners and their value."""
    choices = [np.flatnonzero(allowed[:, m]) for m in range(allowed.shape[1])]
    best, best_owner = -np.inf, np.zeros(len(choices), dtype=np.int64)
    for combination in itertools.product(*choices):
        owner = np.array(combination, dtype=np.int64)
        value = _value(cell, owner)[0]
        if value > best:
            best, best_owner = value, owner
    return best_owner, best

"""Certified OFDMA: Lagrangian dual with elimination, Hungarian method, CP-SAT with power levels.

A verified point may spend P (1 + 1e-8), which raises the dual (`optisolve.numerics.tone_sharing`) by 1e-8 lambda P: the slack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.assignment import solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import second_opinion
from optisolve.numerics.tone_sharing import EXACT, dual, share_tones
from optisolve.problems.resource_allocation.forms import cpsat_level_form
from optisolve.problems.resource_allocation.instance import ResourceAllocationInstance
from optisolve.problems.resource_allocation.model import Goal

__all__ = ["LIMITS", "Limits", "solve_reference"]

_ROUNDED = 1e-6
"""The same for integer models, whose numbers are rounded to steps far below it."""


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
        tolerance=EXACT * instance.objectives[0].gap_scale(answer.dual_bound or 0.0),
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


def _by_dual(instance: ResourceAllocationInstance, limits: Limits) -> Reference:
    gap_scale = instance.objectives[0].gap_scale
    found = share_tones(instance.cell, combinations=limits.combinations, gap_scale=gap_scale)
    detail = f"Lagrangian dual; {found.combinations:.3g} combinations of owners could still be better."
    if found.tried:
        detail = f"Owners struck out by the Lagrangian dual, all {found.combinations:.0f} remaining combinations water-filled."
    elif found.gap_free:
        detail = "Water-filling for the owners of the Lagrangian dual, which has no gap."
    return certify(
        instance,
        instance.point(found.owner, found.power_w),
        dual_bound=found.bound,
        tolerance=EXACT * gap_scale(found.bound),
        slack=FEASIBILITY_TOLERANCE * found.price,  # spending more than the budget, by weak duality
        solver="lagrangian_water_filling",
        detail=detail,
    )

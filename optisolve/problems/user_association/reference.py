"""Certified association: assignment with prices, threshold and flow, CP-SAT with a stated rounding error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import so_far
from optisolve.core.reference import Effort, Reference
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.assignment import solve_assignment
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import second_opinion
from optisolve.numerics.station_flow import max_min_flow, min_rate_bound, station_rates
from optisolve.problems.user_association.instance import UserAssociationInstance
from optisolve.problems.user_association.model import Goal

__all__ = ["LIMITS", "Limits", "descend", "solve_reference"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reference may cost.

    Args:
        deterministic_time: CP-SAT's limit.
    """

    deterministic_time: float


_EXACT = 1e-9
"""Distance of value and bound, relative to the objective's gap scale, that polynomial methods in floating point leave."""
_ROUNDED = 1e-6
"""The same for integer models, whose numbers are rounded to steps far below it."""

LIMITS = {Effort.QUICK: Limits(5.0), Effort.NORMAL: Limits(60.0), Effort.THOROUGH: Limits(600.0)}


def solve_reference(instance: UserAssociationInstance, limits: Limits) -> Reference:
    """The optimum of an instance with a proof, or the best point and a bound.

    Args:
        instance: The instance.
        limits: How much work to spend.

    Returns:
        PROVEN_OPTIMAL, DUAL_BOUND or PROVEN_INFEASIBLE. The slack is 0: all variables are whole, and one user out of
        reach violates `coverage` by 1 / I.
    """
    covered = (instance.rate_mbps > 0.0).any(axis=1)
    if not covered.all():
        return proven_infeasible(f"user{int(np.argmin(covered))} reaches no station", solver="coverage")
    if instance.goal is Goal.PROPORTIONAL_FAIR:
        answer = solve_assignment(instance.model("assignment"))
        return certify(
            instance,
            answer.x,
            dual_bound=answer.dual_bound,
            tolerance=_EXACT * instance.objectives[0].scale,
            slack=0.0,
            solver=answer.backend,
            solver_version=answer.version,
            detail=f"{answer.detail}.",
        )
    if instance.goal is Goal.MAX_MIN and station_rates(instance.rate_mbps) is not None:
        x, bound = max_min_flow(instance.rate_mbps)
        detail = "Threshold search with a maximum flow; the next larger threshold admits no complete flow."
        return certify(
            instance, x, dual_bound=bound, tolerance=_EXACT * bound, slack=0.0, solver="threshold_flow", detail=detail
        )
    return _by_cpsat(instance, limits)


def _by_cpsat(instance: UserAssociationInstance, limits: Limits) -> Reference:
    """CP-SAT from a descent's point; the best point of the descent, CP-SAT and HiGHS counts, which checks CP-SAT's bound."""
    start = descend(instance)
    bound, gap_scale = _simple_bound(instance), instance.objectives[0].gap_scale
    told, tolerance = "Single moves; a bound without search.", _ROUNDED * gap_scale(bound)
    so_far(certify(instance, start, dual_bound=bound, tolerance=tolerance, slack=0.0, solver="descent", detail=told))
    form = instance.model("cpsat")
    hint = np.eye(instance.rate_mbps.shape[1])[start.astype(np.int64)].ravel()
    answer = solve_cpsat(form, deterministic_time=limits.deterministic_time, hint=hint)
    points = [p for p in (start, answer.x, second_opinion(instance)) if p is not None]
    x = max(points, key=lambda p: float(instance.evaluate_twin(p).F[0, 0]))
    if answer.dual_bound is not None:
        bound = min(bound, answer.dual_bound)
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=_ROUNDED * gap_scale(bound),
        slack=0.0,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.detail}.",
    )


def _simple_bound(instance: UserAssociationInstance) -> float:
    """A bound without search: every station serves its best user alone (sum), or loads could be equalized (min)."""
    if instance.goal is Goal.SUM_RATE:
        rounding = 1.0 + instance.rate_mbps.shape[1] * float(np.finfo(np.float64).eps)
        return float(instance.rate_mbps.max(axis=0).sum() * rounding)
    return min_rate_bound(instance.rate_mbps)


def descend(instance: UserAssociationInstance) -> FloatArray:
    """Single moves from the best null policy while they help, float64 [I]; exact kernel values."""
    starts = np.concatenate([instance.project(x) for x in instance.null_policies().values()])
    x: FloatArray = starts[int(np.argmax(instance.evaluate(starts).F[:, 0]))]
    n_users, n_stations = instance.rate_mbps.shape
    rows, columns = np.nonzero(instance.rate_mbps > 0.0)
    value = float(instance.evaluate(x).F[0, 0])
    for _ in range(n_users * n_stations):
        moves = np.tile(x, (rows.size, 1))
        moves[np.arange(rows.size), rows] = columns
        F = instance.evaluate(moves).F[:, 0]
        k = int(np.argmax(F))
        if F[k] <= value + 1e-12 * instance.objectives[0].gap_scale(value):
            break
        x, value = moves[k], float(F[k])
    return x

"""Certified optimum of `noma_uav`: branch and bound over the position, exact split of the power."""

from __future__ import annotations

import dataclasses

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.modelling import certify, proven_infeasible
from optisolve.problems.noma_uav import kernels, model
from optisolve.problems.noma_uav.instance import NomaUavInstance

__all__ = ["REL_GAP", "reference"]

REL_GAP = {Effort.QUICK: 1e-3, Effort.NORMAL: 1e-4, Effort.THOROUGH: 1e-5}
"""Share of the value up to which bound and value count as equal, by effort."""

MAX_CELLS = 20_000_000

MISSED = FEASIBILITY_TOLERANCE * (1.0 + 1e-5)
"""Share by which a verified point may miss a constraint, with room for the rounding of its evaluation."""

SOLVER = {"solver": "noma_branch_and_bound", "solver_version": "2"}


def reference(instance: NomaUavInstance, effort: Effort, *, max_cells: int = MAX_CELLS) -> Reference:
    """The best point with a bound over the whole area.

    Args:
        instance: The instance.
        effort: Sets the gap, see `REL_GAP`.
        max_cells: Cells bounded at most; reached, the answer is a value with a bound that does not meet it.

    Returns:
        PROVEN_OPTIMAL with a tolerance of twice the gap, relative; DUAL_BOUND at the limit; PROVEN_INFEASIBLE when every cell
        of the area was excluded, even for minimum rates that are missed by the feasibility tolerance.
    """
    c, rel_gap = instance.constants, REL_GAP[effort]
    best, bound, loose, x, y, cells = kernels.branch_and_bound(
        instance.users_m,
        instance.min_rate,
        instance.area_m,
        c.altitude_m,
        c.noise_over_gain_1m_w / c.p_total_w,
        c.power_order,
        MISSED,
        rel_gap,
        max_cells,
    )
    method = f"branch and bound over the position, {cells} cells, exact power split"
    if loose < 0.0:
        return proven_infeasible(f"no position of the UAV admits the minimum rates ({method})", **SOLVER)
    point = None if best < 0.0 else _point(instance, x, y)
    edge = bound < 0.0  # points exist, if at all, only within the feasibility tolerance
    target = loose if edge else bound
    rounding = 4.0 * (len(instance.users_m) + 4.0) * kernels.UNIT
    found = certify(
        instance,
        point,
        dual_bound=target,
        tolerance=2.0 * rel_gap * target,
        slack=max(0.0, loose * (1.0 + rounding) - target),
        detail=method,
        **SOLVER,
    )
    if edge and found.X is None:
        told = f"{method}; points exist, if at all, only within the feasibility tolerance, and none was found"
        return dataclasses.replace(found, evidence=Evidence.NONE, dual_bound=None, tolerance=0.0, slack=0.0, detail=told)
    return found


def _point(instance: NomaUavInstance, x: float, y: float) -> FloatArray | None:
    """The position with its exact split, or with one that misses the minimum rates by a little less than is accepted."""
    c = instance.constants
    noise = model.noise_over_gain_w(c, instance.users_m, np.array([[x, y]]))[0]
    for missed in (0.0, 0.9 * FEASIBILITY_TOLERANCE):
        power = model.best_split(c, noise, instance.min_rate * (1.0 - missed))
        if power is not None:
            return np.concatenate([[x, y], power])
    return None

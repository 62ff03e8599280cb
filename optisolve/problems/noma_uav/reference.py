"""Certified optimum of `noma_uav`: branch and bound over the position, exact split of the power."""

from __future__ import annotations

import dataclasses
from typing import cast

from optisolve.core.capabilities import HoveringTransmitter
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.modelling import certify, proven_infeasible
from optisolve.numerics.noma_position import UNIT
from optisolve.numerics.noma_position_kernels import best_position
from optisolve.problems.noma_uav.instance import NomaUavInstance

__all__ = ["REL_GAP", "reference"]

REL_GAP = {Effort.QUICK: 1e-3, Effort.NORMAL: 1e-4, Effort.THOROUGH: 1e-5}
"""Share of the value up to which bound and value count as equal, by effort."""

MAX_CELLS = 20_000_000

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
    rel_gap = REL_GAP[effort]
    known = best_position(cast(HoveringTransmitter, instance), rel_gap=rel_gap, max_cells=max_cells)
    method = f"branch and bound over the position, {known.cells} cells, exact power split"
    if known.loose < 0.0:
        return proven_infeasible(f"no position of the UAV admits the minimum rates ({method})", **SOLVER)
    point = None if known.place_m is None else instance.hovering(known.place_m)
    edge = known.bound < 0.0  # points exist, if at all, only within the feasibility tolerance
    target = known.loose if edge else known.bound
    rounding = 4.0 * (len(instance.users_m) + 4.0) * UNIT
    found = certify(
        instance,
        point,
        dual_bound=target,
        tolerance=2.0 * rel_gap * target,
        slack=max(0.0, known.loose * (1.0 + rounding) - target),
        detail=method,
        **SOLVER,
    )
    if edge and found.X is None:
        told = f"{method}; points exist, if at all, only within the feasibility tolerance, and none was found"
        return dataclasses.replace(found, evidence=Evidence.NONE, dual_bound=None, tolerance=0.0, slack=0.0, detail=told)
    return found

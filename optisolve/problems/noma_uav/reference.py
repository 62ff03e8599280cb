"""Certified optimum of `noma_uav`: branch and bound over the position, exact split of the power."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.problems.noma_uav import kernels, model
from optisolve.problems.noma_uav.instance import NomaUavInstance

__all__ = ["REL_GAP", "reference"]

REL_GAP = {Effort.QUICK: 1e-3, Effort.NORMAL: 1e-4, Effort.THOROUGH: 1e-5}
"""Share of the value up to which bound and value count as equal, by effort."""

MAX_CELLS = 20_000_000


def reference(instance: NomaUavInstance, effort: Effort, *, max_cells: int = MAX_CELLS) -> Reference:
    """The best point with a bound over the whole area.

    Args:
        instance: The instance.
        effort: Sets the gap, see `REL_GAP`.
        max_cells: Cells bounded at most; reached, the answer is a value with a bound that does not meet it.

    Returns:
        PROVEN_OPTIMAL with a tolerance of the gap times the value; DUAL_BOUND at the limit; NONE with "infeasible: ..."
        when every cell of the area was excluded.
    """
    c, rel_gap = instance.constants, REL_GAP[effort]
    best, bound, x, y, cells = kernels.branch_and_bound(
        instance.users_m,
        instance.min_rate,
        instance.area_m,
        c.altitude_m,
        c.noise_over_gain_1m_w,
        c.p_total_w,
        c.power_order,
        rel_gap,
        max_cells,
    )
    method = f"branch and bound over the position, {cells} cells, exact power split"
    if bound < 0.0:
        return Reference(
            Evidence.NONE,
            solver="noma_branch_and_bound",
            detail=f"infeasible: no position of the UAV admits the minimum rates ({method})",
        )
    power = None if best < 0.0 else _split(instance, x, y)
    if power is None:
        return Reference(
            Evidence.DUAL_BOUND, dual_bound=bound, solver="noma_branch_and_bound", detail=f"no feasible point found; {method}"
        )
    X = np.concatenate([[x, y], power])[None]
    value = float(instance.evaluate_twin(X).F[0, 0])
    tolerance = 2.0 * rel_gap * value
    proven = abs(bound - value) <= tolerance
    return Reference(
        Evidence.PROVEN_OPTIMAL if proven else Evidence.DUAL_BOUND,
        X=X,
        value=value,
        dual_bound=bound,
        tolerance=tolerance if proven else 0.0,
        solver="noma_branch_and_bound",
        detail=method if proven else f"stopped at {max_cells} cells; {method}",
    )


def _split(instance: NomaUavInstance, x: float, y: float) -> FloatArray | None:
    noise = model.noise_over_gain_w(instance.constants, instance.users_m, np.array([[x, y]]))[0]
    return model.best_split(instance.constants, noise, instance.min_rate)

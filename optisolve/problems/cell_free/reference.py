"""Certified optimum of `cell_free`: points by CVXPY, verified; the bound in closed form from its multipliers."""

from __future__ import annotations

from optisolve.core.clock import retold
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Reference
from optisolve.modelling import ModelAnswer, certify
from optisolve.problems.cell_free.convex import REL_TOLERANCE, CellFreeModel, rounding
from optisolve.problems.cell_free.instance import CellFreeInstance

__all__ = ["reference"]


def reference(instance: CellFreeInstance, *, time_limit_s: float | None = None) -> Reference:
    """The best point and a bound.

    Args:
        instance: The instance.
        time_limit_s: Wall-clock limit, s.

    Returns:
        PROVEN_OPTIMAL when value and bound meet; DUAL_BOUND or BEST_KNOWN at a limit. There always is a feasible point.
    """
    with retold(lambda found: _certified(instance, found) if isinstance(found, ModelAnswer) else None):
        answer = CellFreeModel(instance.beta_snr, instance.gamma_snr).solve(time_limit_s=time_limit_s)
    return _certified(instance, answer)


def _certified(instance: CellFreeInstance, answer: ModelAnswer) -> Reference:
    bound = answer.dual_bound or 0.0
    # Amplitudes scaled back by sqrt(1 + eps) are feasible; that takes a factor 1 + eps from no SINR and no rate more than that
    slack = (FEASIBILITY_TOLERANCE + rounding(instance.beta.shape)) * bound
    return certify(
        instance,
        answer.x,
        dual_bound=answer.dual_bound,
        tolerance=4.0 * REL_TOLERANCE * bound,
        slack=slack,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.report['solves']} SOCP(s), bound in closed form; {answer.termination.value}, {answer.detail}",
    )

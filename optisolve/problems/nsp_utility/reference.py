"""Certified optimum of `nsp_utility`: CVXPY's point, verified; the bound by our own dual function."""

from __future__ import annotations

from optisolve.core.reference import Reference
from optisolve.core.status import Termination
from optisolve.modelling import certify, proven_infeasible
from optisolve.problems.nsp_utility.convex import NspModel
from optisolve.problems.nsp_utility.instance import NspUtilityInstance

__all__ = ["reference"]


def reference(instance: NspUtilityInstance, *, time_limit_s: float | None = None) -> Reference:
    """The best point and a bound.

    Args:
        instance: The instance.
        time_limit_s: Wall-clock limit, s.

    Returns:
        PROVEN_OPTIMAL when value and bound meet within `NspModel.tolerance`, DUAL_BOUND when they do not; NONE with
        "infeasible: ..." when the floors exclude each other, or with the back end's words when it failed.
    """
    model = NspModel(instance.constants, instance.gain)
    answer = model.solve(time_limit_s=time_limit_s)
    if answer.termination is Termination.INFEASIBLE:
        return proven_infeasible(answer.detail, solver=answer.backend, solver_version=answer.version)
    return certify(
        instance,
        answer.x,
        dual_bound=answer.dual_bound,
        tolerance=model.tolerance,
        slack=0.0,
        solver=answer.backend,
        solver_version=answer.version,
        detail=f"{answer.report['solves']} DCP solve(s), bound by our own dual function; {answer.detail}",
    )

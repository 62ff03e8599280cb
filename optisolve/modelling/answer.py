"""What a back end answered, in our own statuses, and how an answer becomes a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import SolverError
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Sense
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence, Limit, Termination

__all__ = ["INFEASIBLE_PREFIX", "ModelAnswer", "certify", "proven_infeasible"]

INFEASIBLE_PREFIX = "infeasible: "
"""How the detail of a reference starts when it is proven that no feasible point exists."""


@dataclass(frozen=True, eq=False, slots=True)
class ModelAnswer:
    """A back end's answer; its point is a claim until it was re-evaluated.

    Args:
        termination: Why the back end stopped.
        x: float64 [d], the point in the instance's own space; None when there is none.
        dual_bound: Bound on the optimum in the problem's own sense and unit; None when there is none.
        limit: Which limit, when the termination is LIMIT.
        backend: Name of the back end.
        version: Its version.
        detail: Its own words.
        report: Deterministic figures (nodes, branches, ...).
    """

    termination: Termination
    x: FloatArray | None
    dual_bound: float | None
    limit: Limit | None = None
    backend: str = ""
    version: str = ""
    detail: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


def certify(
    instance: Instance,
    x: FloatArray | None,
    *,
    dual_bound: float | None,
    tolerance: float,
    solver: str,
    solver_version: str = "1",
    detail: str = "",
) -> Reference:
    """Turn a claimed point and a bound into a reference whose evidence follows from re-evaluation alone.

    Args:
        instance: The single-objective instance that the point claims to solve.
        x: float64 [d], or None when only a bound is known.
        dual_bound: Bound in the objective's own sense and unit, or None.
        tolerance: |value - bound| up to which the point counts as optimal, in the objective's unit.
        solver: Name of the method.
        solver_version: Its version.
        detail: How it was made, one sentence.

    Returns:
        PROVEN_OPTIMAL when the point is feasible by the numpy twin and meets the bound; DUAL_BOUND when there is a
        bound that it does not meet, or no feasible point; BEST_KNOWN for a feasible point without bound; else NONE.

    Raises:
        SolverError: A feasible point is better than the bound by more than the tolerance: one of the two is wrong.
    """
    common = {"tolerance": tolerance, "solver": solver, "solver_version": solver_version}
    bound_only = Evidence.NONE if dual_bound is None else Evidence.DUAL_BOUND
    if x is None:
        return Reference(bound_only, dual_bound=dual_bound, detail=detail, **common)  # type: ignore[arg-type]
    X = instance.space.require(np.atleast_2d(x))
    evaluation = instance.evaluate_twin(X)
    violation = float(evaluation.max_violation[0])
    if violation > FEASIBILITY_TOLERANCE:
        refused = f"{detail} The point found violates a constraint by {violation:.1e} and was refused."
        return Reference(bound_only, dual_bound=dual_bound, detail=refused.strip(), **common)  # type: ignore[arg-type]
    value = float(evaluation.F[0, 0])
    if dual_bound is None:
        return Reference(Evidence.BEST_KNOWN, X=X, value=value, detail=detail, **common)  # type: ignore[arg-type]
    maximize = instance.objectives[0].sense is Sense.MAXIMIZE
    shortfall = dual_bound - value if maximize else value - dual_bound
    if shortfall < -tolerance:
        raise SolverError(
            f"{solver}: {instance.origin.scenario} seed {instance.origin.seed}: a verified point has value {value!r}, "
            f"better than the claimed dual bound {dual_bound!r}; the bound is wrong."
        )
    evidence = Evidence.PROVEN_OPTIMAL if abs(shortfall) <= tolerance else Evidence.DUAL_BOUND
    return Reference(evidence, X=X, value=value, dual_bound=dual_bound, detail=detail, **common)  # type: ignore[arg-type]


def proven_infeasible(reason: str, *, solver: str, solver_version: str = "1") -> Reference:
    """The reference of an instance without any feasible point.

    Args:
        reason: The proof in one sentence.
        solver: Name of the method.
        solver_version: Its version.
    """
    return Reference(Evidence.NONE, solver=solver, solver_version=solver_version, detail=INFEASIBLE_PREFIX + reason)

"""What a back end answered, in our own statuses, and how an answer becomes a reference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import JsonObject
from optisolve.core.errors import ProblemError
from optisolve.core.problem import Instance
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence, Limit, Termination

__all__ = ["ModelAnswer", "certify", "passed_bound", "proven_infeasible"]


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
        rounding_error: Largest difference between a value of the model and of the instance, in the objective's unit.
    """

    termination: Termination
    x: FloatArray | None
    dual_bound: float | None
    limit: Limit | None = None
    backend: str = ""
    version: str = ""
    detail: str = ""
    report: JsonObject = field(default_factory=dict)
    rounding_error: float = 0.0


def certify(
    instance: Instance,
    x: FloatArray | None,
    objective: int = 0,
    /,
    *,
    dual_bound: float | None,
    tolerance: float,
    slack: float,
    solver: str,
    solver_version: str = "1",
    detail: str = "",
) -> Reference:
    """Turn a claimed point and a bound into a reference whose evidence follows from re-evaluation alone.

    Args:
        instance: The instance that the point claims to solve.
        x: float64 [d], or None when only a bound is known.
        objective: Index of the objective that is meant, where the instance has several.
        dual_bound: Bound for exactly feasible points, in the objective's own sense and unit, or None.
        tolerance: |value - bound| up to which the point counts as optimal, in the objective's unit.
        slack: How far a verified point may lie beyond the bound because every constraint may be violated by the
            feasibility tolerance, in the objective's unit; 0 where no constraint can be used that way.
        solver: Name of the method.
        solver_version: Its version.
        detail: How it was made, one sentence.

    Returns:
        PROVEN_OPTIMAL when the point is feasible by the numpy twin and meets the bound; DUAL_BOUND when there is a
        bound that it does not meet, or no feasible point; BEST_KNOWN for a feasible point without bound; else NONE. A
        bound that cannot be told (not finite, or its tolerance or slack is not) or that the verified point itself passes
        is withdrawn, with a note: arithmetic that failed is an error of ours and no reason to lose a run.
    """
    X, value, refused = _verified(instance, x, objective)
    stated = Reference(
        Evidence.DUAL_BOUND,
        X=X,
        value=value,
        dual_bound=dual_bound,
        tolerance=tolerance,
        slack=slack,
        solver=solver,
        solver_version=solver_version,
        detail=f"{detail} {refused}".strip(),
    )
    if dual_bound is None:
        return stated.withdrawn("")
    if not np.isfinite([dual_bound, tolerance, slack]).all() or tolerance < 0.0 or slack < 0.0:
        told = f"bound {dual_bound!r}, tolerance {tolerance!r}, slack {slack!r}"
        return stated.withdrawn(f"{solver} gave no finite bound ({told}), so nothing is claimed about the optimum.")
    if value is None:
        return stated
    beyond = -instance.objectives[objective].shortfall(value, dual_bound)
    if beyond > stated.tie:
        return stated.withdrawn(passed_bound(value, stated))
    return replace(stated, evidence=Evidence.PROVEN_OPTIMAL) if -beyond <= tolerance else stated


def passed_bound(value: float, reference: Reference) -> str:
    """The note on a bound that a verified point passes.

    Args:
        value: The point's value by the numpy twin.
        reference: What it refutes.
    """
    return (
        f"A verified point has value {value!r}, beyond the dual bound {reference.dual_bound!r} of {reference.solver} by more "
        f"than its tolerance {reference.tolerance:.3g} plus slack {reference.slack:.3g}: the bound is wrong, which is an "
        "error of optisolve; please report it."
    )


def _verified(instance: Instance, x: FloatArray | None, objective: int) -> tuple[FloatArray | None, float | None, str]:
    """A claimed point [1, d] and its value by the numpy twin; (None, None, why) when it is no feasible point."""
    if x is None:
        return None, None, ""
    X = np.atleast_2d(np.asarray(x, dtype=np.float64))
    try:
        evaluation = instance.evaluate_twin(X)
    except ProblemError as error:
        return None, None, f"The point found cannot be evaluated and was refused: {error}"
    violation = float(evaluation.max_violation[0])
    if not evaluation.feasible[0]:
        return None, None, f"The point found violates a constraint by {violation:.1e} and was refused."
    return X, float(evaluation.F[0, objective]), ""


def proven_infeasible(reason: str, *, solver: str, solver_version: str = "1") -> Reference:
    """The reference of an instance without any feasible point, not even one within the feasibility tolerance.

    Args:
        reason: The proof in one sentence.
        solver: Name of the method.
        solver_version: Its version.
    """
    return Reference(Evidence.PROVEN_INFEASIBLE, solver=solver, solver_version=solver_version, detail=reason)

"""References of the test functions: analytic fronts, and published ones for RE."""

from __future__ import annotations

from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.problems.front_file import cached_front
from optisolve.problems.pymoo.fronts import optimal_points
from optisolve.problems.pymoo.instance import PymooInstance
from optisolve.problems.pymoo.shift import restored

__all__ = ["reference"]

VERSION = "1"
_HOW = {"re36": "all of it, by enumeration"}


def reference(instance: PymooInstance) -> Reference | None:
    """The Pareto front of an instance, points and objectives; see `PymooFunction.reference`."""
    function, space = instance.function, instance.space
    Y = optimal_points(function.name, space.dim, len(instance.objectives), function.position_upper)
    if Y is None:
        published = cached_front(instance)
        if published is None:
            return None
        X, F = published
        solver, detail = "published_front", f"published front of {len(X)} points from long evolutionary runs; re-verified"
        return Reference(Evidence.BEST_KNOWN, X=X, F=F, solver=solver, solver_version=VERSION, detail=detail)
    X = restored(Y, space.lower, space.upper, instance.shift, function.fold) if instance.shift.size else Y
    X = space.clip(X)
    return Reference(
        Evidence.BEST_KNOWN,
        X=X,
        F=instance.evaluate_twin(X).F,
        solver="analysis",
        solver_version=VERSION,
        detail=f"{len(X)} points of the Pareto front, {_HOW.get(function.name, 'optimal by analysis')}",
    )

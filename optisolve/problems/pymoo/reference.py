"""References of the test functions: analytic fronts, and published ones for RE."""

from __future__ import annotations

from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.problems.front_file import cached_front
from optisolve.problems.pymoo.fronts import optimal_points
from optisolve.problems.pymoo.instance import PymooInstance
from optisolve.problems.pymoo.shift import restored

__all__ = ["reference"]

VERSION = "2"
_HOW = {"re36": "all of it, by enumeration"}
FORGIVEN = {"mw9": 1e-4}
"""How far verified points may lie beyond a front with constraints, in every objective at once, because they may violate each
constraint by 1e-8; 2e-8 where nothing is said. Both factors of MW9's constraint vanish at the front, hence the root of 1e-8."""


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
    how = _HOW.get(function.name, "optimal by analysis")
    if instance.constraint_names:
        beyond = FORGIVEN.get(function.name, 2e-8)
        how += f"; verified points may lie up to {beyond:.0e} beyond it, within the feasibility tolerance"
    return Reference(
        Evidence.BEST_KNOWN,
        X=X,
        F=instance.evaluate_twin(X).F,
        solver="analysis",
        solver_version=VERSION,
        detail=f"{len(X)} points of the Pareto front, {how}",
    )

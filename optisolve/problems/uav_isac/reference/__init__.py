"""References of `uav_isac`: fronts that are best known, bounds that are proven.

| case | points | evidence | ideal_bound |
|---|---|---|---|
| one UAV | the optimum of each objective | BEST_KNOWN; each one proven by itself, see `per_objective` | meets the points |
| front published for the instance | that front, re-verified | BEST_KNOWN | valid, loose |
| anything else | a front by local search | BEST_KNOWN | valid, loose |
"""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Evidence
from optisolve.problems.front_file import cached_front
from optisolve.problems.uav_isac.instance import UavIsacInstance
from optisolve.problems.uav_isac.reference.bounds import ideal_bound
from optisolve.problems.uav_isac.reference.search import SearchWork, local_front
from optisolve.problems.uav_isac.reference.single import per_objective

__all__ = ["per_objective", "reference"]

VERSION = "2"

_WORK = {
    Effort.QUICK: SearchWork(n_weights=8, n_rounds=5),
    Effort.NORMAL: SearchWork(n_weights=30, n_rounds=10, n_refined=60),
    Effort.THOROUGH: SearchWork(n_weights=40, n_rounds=50, n_refined=150),
}


def reference(instance: UavIsacInstance, effort: Effort) -> Reference:
    """The reference of an instance; see `UavIsac.reference`."""
    if instance.constants.n_uavs == 1:
        return _single(instance)
    published = cached_front(instance)
    if published is not None:
        X, F = published
        return Reference(
            Evidence.BEST_KNOWN,
            X=X,
            F=F,
            solver="published_front",
            solver_version=VERSION,
            detail=f"published front of {len(X)} points: local search and long evolutionary runs; re-verified",
            ideal_bound=ideal_bound(instance),
        )
    front = local_front(instance, _WORK[effort])
    return Reference(
        Evidence.BEST_KNOWN,
        X=front.X,
        F=instance.evaluate_twin(front.X).F,
        solver="scalarized_slsqp",
        solver_version=VERSION,
        detail=f"{len(front.X)} points by local search from many starts, effort {effort.value}; no front is published",
        ideal_bound=ideal_bound(instance),
    )


def _single(instance: UavIsacInstance) -> Reference:
    utility, error = per_objective(instance)
    assert utility.X is not None  # branch and bound always returns a point
    assert error.X is not None
    X = np.vstack([utility.X, error.X])
    loose = ideal_bound(instance) if utility.dual_bound is None or error.dual_bound is None else (math.inf, -math.inf)
    return Reference(
        Evidence.BEST_KNOWN,
        X=X,
        F=instance.evaluate_twin(X).F,
        solver=utility.solver,
        solver_version=utility.solver_version,
        detail=f"the best point for each objective alone: {utility.evidence.value} and {error.evidence.value}",
        note=f"{utility.note} {error.note}".strip(),
        ideal_bound=(
            loose[0] if utility.dual_bound is None else utility.dual_bound + utility.slack,
            loose[1] if error.dual_bound is None else error.dual_bound - error.slack,
        ),
    )

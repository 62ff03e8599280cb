"""Certified offloading: Lagrangian bound, elimination by it, enumeration of what is left; CP-SAT when too much is left.

Bound, elimination and enumeration are those of `optisolve.numerics.server_sharing`; values come from the twin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.clock import so_far
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import Effort, Reference
from optisolve.core.status import Termination
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.numerics.server_sharing import EXACT, good_choice, impossible, lagrangian_bound, try_all
from optisolve.problems.offloading.forms import VERIFIED
from optisolve.problems.offloading.instance import OffloadingInstance
from optisolve.problems.offloading.model import shares_of_set

__all__ = ["LIMITS", "Limits", "solve_reference"]

_SOLVER = "offloading_elimination"
_ROUNDED = 1e-6
"""The same for integer models, whose numbers are rounded to steps far below it."""
_FIRST = "sort-and-scan or descent."
_ROUNDING = 1e-12
"""Violation that is no more than the rounding of sums of shares."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reference may cost.

    Args:
        combinations: Largest number of remaining combinations that are enumerated.
        deterministic_time: CP-SAT's limit, used when more remain; 0 skips CP-SAT.
    """

    combinations: float
    deterministic_time: float


LIMITS = {Effort.QUICK: Limits(2.0**18, 2.0), Effort.NORMAL: Limits(2.0**22, 20.0), Effort.THOROUGH: Limits(2.0**26, 200.0)}


def solve_reference(instance: OffloadingInstance, limits: Limits) -> Reference:
    """The optimum of an instance with a proof, or the best point and a bound.

    The same search runs twice: on the instance, which gives the bound, and on the relaxed instance that all verified points
    satisfy, which says how far one of them may lie beyond it.

    Args:
        instance: The instance.
        limits: How much work to spend.

    Returns:
        PROVEN_OPTIMAL, DUAL_BOUND or PROVEN_INFEASIBLE.
    """
    relaxed = instance.relaxed_costs(VERIFIED)
    reason = impossible(relaxed)
    if reason is not None:
        return proven_infeasible(reason, solver=_SOLVER)
    relaxation = None if impossible(instance.costs) else lagrangian_bound(instance.costs)
    candidate = None if relaxation is None else _candidate(instance, relaxation[1])
    known = np.inf if candidate is None else _cost_if_feasible(instance, candidate)
    kept = known if _keeps_all(instance, candidate) else np.inf
    if candidate is not None:
        so_far(certify(instance, candidate, dual_bound=None, tolerance=0.0, slack=0.0, solver=_SOLVER, detail=_FIRST))
    strict = try_all(instance.costs, kept, limits.combinations, relaxation)
    loose = try_all(relaxed, known, limits.combinations)
    if loose.choice is None or (strict.choice is None and np.isfinite(loose.bound)):
        return _bounded(instance, candidate if np.isfinite(known) else None, loose.bound, limits)
    if not np.isfinite(loose.bound) or strict.choice is None:
        return proven_infeasible(f"none of {loose.combinations:.0f} combinations keeps all deadlines", solver=_SOLVER)
    found = strict if np.isfinite(strict.bound) else loose  # at the edge only what verification forgives makes it feasible
    bound, choice = found.bound, loose.choice if found.choice is None else found.choice
    return certify(
        instance,
        _shared_best(instance, choice),
        dual_bound=bound,
        tolerance=EXACT * instance.objectives[0].gap_scale(bound),
        slack=max(0.0, bound - loose.bound),
        solver=_SOLVER,
        detail=f"Choices struck out by the Lagrangian bound, all {found.combinations:.0f} remaining combinations tried.",
    )


def _shared_best(instance: OffloadingInstance, choice: IntArray) -> FloatArray:
    """The point of a choice with the best shares; with half of what verification forgives where they do not fit exactly."""
    x = instance.complete(choice)
    if instance.evaluate_twin(x).violation[0] <= 0.0:
        return x
    half = 0.5 * FEASIBILITY_TOLERANCE
    c = instance.relaxed_costs(half)
    for s in range(instance.n_servers):
        on = np.flatnonzero(choice == s + 1)
        share = shares_of_set(c.root[on, s], c.share_floor[on, s])
        if share is not None:
            x[instance.n_users + on] = share * (1.0 + half)
    point: FloatArray = instance.space.clip(x[None])[0]
    return point


def _candidate(instance: OffloadingInstance, loads: FloatArray) -> FloatArray:
    """A good point, float64 [2N]: sort-and-scan or a descent from the relaxation, repaired when deadlines bind."""
    x = instance.complete(good_choice(instance.costs, loads))
    if instance.hard_deadlines:
        x = instance.complete(instance.project(x)[0, : instance.n_users])
    return x


def _keeps_all(instance: OffloadingInstance, x: FloatArray | None) -> bool:
    """Whether a point satisfies the constraints themselves, up to rounding, and not only within their tolerance."""
    return x is not None and float(instance.evaluate_twin(x).max_violation[0]) <= _ROUNDING


def _cost_if_feasible(instance: OffloadingInstance, x: FloatArray) -> float:
    evaluation = instance.evaluate_twin(x)
    return float(evaluation.F[0, 0]) if evaluation.violation[0] <= 0.0 else np.inf


def _bounded(instance: OffloadingInstance, x: FloatArray | None, bound: float, limits: Limits) -> Reference:
    """CP-SAT for a better bound and point; the better of both methods counts. All bounds are those of the relaxed instance."""
    solver, version, detail = _SOLVER, "1", f"Lagrangian bound and {_FIRST}"
    tolerance = _ROUNDED * instance.objectives[0].gap_scale(bound)
    so_far(certify(instance, x, dual_bound=bound, tolerance=tolerance, slack=0.0, solver=solver, detail=detail))
    if limits.deterministic_time > 0.0:
        answer = solve_cpsat(cpsat := instance.model("cpsat"), deterministic_time=limits.deterministic_time)
        if answer.termination is Termination.INFEASIBLE:
            return proven_infeasible("CP-SAT proves that no choice keeps all deadlines", solver=answer.backend)
        solver, version, detail = answer.backend, answer.version, f"{answer.detail} (rounding {cpsat.rounding_error:.1e})."
        if answer.dual_bound is not None:
            bound = max(bound, answer.dual_bound)
        points = [p for p in (x, answer.x) if p is not None]
        x = min(points, key=lambda p: _cost_if_feasible(instance, p), default=None)
    return certify(
        instance,
        x,
        dual_bound=bound,
        tolerance=_ROUNDED * instance.objectives[0].gap_scale(bound),
        slack=0.0,
        solver=solver,
        solver_version=version,
        detail=detail,
    )

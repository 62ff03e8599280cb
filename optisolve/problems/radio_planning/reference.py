"""Certified plans: the best selection of options by an integer program, or by looking at every selection of sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import retold, time_is_up
from optisolve.core.reference import STOPPED, Effort, Reference
from optisolve.core.status import Evidence
from optisolve.modelling.answer import certify
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.problems.radio_planning import model
from optisolve.problems.radio_planning.forms import is_selection
from optisolve.problems.radio_planning.from_table import TableInstance
from optisolve.problems.radio_planning.front import ideal_bound, local_front

__all__ = ["LIMITS", "Limits", "solve_reference"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reference may cost.

    Args:
        node_limit: Nodes of the integer program.
        deterministic_time: CP-SAT's limit, where HiGHS left the optimum open.
        looks: Users times selections that are looked at on a shared carrier.
        divisions: Of the weights of the local search for several goals.
        sweeps: Of that search, per weight.
    """

    node_limit: int
    deterministic_time: float
    looks: float
    divisions: int
    sweeps: int


LIMITS = {
    Effort.QUICK: Limits(2_000, 5.0, 5e8, 2, 1),
    Effort.NORMAL: Limits(20_000, 60.0, 5e9, 6, 2),
    Effort.THOROUGH: Limits(200_000, 600.0, 5e10, 16, 4),
}


def solve_reference(instance: TableInstance, limits: Limits) -> Reference:
    """The optimum with a proof, or the best point and a bound.

    Args:
        instance: Any instance from a table.
        limits: How much work to spend.

    Returns:
        With coverage alone: PROVEN_OPTIMAL where options are selected on own carriers, or sites on a shared one, and the
        limits suffice; else the best plans of a local search and a bound on every goal. The slack is 0: a point stands for
        sites whose distances keep the constraint or miss it by far more than the tolerance.
    """
    plan = instance.plan
    if plan.goals != ("coverage",):
        return _by_search(instance, limits)
    if is_selection(plan) and not plan.shared:
        return _by_program(instance, limits)
    selections = math.comb(len(instance.near), plan.n_transmitters)
    if not plan.decide and selections * instance.users.size <= limits.looks:
        return _by_looking(instance, selections)
    return _by_search(instance, limits)


def _by_program(instance: TableInstance, limits: Limits) -> Reference:
    """HiGHS; where its nodes do not suffice CP-SAT too. Each checks the other's bound by its own point."""
    answers = [solve_highs(instance.model("highs"), node_limit=limits.node_limit)]
    bounds = [100.0, *(_whole(instance, a.dual_bound) for a in answers if a.dual_bound is not None)]
    points = [*instance.null_policies().values(), *(a.x[None, :] for a in answers if a.x is not None)]
    best = _best(instance, points)
    if min(bounds) - _coverage(instance, best) > _step(instance):
        answers.append(solve_cpsat(instance.model("cpsat"), deterministic_time=limits.deterministic_time))
        if answers[-1].x is not None:
            best = _best(instance, [best[None, :], answers[-1].x[None, :]])
        if answers[-1].dual_bound is not None:
            bounds.append(_whole(instance, answers[-1].dual_bound))
    return certify(
        instance,
        best,
        dual_bound=min(bounds),
        tolerance=_step(instance),
        slack=0.0,
        solver=answers[-1].backend,
        solver_version=answers[-1].version,
        detail=f"{answers[-1].detail}.",
    )


def _by_looking(instance: TableInstance, selections: int) -> Reference:
    """Every selection of sites that keeps the distances is looked at."""
    from optisolve.problems.radio_planning.kernels import best_selection

    plan = instance.plan
    full_w = float(model.watts(np.array(instance.full_power_dbm)))
    received = np.ascontiguousarray(full_w * instance.linear[instance.level[instance.site_options].astype(np.int16) + 128].T)
    chosen = np.empty(plan.n_transmitters, dtype=np.int64)
    served = int(best_selection(received, plan.noise_w, plan.sinr_target, instance.near, plan.n_transmitters, chosen))
    x = instance.points_of(instance.site_options[chosen][None, :])[0]
    detail = f"All {selections:,} selections of {plan.n_transmitters} of {len(instance.near)} sites were looked at."
    return certify(
        instance,
        x,
        dual_bound=100.0 * served / instance.users.size,
        tolerance=_step(instance),
        slack=0.0,
        solver="exhaustive",
        detail=detail,
    )


def _by_search(instance: TableInstance, limits: Limits) -> Reference:
    """The front, or for one goal the best point, of a local search."""
    bounds = ideal_bound(instance)
    with retold(lambda X: _searched(instance, limits, cast(FloatArray, X), bounds)):
        X = local_front(instance, divisions=limits.divisions, sweeps=limits.sweeps)
    return _searched(instance, limits, X, bounds)


def _searched(instance: TableInstance, limits: Limits, X: FloatArray, bounds: tuple[float, ...]) -> Reference:
    """What non-dominated plans, float64 [n, d], say."""
    F = instance.evaluate_twin(X).F
    told = f"local search over sites, directions and powers with weights in {limits.divisions} divisions"
    told += f"; {STOPPED}" if time_is_up() else ""
    if len(instance.objectives) > 1:
        return Reference(
            Evidence.BEST_KNOWN,
            X=X,
            F=F,
            solver="plan_search",
            detail=f"{len(X)} points by {told}; bounds on every goal alone",
            ideal_bound=bounds,
        )
    best, objective = int(np.argmin(F[:, 0] * instance.signs[0])), instance.objectives[0]
    tolerance = _step(instance) if instance.plan.goals == ("coverage",) else 1e-6 * objective.scale
    bound = bounds[0]
    return certify(
        instance,
        X[best],
        dual_bound=bound,
        tolerance=tolerance,
        slack=0.0,
        solver="plan_search",
        detail=f"{told}.".capitalize(),
    )


def _step(instance: TableInstance) -> float:
    """Less than half a user, in %: values and bounds that are nearer than this are the same number of users."""
    return 0.4 * 100.0 / instance.users.size


def _whole(instance: TableInstance, bound: float) -> float:
    """A bound in %, lowered to a whole number of users."""
    percent = 100.0 / instance.users.size
    return math.floor(bound / percent + 1e-6) * percent


def _coverage(instance: TableInstance, x: FloatArray) -> float:
    return float(instance.evaluate_twin(x).F[0, 0])


def _best(instance: TableInstance, points: list[FloatArray]) -> FloatArray:
    """The feasible point that covers most, float64 [d]."""
    X = np.concatenate(points)
    evaluation = instance.evaluate_twin(X)
    best: FloatArray = X[int(np.argmax(np.where(evaluation.feasible, evaluation.F[:, 0], -np.inf)))]
    return best

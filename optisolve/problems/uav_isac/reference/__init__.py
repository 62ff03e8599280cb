"""References of `uav_isac`: fronts that are best known, bounds that are proven.

| case | points | evidence | ideal_bound |
|---|---|---|---|
| one UAV | the optimum of each objective | BEST_KNOWN; each one proven by itself, see `per_objective` | meets the points |
| front published for the instance | that front, re-verified | BEST_KNOWN | valid, loose |
| anything else | a front by local search | BEST_KNOWN | valid, loose |

With one UAV there is no interference and no choice of who serves. Both objectives get strictly better with power, so it is at
its cap, and two coordinates are left for branch and bound. Where the total power is the cap, a verified point may use a factor
1 + eps of it. That lifts ln(1 + c) by the same factor at most, hence the utility by eps per user; it divides 1 / (prior + q) by
the same factor at most, and the excess of the error bound over the prior's is concave in that and 0 at 0, so the excess shrinks
by a factor 1 + eps at most.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.clock import retold, time_is_up
from optisolve.core.errors import ProblemError
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.core.reference import STOPPED, Effort, Reference
from optisolve.core.status import Evidence
from optisolve.modelling import certify
from optisolve.problems.front_file import cached_front
from optisolve.problems.uav_isac.instance import UavIsacInstance
from optisolve.problems.uav_isac.reference.bounds import (
    ERROR,
    ROUNDING,
    UTILITY,
    Term,
    best_position,
    ideal_bound,
    information_peak,
)
from optisolve.problems.uav_isac.reference.search import SearchWork, local_front

__all__ = ["CITY_TOLERANCE_NAT", "ERROR_TOLERANCE", "UTILITY_TOLERANCE_NAT", "per_objective", "reference"]

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
    bound = ideal_bound(instance)

    def searched(X: FloatArray) -> Reference:
        ending = f"; {STOPPED}" if time_is_up() else ""
        told = f"{len(X)} points by local search from many starts, effort {effort.value}; no front is published{ending}"
        return Reference(
            Evidence.BEST_KNOWN,
            X=X,
            F=instance.evaluate_twin(X).F,
            solver="scalarized_slsqp",
            solver_version=VERSION,
            detail=told,
            ideal_bound=bound,
        )

    with retold(lambda X: searched(cast(FloatArray, X))):
        front = local_front(instance, _WORK[effort])
    return searched(front.X)


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


UTILITY_TOLERANCE_NAT = 1e-8
"""|value - bound| at which the utility counts as proven, nat, for up to 10 users; in proportion to K beyond."""

CITY_TOLERANCE_NAT = 1e-3
"""The same with the Al-Hourani channel, whose utility has the weaker kind of bound (range instead of chord)."""

ERROR_TOLERANCE = (2e-11, 1e-7)
"""|value - bound| at which the error bound counts as proven, relative to A / sqrt(12), which no point beats, and relative to
the least excess over it."""


def per_objective(instance: UavIsacInstance, *, max_boxes: int = 4_000_000) -> tuple[Reference, Reference]:
    """Certified optimum of the utility alone and of the error bound alone.

    Args:
        instance: A case with one UAV.
        max_boxes: Boxes of each branch and bound at most.

    Returns:
        Two references, utility first, each with X float64 [1, 3], value by the numpy twin, and dual bound; PROVEN_OPTIMAL
        within the stated tolerance, DUAL_BOUND when the limit came first.

    Raises:
        ProblemError: The case has more than one UAV.
    """
    c, users = instance.constants, instance.users_m
    if c.n_uavs != 1:
        raise ProblemError(f"per_objective: {instance!r} has {c.n_uavs} UAVs; only one UAV can be certified.")
    ch, n_users = c.channel, len(users)
    power = min(c.p_max_w, c.p_total_w)
    channel = (ch.a_deg, ch.b_per_deg, ch.eta_los_db, ch.eta_nlos_db) if ch else (0.0, 0.0, 0.0, 0.0)
    utility = Term(UTILITY, c.altitude_m, snr=power / c.noise_over_gain, channel=channel)
    error = Term(ERROR, c.altitude_m, ranging=c.ranging_per_w * power, delay=8.0, prior=c.prior_per_m2)
    offset = n_users * math.log(c.bandwidth_hz / (n_users * c.rate_ref_bps * math.log(2.0)))
    utility_tolerance = CITY_TOLERANCE_NAT if ch else UTILITY_TOLERANCE_NAT
    prior = math.sqrt(1.0 / c.prior_per_m2)  # m
    error_tolerance = ERROR_TOLERANCE[0] * prior + ERROR_TOLERANCE[1] * _least_excess(error)
    tolerances = (utility_tolerance * max(1.0, n_users / 10), error_tolerance)
    shares = (np.ones(n_users), np.full(n_users, 1.0 / n_users))
    verdicts = [
        best_position(term, users, share, c.area_m, tolerance=tolerance / 4, max_boxes=max_boxes)
        for term, share, tolerance in zip((utility, error), shares, tolerances, strict=True)
    ]
    bounds = (offset + verdicts[0].bound, prior - verdicts[1].bound)
    eps = FEASIBILITY_TOLERANCE * (1.0 + 1e-5) if c.p_total_w < c.p_max_w else 0.0
    terms = n_users * (1.0 + abs(math.log(utility.snr)) + abs(math.log(c.altitude_m**2 + 2.0 * c.area_m**2)))
    slacks = (
        eps * n_users + ROUNDING * (abs(offset) + abs(verdicts[0].bound) + terms),
        eps * -verdicts[1].bound + ROUNDING * 2.0 * prior,
    )
    references = [
        certify(
            instance,
            np.array([*verdict.position_m, power]),
            i,
            dual_bound=bound,
            tolerance=tolerance,
            slack=slack,
            solver="uav_isac_branch_and_bound",
            solver_version="2",
            detail=f"{instance.objectives[i].name} alone: {verdict.n_boxes} boxes of positions, full power"
            + ("; stopped at the limit of boxes" if verdict.bound - verdict.value > tolerance else ""),
        )
        for i, (verdict, bound, tolerance, slack) in enumerate(zip(verdicts, bounds, tolerances, slacks, strict=True))
    ]
    return references[0], references[1]


def _least_excess(error: Term) -> float:
    """What the error bound of a user exceeds the prior's by where the UAV informs most about it, m."""
    s = information_peak(error.ranging, error.delay, error.altitude_m)
    t = s + error.altitude_m**2
    variance = 1.0 / (error.prior + s / (t * t) * (error.ranging / t + error.delay))
    return variance / (math.sqrt(1.0 / error.prior + variance) + math.sqrt(1.0 / error.prior))

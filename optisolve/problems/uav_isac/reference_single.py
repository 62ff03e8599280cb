"""One UAV: the optimum of each objective, certified by branch and bound over the position.

With one UAV there is no interference and no choice of who serves. Both objectives get strictly better with power, so it
is at its cap, and two coordinates are left.
"""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.errors import ProblemError
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.problems.uav_isac.instance import UavIsacInstance

__all__ = ["CITY_TOLERANCE_NAT", "ERROR_TOLERANCE_M", "UTILITY_TOLERANCE_NAT", "per_objective"]

UTILITY_TOLERANCE_NAT = 1e-8
"""|value - bound| at which the utility counts as proven, nat, for up to 10 users; in proportion to K beyond."""

CITY_TOLERANCE_NAT = 1e-3
"""The same with the Al-Hourani channel, whose utility has the weaker kind of bound (range instead of chord)."""

ERROR_TOLERANCE_M = 1e-8
"""|value - bound| at which the error bound counts as proven, m; it varies by centimeters on top of A / sqrt(12)."""


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
    from optisolve.problems.uav_isac.reference_boxes import ERROR, UTILITY, Term, best_position

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
    tolerances = (utility_tolerance * max(1.0, n_users / 10), ERROR_TOLERANCE_M)
    shares = (np.ones(n_users), np.full(n_users, 1.0 / n_users))
    verdicts = [
        best_position(term, users, share, c.area_m, tolerance=tolerance / 4, max_boxes=max_boxes)
        for term, share, tolerance in zip((utility, error), shares, tolerances, strict=True)
    ]
    bounds = (offset + verdicts[0].bound, math.sqrt(1.0 / c.prior_per_m2) - verdicts[1].bound)
    references = []
    for i, (verdict, bound, tolerance) in enumerate(zip(verdicts, bounds, tolerances, strict=True)):
        X = np.array([[*verdict.position_m, power]])
        value = float(instance.evaluate_twin(X).F[0, i])
        is_proven = abs(value - bound) <= tolerance
        references.append(
            Reference(
                Evidence.PROVEN_OPTIMAL if is_proven else Evidence.DUAL_BOUND,
                X=X,
                value=value,
                dual_bound=bound,
                tolerance=tolerance if is_proven else 0.0,
                solver="uav_isac_branch_and_bound",
                solver_version="1",
                detail=f"{instance.objectives[i].name} alone: {verdict.n_boxes} boxes of positions, full power"
                + ("" if is_proven else "; stopped at the limit of boxes"),
            )
        )
    return references[0], references[1]

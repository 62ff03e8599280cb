"""Bounds on each objective alone for several UAVs: valid for every feasible point, and loose.

**Utility.** Let pi_m be the share of UAV m in the total power P. Whatever the positions, user k hears its own UAV no better
than from straight above (gain h_max) and every other UAV no worse than from the corner farthest from it (gain h_k), so

    SINR_k <= h_max pi / ((1 - pi) h_k + sigma^2 / P),    pi the share of the serving UAV.

With loads L, the utility is at most sum_k [psi_k(pi) - ln L] + const; the shares add up to at most 1 and the number of UAVs
is M, which read sum_k pi / L <= 1 and sum_k 1 / L <= M when summed over users. Multipliers lambda, mu >= 0 of these two give
a bound for any values: lambda + mu M + sum_k max over (pi, L). The maximum over pi is taken over small intervals, at the
better end of each part, so that it is an upper bound too.

**Error bound.** tr J^-1 >= 4 / tr J for a 2x2 matrix, and 2 / sqrt(T) is convex: for any T_k > 0 its tangent gives

    K E >= sum_k [3 T_k^-1/2 - 2 eps T_k^-3/2] - sum_m sum_k T_k^-3/2 q(s_mk, p_m),

where q is the information of one UAV, linear in its power: the last sum is at most P max_u (range part) + M max_u (delay
part), both maximized over the square by branch and bound. Good T_k come from spreading power over a grid (Frank and Wolfe).

Both bounds are taken at the total power that verification accepts, and loosened by their own rounding, so they hold for every
verified point; the separations play no part in them.
"""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.problems.uav_isac import model
from optisolve.problems.uav_isac.instance import UavIsacInstance

__all__ = ["ROUNDING", "accepted_power_w", "error_bound", "ideal_bound", "utility_bound"]

ROUNDING = 1e-13
"""Relative rounding of a sum over users, with room to spare."""

_SHARE_INTERVALS = 1000
_GRID = 24
_FRANK_WOLFE_STEPS = 300
_REL_TOLERANCE = 1e-3


def accepted_power_w(c: model.Constants) -> float:
    """Largest total power of a verified point, W: the cap may be passed by the feasibility tolerance, a UAV's own may not."""
    return min(c.p_total_w * (1.0 + FEASIBILITY_TOLERANCE * (1.0 + 1e-5)), c.n_uavs * c.p_max_w)


def ideal_bound(instance: UavIsacInstance) -> tuple[float, float]:
    """Upper bound of the utility in nat and lower bound of the error bound in m, each proven on its own."""
    return utility_bound(instance), error_bound(instance)


def utility_bound(instance: UavIsacInstance) -> float:
    """No feasible point has a larger utility, nat."""
    from scipy.optimize import minimize

    c, n_users = instance.constants, len(instance.users_m)
    near, far = _extreme_gains(instance)  # scalar, [K]
    total = accepted_power_w(c)
    largest = c.p_max_w / (c.p_max_w + (c.n_uavs - 1) * c.p_min_w)
    edges = np.linspace(0.0, largest, _SHARE_INTERVALS + 1)
    low, high = edges[:-1], edges[1:]  # [I]
    sinr = near * high / ((1.0 - high) * far[:, None] + c.noise_over_gain / total)  # [K, I]
    psi = np.log(np.log1p(sinr))
    loads = np.arange(1.0, n_users + 1)

    def dual(logs: FloatArray) -> float:
        power_price, uav_price = np.exp(np.clip(logs, -20.0, 5.0 + math.log(n_users)))
        price = (np.log(loads) + (power_price * low[:, None] + uav_price) / loads).min(axis=1)  # [I]
        paid = power_price + uav_price * c.n_uavs
        size = paid + n_users * (np.abs(psi).max() + np.abs(price).max())  # of what cancels
        return float(paid + (psi - price).max(axis=1).sum() + ROUNDING * size)

    answer = minimize(dual, np.log([n_users, n_users / c.n_uavs]), method="Nelder-Mead", options={"maxiter": 200})
    unit = n_users * math.log(c.bandwidth_hz / (c.rate_ref_bps * math.log(2.0)))
    return dual(answer.x) + unit + ROUNDING * abs(unit)


def error_bound(instance: UavIsacInstance) -> float:
    """No feasible point has a smaller mean localization error bound, m."""
    from optisolve.problems.uav_isac.reference.boxes import INFORMATION, Term, best_position

    c, users = instance.constants, instance.users_m
    power = c.ranging_per_w * accepted_power_w(c)
    trace = _relaxed_traces(instance, power)  # [K], 1/m^2
    weights = trace**-1.5
    most = 0.0
    for amount, term in (
        (power, Term(INFORMATION, c.altitude_m, ranging=1.0)),
        (8.0 * c.n_uavs, Term(INFORMATION, c.altitude_m, delay=1.0)),
    ):
        scale = weights.sum() * c.altitude_m ** (-4 if term.ranging else -2)
        most += amount * best_position(term, users, weights, c.area_m, tolerance=_REL_TOLERANCE * scale / 10.0).bound
    size = float((3.0 * trace**-0.5 + 2.0 * c.prior_per_m2 * weights).sum()) + most
    return (float((3.0 * trace**-0.5 - 2.0 * c.prior_per_m2 * weights).sum()) - most - ROUNDING * size) / len(users)


def _extreme_gains(instance: UavIsacInstance) -> tuple[float, FloatArray]:
    """Largest path gain over alpha0 of any link, and the smallest one of any link to each user [K]."""
    c, users = instance.constants, instance.users_m
    ground2 = (np.maximum(users, c.area_m - users) ** 2).sum(axis=1)  # [K], the farthest corner
    nearest, farthest = 1.0 / c.altitude_m**2, 1.0 / (ground2 + c.altitude_m**2)
    if c.channel is None:
        return nearest, farthest
    fade = model.attenuation(np.append(0.0, np.sqrt(ground2)), c)  # monotone in the distance, one way or the other
    return nearest * float(fade.max()), farthest * np.minimum(fade[0], fade[1:])


def _relaxed_traces(instance: UavIsacInstance, power: float) -> FloatArray:
    """Traces of the information when power may be spread over a grid of positions at will; float64 [K].

    Frank and Wolfe on ``min sum_k 2 / sqrt(T_k)``; any positive answer is valid, a good one makes the bound tight.
    """
    c, users = instance.constants, instance.users_m
    ticks = (np.arange(_GRID) + 0.5) / _GRID * c.area_m
    grid = np.vstack([np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), users])
    s = ((users[:, None] - grid) ** 2).sum(axis=2)  # [K, J]
    gathered = power * s / (s + c.altitude_m**2) ** 3
    base = 2.0 * c.prior_per_m2 + 8.0 * c.n_uavs * (s / (s + c.altitude_m**2) ** 2).mean(axis=1)
    spread = gathered.mean(axis=1)
    for step in range(_FRANK_WOLFE_STEPS):
        best = (((base + spread) ** -1.5) @ gathered).argmax()
        spread += 2.0 / (step + 3.0) * (gathered[:, best] - spread)
    traces: FloatArray = base + spread
    return traces

"""Bounds on each objective alone: for several UAVs valid and loose, for one position as tight as asked.

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

**One position.** `best_position` maximizes ``sum_k weight_k f(s_k(u))`` over positions u in the square, where s_k is the
squared ground distance to user k. Boxes are halved in both directions level by level. Two kinds of bound on a box, both from
the interval of s_k:

- *Chord.* ``f(s) = ln ln(1 + c / (s + H^2))`` is convex: ``ln(1 + c/t)`` is the integral of ``1 / (t + z)`` over z in
  [0, c], each integrand is log-convex in t, and sums of log-convex functions are log-convex. So f lies below its chord.
  A sum of chords is an isotropic concave quadratic in u, whose maximum over a box is the clipped weighted centroid. The
  bound's error is quadratic in the size of the box.
- *Range.* Any f that rises up to a known peak and falls beyond it, and any monotone one, is bounded by its value at the
  peak if the interval holds it, else at the better end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import ProblemError
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.numerics.compiled import njit
from optisolve.problems.uav_isac import model
from optisolve.problems.uav_isac.instance import UavIsacInstance

__all__ = [
    "ERROR",
    "INFORMATION",
    "ROUNDING",
    "UTILITY",
    "Term",
    "Verdict",
    "accepted_power_w",
    "best_position",
    "error_bound",
    "ideal_bound",
    "information_peak",
    "utility_bound",
]

ROUNDING = 1e-13
"""Relative rounding of a sum over users, with room to spare."""

_SHARE_INTERVALS = 1000
_GRID = 24
_FRANK_WOLFE_STEPS = 300
_REL_TOLERANCE = 1e-3
UTILITY, ERROR, INFORMATION = 0, 1, 2
_H2, _SNR, _RANGING, _DELAY, _PRIOR, _A_DEG, _B_PER_DEG, _ETA_LOS, _ETA_NLOS = range(9)
"""Where the numbers of a `Term` stand in the array that the compiled functions take."""
_MAX_LEVELS = 60
_ROUNDING = 1e-14  # relative; covers the rounding of one term in a bound
_compiled = njit(cache=True, nogil=True, error_model="numpy")


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


@dataclass(frozen=True, slots=True)
class Term:
    """What one user contributes as a function of the squared ground distance s, with t = s + H^2.

    Args:
        kind: UTILITY: ln ln(1 + c g / t), g the excess attenuation. ERROR: minus the excess of the error bound over that
            of the prior, sqrt(1/eps + 1/(eps + q)) - sqrt(1/eps), in m. INFORMATION: q = a s / t^3 + b s / t^2.
        altitude_m: H, m.
        snr: c, power over noise at unit path gain; UTILITY only.
        ranging: a; not for UTILITY.
        delay: b; likewise.
        prior: eps, 1/m^2; ERROR only.
        channel: (a_deg, b_per_deg, eta_los_db, eta_nlos_db) of the attenuation; all zero without one.
    """

    kind: int
    altitude_m: float
    snr: float = 0.0
    ranging: float = 0.0
    delay: float = 0.0
    prior: float = 0.0
    channel: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False, slots=True)
class Verdict:
    """What the search found.

    Attributes:
        value: The best sum found.
        position_m: float64 [2], where.
        bound: No position has a larger sum, up to rounding.
        n_boxes: Boxes bounded.
    """

    value: float
    position_m: FloatArray
    bound: float
    n_boxes: int


def best_position(
    term: Term, users_m: FloatArray, weights: FloatArray, area_m: float, *, tolerance: float, max_boxes: int = 4_000_000
) -> Verdict:
    """Branch and bound.

    Args:
        term: The users' common function.
        users_m: float64 [K, 2], m.
        weights: float64 [K], non-negative.
        area_m: Side of the square, m.
        tolerance: Boxes that cannot beat the best position by more than this are given up; in the unit of the sum.
        max_boxes: Boxes bounded at most; reached, value and bound stay further apart.

    Raises:
        ProblemError: A weight is negative or the tolerance is not positive.
    """
    if (weights < 0.0).any() or not tolerance > 0.0:
        raise ProblemError(f"best_position: weights {weights} must be >= 0 and tolerance {tolerance} positive.")
    packed = np.array([term.altitude_m**2, term.snr, term.ranging, term.delay, term.prior, *term.channel])
    peak = information_peak(term.ranging, term.delay, term.altitude_m) if term.kind != UTILITY else 0.0
    centers, half = np.array([[area_m / 2, area_m / 2]]), area_m / 2
    best, position, given_up, n_boxes = -math.inf, centers[0], -math.inf, 0
    for _ in range(_MAX_LEVELS):
        upper, value = _bound_boxes(centers, half, users_m, weights, term.kind, packed, peak)
        n_boxes += len(centers)
        if value.max() > best:
            best, position = float(value.max()), centers[value.argmax()]
        alive = upper > best + tolerance
        given_up = max(given_up, float(upper[~alive].max(initial=-math.inf)))
        centers = centers[alive]
        if not len(centers) or n_boxes + 4 * len(centers) > max_boxes:
            break
        half /= 2
        centers = (centers[:, None] + half * _CORNERS).reshape(-1, 2)
    open_boxes = float(upper[alive].max(initial=-math.inf))
    return Verdict(best, position, max(best, given_up, open_boxes), n_boxes)


_CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


def information_peak(ranging: float, delay: float, altitude_m: float) -> float:
    """Squared ground distance at which q(s) = a s / t^3 + b s / t^2, t = s + H^2, is largest; it rises before and falls after.

    ``q' t^4 = a (H^2 - 2s) + b (H^4 - s^2)`` is decreasing for s >= 0 and positive at 0: one root.

    Args:
        ranging: a >= 0.
        delay: b >= 0, not both zero.
        altitude_m: H, m.

    Returns:
        The root in m^2: H^2 / 2 for b = 0, H^2 for a = 0.
    """
    h2 = altitude_m**2
    constant = ranging * h2 + delay * h2 * h2
    return constant / (ranging + math.sqrt(ranging * ranging + delay * constant))


@_compiled
def _bound_boxes(centers: Any, half: Any, users: Any, weights: Any, kind: Any, packed: Any, peak: Any) -> Any:
    """Upper bound over each square box [n] and the sum at its center [n]."""
    n = centers.shape[0]
    upper, value = np.zeros(n), np.zeros(n)
    for i in range(n):
        cx, cy = centers[i, 0], centers[i, 1]
        constant, slope, pull_x, pull_y, lift, size = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(users.shape[0]):
            ax, ay = abs(cx - users[k, 0]), abs(cy - users[k, 1])
            value[i] += weights[k] * _term(ax * ax + ay * ay, kind, packed)
            near = max(ax - half, 0.0) ** 2 + max(ay - half, 0.0) ** 2
            far = (ax + half) ** 2 + (ay + half) ** 2
            intercept, steepness = _majorant(near, far, kind, packed, peak)
            constant += weights[k] * intercept
            size += weights[k] * (
                abs(intercept) + abs(steepness) * far + (1.0 if kind == UTILITY else 0.0)
            )  # ln near 1 cancels
            slope += weights[k] * steepness
            pull_x += weights[k] * steepness * users[k, 0]
            pull_y += weights[k] * steepness * users[k, 1]
        if slope < 0.0:
            ux = min(max(pull_x / slope, cx - half), cx + half)
            uy = min(max(pull_y / slope, cy - half), cy + half)
            for k in range(users.shape[0]):
                near = max(abs(cx - users[k, 0]) - half, 0.0) ** 2 + max(abs(cy - users[k, 1]) - half, 0.0) ** 2
                far = (abs(cx - users[k, 0]) + half) ** 2 + (abs(cy - users[k, 1]) + half) ** 2
                _, steepness = _majorant(near, far, kind, packed, peak)
                lift += weights[k] * steepness * ((ux - users[k, 0]) ** 2 + (uy - users[k, 1]) ** 2)
        upper[i] = constant + lift + _ROUNDING * size
    return upper, value


@_compiled
def _majorant(near: Any, far: Any, kind: Any, packed: Any, peak: Any) -> Any:
    """(intercept, steepness <= 0) of an affine function of s that lies above the term on [near, far]."""
    if kind != 0:
        return _term(min(max(peak, near), far), kind, packed), 0.0
    at_near, at_far = _term(near, kind, packed), _term(far, kind, packed)
    if packed[_A_DEG] > 0.0:  # attenuation is monotone in the distance, one way or the other: two factors, each at its best end
        fade = max(_fade(near, packed), _fade(far, packed))
        return math.log(math.log1p(packed[_SNR] * fade / (near + packed[_H2]))), 0.0
    if not far > near or at_far >= at_near:  # a box of no size, or a term as flat as its rounding
        return max(at_near, at_far), 0.0
    steepness = (at_far - at_near) / (far - near)
    return at_near - steepness * near, steepness


@_compiled
def _term(s: Any, kind: Any, packed: Any) -> Any:
    h2, snr, ranging, delay, prior = packed[_H2], packed[_SNR], packed[_RANGING], packed[_DELAY], packed[_PRIOR]
    t = s + h2
    if kind == UTILITY:
        fade = _fade(s, packed) if packed[_A_DEG] > 0.0 else 1.0
        return math.log(math.log1p(snr * fade / t))
    q = s / (t * t) * (ranging / t + delay)
    if kind == INFORMATION:
        return q
    variance = 1.0 / (prior + q)
    return -variance / (math.sqrt(1.0 / prior + variance) + math.sqrt(1.0 / prior))


@_compiled
def _fade(s: Any, packed: Any) -> Any:
    elevation = 180.0 / math.pi * math.atan2(math.sqrt(packed[_H2]), math.sqrt(s))
    p_los = 1.0 / (1.0 + packed[_A_DEG] * math.exp(-packed[_B_PER_DEG] * (elevation - packed[_A_DEG])))
    return 10.0 ** (-(packed[_ETA_NLOS] + p_los * (packed[_ETA_LOS] - packed[_ETA_NLOS])) / 10.0)

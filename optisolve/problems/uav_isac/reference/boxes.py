"""Where should one UAV hover? Global branch and bound over its position, with proven bounds (numba).

Maximizes ``sum_k weight_k f(s_k(u))`` over positions u in the square, where s_k is the squared ground distance to user k.
Boxes are halved in both directions level by level. Two kinds of bound on a box, both from the interval of s_k:

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
from optisolve.numerics.compiled import njit

__all__ = ["ERROR", "INFORMATION", "UTILITY", "Term", "Verdict", "best_position", "information_peak"]

UTILITY, ERROR, INFORMATION = 0, 1, 2
_H2, _SNR, _RANGING, _DELAY, _PRIOR, _A_DEG, _B_PER_DEG, _ETA_LOS, _ETA_NLOS = range(9)
"""Where the numbers of a `Term` stand in the array that the compiled functions take."""
_MAX_LEVELS = 60
_ROUNDING = 1e-14  # relative; covers the rounding of one term in a bound
_compiled = njit(cache=True, nogil=True, error_model="numpy")


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

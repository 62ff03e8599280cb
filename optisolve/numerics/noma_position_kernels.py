"""The search of `noma_position`, compiled: the exact split of the power at one place, its bound, levels of squares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.capabilities import HoveringTransmitter
from optisolve.numerics.compiled import njit
from optisolve.numerics.noma_position import MISSED, SPARE, UNIT, FoundPosition

__all__ = [
    "best_position",
    "ceiling",
    "centers",
    "distance_noise",
    "divide",
    "loosest",
    "lower",
    "rules",
    "sort_by_noise",
    "split",
    "split_by_rules",
]

LOG2 = math.log(2.0)

_MAX_LEVELS = 60
"""Halvings of the squares at most; below, their size is lost in the rounding of the coordinates."""

_TOGETHER = 4096
"""Squares between two looks at the clock."""

EDGE_LEVELS = 12
"""Halvings at most of cells that admit the minimum rates only because verification lets them be missed a little."""


@njit(cache=True, nogil=True)
def sort_by_noise(noise: Any, order: Any) -> None:
    """Stable insertion sort of indices by noise, ascending; K is small."""
    for i in range(noise.size):
        j = i
        while j > 0 and noise[order[j - 1]] > noise[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@njit(cache=True, nogil=True)
def distance_noise(users_m: Any, x: float, y: float, half: float, altitude_m: float, scale_w: float, noise: Any) -> None:
    """Smallest noise over gain of every user while the UAV is in the square around (x, y)."""
    for k in range(users_m.shape[0]):
        dx = max(abs(users_m[k, 0] - x) - half, 0.0)
        dy = max(abs(users_m[k, 1] - y) - half, 0.0)
        noise[k] = scale_w * (altitude_m * altitude_m + (dx * dx + dy * dy))


@njit(cache=True, nogil=True)
def lower(
    S: Any, noise: Any, share: Any, lost: Any, order: Any, p_total_w: float, ordered: bool, give_w: float, up: float
) -> None:
    """Largest cumulated powers below S that obey the rules, in place; those of no user below 0 exist when S[1] suffices.

    Args:
        S: float64 [K + 1], cumulated powers from strong to weak, W; S[0] = 0 and S[K] stay, the others are lowered.
        noise: float64 [K], noise over gain, W.
        share: float64 [K], 2^-r of every user.
        lost: float64 [K], 1 - 2^-r of every user.
        order: int64 [K], users from strong to weak.
        p_total_w: P, W, the scale of rounding.
        ordered: Obey the NOMA order.
        give_w: How much less than a stronger user's power a weaker user's may be, W.
        up: Relative rounding that is added to every step; 0 for the nearest numbers.
    """
    K = noise.size
    for _ in range(10_000 if ordered else 1):
        change = 0.0
        for k in range(K - 1, 0, -1):
            kept, needed = S[k + 1] * share[order[k]], noise[order[k]] * lost[order[k]]
            new = min(S[k], (kept - needed) + up * (kept + needed))
            if ordered:
                new = min(new, 0.5 * (S[k - 1] + S[k + 1] + give_w) * (1.0 + up))
            change = max(change, S[k] - new)
            S[k] = new
        if change <= 1e-16 * p_total_w:
            break


@njit(cache=True, nogil=True)
def rules(min_rate: Any, missed: float, share: Any, lost: Any) -> None:
    """2^-r and 1 - 2^-r of minimum rates that may be missed by a share; (1, 0) exactly where there is none."""
    for k in range(min_rate.size):
        nats = min_rate[k] * (1.0 - missed) * LOG2
        share[k], lost[k] = math.exp(-nats), -math.expm1(-nats)


@njit(cache=True, nogil=True)
def split_by_rules(noise: Any, share: Any, lost: Any, p_total_w: float, ordered: bool, give_w: float, power: Any) -> float:
    """Exact split and its sum rate by the users' rates; -1 when no split meets the rules. Arguments as in `lower`."""
    K = noise.size
    order, S = np.empty(K, np.int64), np.full(K + 1, p_total_w)
    sort_by_noise(noise, order)
    S[0] = 0.0
    lower(S, noise, share, lost, order, p_total_w, ordered, give_w, 0.0)
    if S[1] * share[order[0]] < noise[order[0]] * lost[order[0]] * (1.0 - SPARE):
        return -1.0
    total = 0.0
    for k in range(K):
        p = max(S[k + 1] - S[k], 0.0)
        power[order[k]] = p
        total += math.log1p(p / (S[k] + noise[order[k]])) / LOG2
    return total


@njit(cache=True, nogil=True)
def ceiling(noise: Any, share: Any, lost: Any, p_total_w: float, ordered: bool, give_w: float) -> float:
    """No split has a larger sum rate; -1 when none meets the rules. Arguments as in `lower`.

    Shares only the sorting with what evaluates points: the sum rate grows with every cumulated power, and the largest ones
    are put into ``sum of log(1 + S_k / n_k) - log(1 + S_{k-1} / n_k)``, each step rounded upwards.
    """
    K = noise.size
    order, S = np.empty(K, np.int64), np.full(K + 1, p_total_w)
    sort_by_noise(noise, order)
    S[0] = 0.0
    lower(S, noise, share, lost, order, p_total_w, ordered, give_w, 8.0 * UNIT)
    if S[1] * share[order[0]] * (1.0 + 8.0 * UNIT) < noise[order[0]] * lost[order[0]]:
        return -1.0
    total = size = 0.0
    for k in range(K):
        n = noise[order[k]]
        above, below = math.log1p(max(S[k + 1], 0.0) / n), math.log1p(max(S[k], 0.0) / n)
        total += above - below
        size += above + below
    return float((total + 4.0 * (K + 4.0) * UNIT * size) / LOG2 * (1.0 + 4.0 * UNIT))


@njit(cache=True, nogil=True)
def split(noise: Any, min_rate: Any, p_total_w: float, ordered: bool, power: Any) -> float:
    """Exact split at one position, users in their own order.

    Args:
        noise: float64 [K], noise over gain, W.
        min_rate: float64 [K], bit/s/Hz.
        p_total_w: P, W.
        ordered: Obey the NOMA order.
        power: float64 [K], W, written.

    Returns:
        The sum rate, bit/s/Hz; -1 when no split meets the minimum rates.
    """
    share, lost = np.empty(noise.size), np.empty(noise.size)
    rules(min_rate, 0.0, share, lost)
    return float(split_by_rules(noise, share, lost, p_total_w, ordered, 0.0, power))


@njit(cache=True, nogil=True)
def centers(
    users_m: Any, altitude_m: float, scale: float, ordered: bool, share: Any, lost: Any, active: Any, best: float
) -> tuple[float, float, float]:
    """Best center of squares, when one is better than what is known.

    Args:
        users_m: float64 [K, 2], m.
        altitude_m: H, m.
        scale: sigma^2 / (rho_0 P), 1/m^2.
        ordered: Obey the NOMA order.
        share: float64 [K], 2^-r of every user.
        lost: float64 [K], 1 - 2^-r of every user.
        active: float64 [n, 3], x and y in m and an inherited bound.
        best: Value that is known, bit/s/Hz.

    Returns:
        Best value, x and y; the given value and no place where no center is better.
    """
    noise, power = np.empty(users_m.shape[0]), np.empty(users_m.shape[0])
    best_x, best_y = np.nan, np.nan
    for i in range(active.shape[0]):
        distance_noise(users_m, active[i, 0], active[i, 1], 0.0, altitude_m, scale, noise)
        value = split_by_rules(noise, share, lost, 1.0, ordered, 0.0, power)
        if value > best:
            best, best_x, best_y = value, active[i, 0], active[i, 1]
    return best, best_x, best_y


@njit(cache=True, nogil=True)
def divide(
    users_m: Any,
    altitude_m: float,
    scale: float,
    below: float,
    ordered: bool,
    share: Any,
    lost: Any,
    loose_share: Any,
    loose_lost: Any,
    missed: float,
    limit: float,
    active: Any,
    half: float,
    level: int,
    children: Any,
) -> tuple[int, float, float, float, float, float]:
    """Bound squares and divide those that stay open.

    Args:
        users_m: float64 [K, 2], m.
        altitude_m: H, m.
        scale: sigma^2 / (rho_0 P), 1/m^2.
        below: Factor that keeps the rounding of distances on the safe side.
        ordered: Obey the NOMA order.
        share: float64 [K], 2^-r of every user.
        lost: float64 [K], 1 - 2^-r of every user.
        loose_share: The same for rates that are missed.
        loose_lost: The same for rates that are missed.
        missed: Share by which a verified point may miss every constraint.
        limit: Squares whose bound is not above it are closed; negative for none.
        active: float64 [n, 3], x and y in m and an inherited bound.
        half: Half a side, m.
        level: Halvings so far.
        children: float64 [4 n, 3], written.

    Returns:
        Children; largest bound of the closed squares for points that meet all constraints, and for points that miss them (-1:
        none); best value with rates missed of squares at the edge (-1: none) and its place.
    """
    K, count = users_m.shape[0], 0
    noise, power = np.empty(K), np.empty(K)
    bound, loose, edge, edge_x, edge_y = -1.0, -1.0, -1.0, 0.0, 0.0
    for i in range(active.shape[0]):
        distance_noise(users_m, active[i, 0], active[i, 1], half, altitude_m, scale * below, noise)
        own = ceiling(noise, share, lost, 1.0, ordered, 0.0) if active[i, 2] >= 0.0 else -1.0
        own = min(own, active[i, 2])
        is_open = own >= 0.0 and not (limit >= 0.0 and own <= limit)
        if not is_open:
            bound = max(bound, own)
            relaxed = ceiling(noise, loose_share, loose_lost, 1.0 + missed, ordered, missed)
            if own < 0.0 and relaxed >= 0.0:  # a cell at the very edge of what the minimum rates allow
                is_open = level < EDGE_LEVELS
                distance_noise(users_m, active[i, 0], active[i, 1], 0.0, altitude_m, scale, noise)
                value = split_by_rules(noise, loose_share, loose_lost, 1.0, ordered, 0.0, power)
                if value > edge:
                    edge, edge_x, edge_y = value, active[i, 0], active[i, 1]
            if not is_open:
                loose = max(loose, relaxed)
                continue
        for j in range(4):
            children[count, 0] = active[i, 0] + half * (0.5 - (j & 1))
            children[count, 1] = active[i, 1] + half * (0.5 - (j >> 1))
            children[count, 2] = own
            count += 1
    return count, bound, loose, edge, edge_x, edge_y


@njit(cache=True, nogil=True)
def loosest(
    users_m: Any,
    altitude_m: float,
    scale: float,
    ordered: bool,
    loose_share: Any,
    loose_lost: Any,
    missed: float,
    active: Any,
    half: float,
) -> float:
    """Largest bound of squares for points that miss constraints; arguments as in `divide`, `scale` on the safe side."""
    noise, loose = np.empty(users_m.shape[0]), -1.0
    for i in range(active.shape[0]):
        distance_noise(users_m, active[i, 0], active[i, 1], half, altitude_m, scale, noise)
        loose = max(loose, ceiling(noise, loose_share, loose_lost, 1.0 + missed, ordered, missed))
    return loose


def best_position(
    case: HoveringTransmitter, *, rel_gap: float, max_cells: int, out_of_time: Callable[[], bool] | None = None
) -> FoundPosition:
    """Best position with its exact split, and bounds valid for the whole area.

    Args:
        case: Users, transmitter, area.
        rel_gap: Squares whose bound exceeds the best value by less than this share are closed.
        max_cells: Squares bounded at most.
        out_of_time: Whether to stop; asked every few thousand squares.
    """
    c, users = case.constants, case.users_m
    altitude, scale, ordered = c.altitude_m, c.noise_over_gain_1m_w / c.p_total_w, c.power_order
    share, lost, loose_share, loose_lost = np.empty((4, len(users)))
    rules(case.min_rate, 0.0, share, lost)
    rules(case.min_rate, MISSED, loose_share, loose_lost)
    # Differences of coordinates are rounded at the size of the area, which counts where it is much larger than the altitude
    below = 1.0 - UNIT * (16.0 + 8.0 * case.area_m / altitude)
    place: FloatArray | None = None
    edge_place: FloatArray | None = None
    best, edge, bound, loose = -1.0, -1.0, -1.0, -1.0
    half, cells, level = case.area_m / 32.0, 0, 0
    stopped = False
    active = _first_squares(half)
    while len(active) and cells + len(active) <= max_cells and level < _MAX_LEVELS:
        cells += len(active)
        for part in _parts(active):
            found, x, y = centers(users, altitude, scale, ordered, share, lost, part, best)
            if found > best:
                best, place = found, np.array([x, y])
            stopped = _up(out_of_time)
            if stopped:
                break
        if stopped:
            break
        limit, divided = best * (1.0 + rel_gap) if best >= 0.0 else -1.0, [np.empty((0, 3))]
        for part in _parts(active):
            stopped = _up(out_of_time)
            if stopped:  # what the level has closed is looked at again, as a whole
                break
            children = np.empty((4 * len(part), 3))
            count, closed, relaxed, near, x, y = divide(
                users,
                altitude,
                scale,
                below,
                ordered,
                share,
                lost,
                loose_share,
                loose_lost,
                MISSED,
                limit,
                part,
                half,
                level,
                children,
            )
            divided.append(children[:count])
            bound, loose = max(bound, closed), max(loose, relaxed)
            if near > edge:
                edge, edge_place = near, np.array([x, y])
        if stopped:
            break
        active, half, level = np.concatenate(divided), 0.5 * half, level + 1
    if len(active):
        bound = max(bound, float(active[:, 2].max()))
        if stopped:  # no time for all of them: the whole area as one square
            active, half = np.full((1, 3), 0.5 * case.area_m), 0.5 * case.area_m
        loose = max(loose, loosest(users, altitude, scale * below, ordered, loose_share, loose_lost, MISSED, active, half))
        bound = bound if math.isfinite(bound) else loose  # where no square was bounded
    if best < 0.0:
        return FoundPosition(edge_place, edge, edge >= 0.0, bound, loose, cells)
    return FoundPosition(place, best, False, bound, loose, cells)


def _first_squares(half: float) -> FloatArray:
    """Sixteen by sixteen squares, float64 [256, 3]: center in m, and a bound that says nothing."""
    steps = half * (2.0 * np.arange(16) + 1.0)
    x, y = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    return np.column_stack([x, y, np.full(256, np.inf)])


def _parts(active: FloatArray) -> list[FloatArray]:
    return [active[i : i + _TOGETHER] for i in range(0, len(active), _TOGETHER)]


def _up(out_of_time: Callable[[], bool] | None) -> bool:
    return out_of_time is not None and out_of_time()

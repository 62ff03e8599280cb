"""Numba kernels of `noma_uav`: batched evaluation, exact split, and the branch and bound over positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.problems.noma_uav.model import SPARE

__all__ = ["branch_and_bound", "evaluate", "repair", "split"]

LOG2 = math.log(2.0)
UNIT = float(np.finfo(np.float64).eps)
MAX_LEVELS = 60
"""Halvings of the cells at most; below, their size is lost in the rounding of the coordinates."""
EDGE_LEVELS = 12
"""Halvings at most of cells that admit the minimum rates only because verification lets them be missed a little."""


@njit(cache=True, nogil=True)
def _sort(noise: Any, order: Any) -> None:
    """Stable insertion sort of indices by noise, ascending; K is small."""
    for i in range(noise.size):
        j = i
        while j > 0 and noise[order[j - 1]] > noise[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@njit(cache=True, nogil=True)
def evaluate(
    users_m: Any, min_rate: Any, altitude_m: float, scale_w: float, p_total_w: float, ordered: bool, X: Any, F: Any, G: Any
) -> None:
    """Sum rate and constraints of a batch.

    Args:
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz.
        altitude_m: H, m.
        scale_w: sigma^2 / rho_0, W per m^2.
        p_total_w: P, W.
        ordered: Add the NOMA order to G.
        X: float64 [n, 2 + K].
        F: float64 [n, 1], written.
        G: float64 [n, k], written: total power, minimum rates, order.
    """
    K = users_m.shape[0]
    noise, rate, order = np.empty(K), np.empty(K), np.empty(K, np.int64)
    for s in range(X.shape[0]):
        for k in range(K):
            dx, dy = users_m[k, 0] - X[s, 0], users_m[k, 1] - X[s, 1]
            noise[k] = scale_w * (altitude_m * altitude_m + (dx * dx + dy * dy))
        _sort(noise, order)
        stronger = total = 0.0
        for k in order:
            p = X[s, 2 + k]
            rate[k] = math.log1p(p / (stronger + noise[k])) / LOG2
            stronger += p
            total += rate[k]
        F[s, 0] = total
        G[s, 0] = stronger / p_total_w - 1.0
        column = 1
        for k in range(K):
            if min_rate[k] > 0.0:
                G[s, column] = 1.0 - rate[k] / min_rate[k]
                column += 1
        if ordered:
            for i in range(K - 1):
                G[s, column + i] = (X[s, 2 + order[i]] - X[s, 2 + order[i + 1]]) / p_total_w


@njit(cache=True, nogil=True)
def _distance_noise(users_m: Any, x: float, y: float, half: float, altitude_m: float, scale_w: float, noise: Any) -> None:
    """Smallest noise over gain of every user while the UAV is in the square around (x, y)."""
    for k in range(users_m.shape[0]):
        dx = max(abs(users_m[k, 0] - x) - half, 0.0)
        dy = max(abs(users_m[k, 1] - y) - half, 0.0)
        noise[k] = scale_w * (altitude_m * altitude_m + (dx * dx + dy * dy))


@njit(cache=True, nogil=True)
def _lower(
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
def _rules(min_rate: Any, missed: float, share: Any, lost: Any) -> None:
    """2^-r and 1 - 2^-r of minimum rates that may be missed by a share; (1, 0) exactly where there is none."""
    for k in range(min_rate.size):
        nats = min_rate[k] * (1.0 - missed) * LOG2
        share[k], lost[k] = math.exp(-nats), -math.expm1(-nats)


@njit(cache=True, nogil=True)
def _split(noise: Any, share: Any, lost: Any, p_total_w: float, ordered: bool, give_w: float, power: Any) -> float:
    """Exact split and its sum rate by the users' rates; -1 when no split meets the rules. Arguments as in `_lower`."""
    K = noise.size
    order, S = np.empty(K, np.int64), np.full(K + 1, p_total_w)
    _sort(noise, order)
    S[0] = 0.0
    _lower(S, noise, share, lost, order, p_total_w, ordered, give_w, 0.0)
    if S[1] * share[order[0]] < noise[order[0]] * lost[order[0]] * (1.0 - SPARE):
        return -1.0
    total = 0.0
    for k in range(K):
        p = max(S[k + 1] - S[k], 0.0)
        power[order[k]] = p
        total += math.log1p(p / (S[k] + noise[order[k]])) / LOG2
    return total


@njit(cache=True, nogil=True)
def _ceiling(noise: Any, share: Any, lost: Any, p_total_w: float, ordered: bool, give_w: float) -> float:
    """No split has a larger sum rate; -1 when none meets the rules. Arguments as in `_lower`.

    Shares only the sorting with what evaluates points: the sum rate grows with every cumulated power, and the largest ones
    are put into ``sum of log(1 + S_k / n_k) - log(1 + S_{k-1} / n_k)``, each step rounded upwards.
    """
    K = noise.size
    order, S = np.empty(K, np.int64), np.full(K + 1, p_total_w)
    _sort(noise, order)
    S[0] = 0.0
    _lower(S, noise, share, lost, order, p_total_w, ordered, give_w, 8.0 * UNIT)
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
    """Exact split at one position, see `model.best_split`.

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
    _rules(min_rate, 0.0, share, lost)
    return float(_split(noise, share, lost, p_total_w, ordered, 0.0, power))


@njit(cache=True, nogil=True)
def repair(users_m: Any, min_rate: Any, altitude_m: float, scale_w: float, p_total_w: float, ordered: bool, X: Any) -> None:
    """Repair power splits in place; positions stay.

    Powers above the total are scaled down, strong users give way to the minimum rates of weak ones, and where that leaves
    the strongest user short, the exact split at full power is taken. A position that admits no split keeps its powers.

    Args:
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz.
        altitude_m: H, m.
        scale_w: sigma^2 / rho_0, W per m^2.
        p_total_w: P, W.
        ordered: Obey the NOMA order.
        X: float64 [n, 2 + K], inside the bounds, changed.
    """
    K = users_m.shape[0]
    noise, power, order, S = np.empty(K), np.empty(K), np.empty(K, np.int64), np.empty(K + 1)
    share, lost = np.empty(K), np.empty(K)
    _rules(min_rate, 0.0, share, lost)
    for s in range(X.shape[0]):
        total = X[s, 2:].sum()
        if total > p_total_w * (1.0 + 1e-12):
            X[s, 2:] *= p_total_w / total
        _distance_noise(users_m, X[s, 0], X[s, 1], 0.0, altitude_m, scale_w, noise)
        _sort(noise, order)
        S[0] = 0.0
        for k in range(K):
            S[k + 1] = S[k] + X[s, 2 + order[k]]
        before = S.copy()
        _lower(S, noise, share, lost, order, p_total_w, ordered, 0.0, 0.0)
        if S[1] * share[order[0]] >= noise[order[0]] * lost[order[0]] * (1.0 - SPARE):
            if (before - S).max() > 1e-12 * p_total_w:
                for k in range(K):
                    X[s, 2 + order[k]] = max(S[k + 1] - S[k], 0.0)
        elif _split(noise, share, lost, p_total_w, ordered, 0.0, power) >= 0.0:
            X[s, 2:] = power


@njit(cache=True, nogil=True)
def branch_and_bound(
    users_m: Any,
    min_rate: Any,
    area_m: float,
    altitude_m: float,
    scale: float,
    ordered: bool,
    missed: float,
    rel_gap: float,
    max_cells: int,
) -> tuple[float, float, float, float, float, int]:
    """Best position with its exact split, and bounds valid for the whole area; powers in units of P.

    The best sum rate never grows when a user's channel gets worse (the capacity region of a degraded broadcast channel
    shrinks), so the largest split at every user's smallest distance bounds a square cell. Cells are refined level by level.

    Args:
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz.
        area_m: Side of the square area, m.
        altitude_m: H, m.
        scale: sigma^2 / (rho_0 P), 1/m^2.
        ordered: Obey the NOMA order.
        missed: Share by which a verified point may miss every constraint.
        rel_gap: Cells whose bound exceeds the best value by less than this share are closed.
        max_cells: Cells bounded at most.

    Returns:
        Best value, with all constraints met or, where no such point was found, missed by a little less than `missed` (-1: no
        point found); upper bound for points that meet all constraints (-1: none exists) and for points that miss them
        (-1: none exists); x and y of the best point in m; cells bounded.
    """
    K = users_m.shape[0]
    noise, power = np.empty(K), np.empty(K)
    share, lost, loose_share, loose_lost = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    _rules(min_rate, 0.0, share, lost)
    _rules(min_rate, missed, loose_share, loose_lost)
    # Differences of coordinates are rounded at the size of the area, which counts where it is much larger than the altitude
    below = 1.0 - UNIT * (16.0 + 8.0 * area_m / altitude_m)
    best, best_x, best_y, bound, loose = -1.0, 0.0, 0.0, -1.0, -1.0
    edge, edge_x, edge_y = -1.0, 0.0, 0.0
    half, cells, level = area_m / 32.0, 0, 0
    active = np.empty((256, 3))  # x, y, bound inherited from the parent
    for i in range(256):
        active[i, 0], active[i, 1], active[i, 2] = half * (2 * (i // 16) + 1), half * (2 * (i % 16) + 1), np.inf
    while active.shape[0] > 0 and cells + active.shape[0] <= max_cells and level < MAX_LEVELS:
        cells += active.shape[0]
        for i in range(active.shape[0]):
            _distance_noise(users_m, active[i, 0], active[i, 1], 0.0, altitude_m, scale, noise)
            value = _split(noise, share, lost, 1.0, ordered, 0.0, power)
            if value > best:
                best, best_x, best_y = value, active[i, 0], active[i, 1]
        children, count = np.empty((4 * active.shape[0], 3)), 0
        for i in range(active.shape[0]):
            _distance_noise(users_m, active[i, 0], active[i, 1], half, altitude_m, scale * below, noise)
            own = _ceiling(noise, share, lost, 1.0, ordered, 0.0) if active[i, 2] >= 0.0 else -1.0
            own = min(own, active[i, 2])
            is_open = own >= 0.0 and not (best >= 0.0 and own <= best * (1.0 + rel_gap))
            if not is_open:
                bound = max(bound, own)
                relaxed = _ceiling(noise, loose_share, loose_lost, 1.0 + missed, ordered, missed)
                if own < 0.0 and relaxed >= 0.0:  # a cell at the very edge of what the minimum rates allow
                    is_open = level < EDGE_LEVELS
                    _distance_noise(users_m, active[i, 0], active[i, 1], 0.0, altitude_m, scale, noise)
                    value = _split(noise, loose_share, loose_lost, 1.0, ordered, 0.0, power)
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
        active, half, level = children[:count], 0.5 * half, level + 1
    for i in range(active.shape[0]):
        _distance_noise(users_m, active[i, 0], active[i, 1], half, altitude_m, scale * below, noise)
        bound = max(bound, active[i, 2])
        loose = max(loose, _ceiling(noise, loose_share, loose_lost, 1.0 + missed, ordered, missed))
    if best < 0.0:
        return edge, bound, loose, edge_x, edge_y, cells
    return best, bound, loose, best_x, best_y, cells

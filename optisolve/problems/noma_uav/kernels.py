"""Numba kernels of `noma_uav`: batched evaluation, exact split, and the branch and bound over positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["branch_and_bound", "evaluate", "repair", "split"]

LOG2 = math.log(2.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sort(noise: Any, order: Any) -> None:
    """Stable insertion sort of indices by noise, ascending; K is small."""
    for i in range(noise.size):
        j = i
        while j > 0 and noise[order[j - 1]] > noise[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _distance_noise(users_m: Any, x: float, y: float, half: float, altitude_m: float, scale_w: float, noise: Any) -> None:
    """Smallest noise over gain of every user while the UAV is in the square around (x, y)."""
    for k in range(users_m.shape[0]):
        dx = max(abs(users_m[k, 0] - x) - half, 0.0)
        dy = max(abs(users_m[k, 1] - y) - half, 0.0)
        noise[k] = scale_w * (altitude_m * altitude_m + (dx * dx + dy * dy))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _lower(S: Any, noise: Any, min_rate: Any, order: Any, p_total_w: float, ordered: bool) -> bool:
    """Largest cumulated powers below S that obey the rules; False when there are none.

    Args:
        S: float64 [K + 1], cumulated powers from strong to weak, W; S[0] = 0 and S[K] stay, the others are lowered.
        noise: float64 [K], noise over gain, W.
        min_rate: float64 [K], bit/s/Hz.
        order: int64 [K], users from strong to weak.
        p_total_w: P, W, the scale of rounding.
        ordered: Obey the NOMA order.
    """
    K = noise.size
    for _ in range(10_000 if ordered else 1):
        change = 0.0
        for k in range(K - 1, 0, -1):
            n = noise[order[k]]
            new = min(S[k], (S[k + 1] + n) * 2.0 ** (-min_rate[order[k]]) - n)
            if ordered:
                new = min(new, 0.5 * (S[k - 1] + S[k + 1]))
            change = max(change, S[k] - new)
            S[k] = new
        if change <= 1e-16 * p_total_w:
            break
    for k in range(1, K):
        if S[k] < -1e-12 * p_total_w:
            return False
    first = noise[order[0]]
    return bool((S[1] + first) * 2.0 ** (-min_rate[order[0]]) >= first * (1.0 - 1e-12))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
    K = noise.size
    order, S = np.empty(K, np.int64), np.full(K + 1, p_total_w)
    _sort(noise, order)
    S[0] = 0.0
    if not _lower(S, noise, min_rate, order, p_total_w, ordered):
        return -1.0
    total = 0.0
    for k in range(K):
        p = max(S[k + 1] - S[k], 0.0)
        power[order[k]] = p
        total += math.log1p(p / (max(S[k], 0.0) + noise[order[k]])) / LOG2
    return total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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
        if _lower(S, noise, min_rate, order, p_total_w, ordered):
            if (before - S).max() > 1e-12 * p_total_w:
                for k in range(K):
                    X[s, 2 + order[k]] = max(S[k + 1] - S[k], 0.0)
        elif split(noise, min_rate, p_total_w, ordered, power) >= 0.0:
            X[s, 2:] = power


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def branch_and_bound(
    users_m: Any,
    min_rate: Any,
    area_m: float,
    altitude_m: float,
    scale_w: float,
    p_total_w: float,
    ordered: bool,
    rel_gap: float,
    max_cells: int,
) -> tuple[float, float, float, float, int]:
    """Best position with its exact split, and a bound valid for the whole area.

    The best sum rate never grows when a user's channel gets worse (the capacity region of a degraded broadcast channel
    shrinks), so the split at every user's smallest distance bounds a square cell. Cells are refined level by level.

    Args:
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz.
        area_m: Side of the square area, m.
        altitude_m: H, m.
        scale_w: sigma^2 / rho_0, W per m^2.
        p_total_w: P, W.
        ordered: Obey the NOMA order.
        rel_gap: Cells whose bound exceeds the best value by less than this share are closed.
        max_cells: Cells bounded at most.

    Returns:
        Best value (-1: no feasible point found), upper bound (-1: proven infeasible), x and y of the best point in m,
        cells bounded.
    """
    K = users_m.shape[0]
    noise, power = np.empty(K), np.empty(K)
    best, best_x, best_y, closed = -1.0, 0.0, 0.0, -1.0
    half, cells = area_m / 32.0, 0
    active = np.empty((256, 3))  # x, y, bound inherited from the parent
    for i in range(256):
        active[i, 0], active[i, 1], active[i, 2] = half * (2 * (i // 16) + 1), half * (2 * (i % 16) + 1), np.inf
    while active.shape[0] > 0 and cells + active.shape[0] <= max_cells:
        cells += active.shape[0]
        for i in range(active.shape[0]):
            _distance_noise(users_m, active[i, 0], active[i, 1], 0.0, altitude_m, scale_w, noise)
            value = split(noise, min_rate, p_total_w, ordered, power)
            if value > best:
                best, best_x, best_y = value, active[i, 0], active[i, 1]
        children, count = np.empty((4 * active.shape[0], 3)), 0
        for i in range(active.shape[0]):
            _distance_noise(users_m, active[i, 0], active[i, 1], half, altitude_m, scale_w, noise)
            bound = split(noise, min_rate, p_total_w, ordered, power)
            if bound < 0.0:
                continue
            bound = min(bound * (1.0 + 1e-12), active[i, 2])
            if best >= 0.0 and bound <= best * (1.0 + rel_gap):
                closed = max(closed, bound)
                continue
            for j in range(4):
                children[count, 0] = active[i, 0] + half * (0.5 - (j & 1))
                children[count, 1] = active[i, 1] + half * (0.5 - (j >> 1))
                children[count, 2] = bound
                count += 1
        active, half = children[:count], 0.5 * half
    for i in range(active.shape[0]):
        closed = max(closed, active[i, 2])
    return best, max(closed, best), best_x, best_y, cells

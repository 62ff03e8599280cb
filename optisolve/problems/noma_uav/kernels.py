"""Numba kernels of `noma_uav`: batched evaluation and repair; the exact split is that of `numerics.noma_position`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.numerics.noma_position import SPARE
from optisolve.numerics.noma_position_kernels import distance_noise, lower, rules, sort_by_noise, split_by_rules

__all__ = ["evaluate", "repair"]

LOG2 = math.log(2.0)


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
        sort_by_noise(noise, order)
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
    rules(min_rate, 0.0, share, lost)
    for s in range(X.shape[0]):
        total = X[s, 2:].sum()
        if total > p_total_w * (1.0 + 1e-12):
            X[s, 2:] *= p_total_w / total
        distance_noise(users_m, X[s, 0], X[s, 1], 0.0, altitude_m, scale_w, noise)
        sort_by_noise(noise, order)
        S[0] = 0.0
        for k in range(K):
            S[k + 1] = S[k] + X[s, 2 + order[k]]
        before = S.copy()
        lower(S, noise, share, lost, order, p_total_w, ordered, 0.0, 0.0)
        if S[1] * share[order[0]] >= noise[order[0]] * lost[order[0]] * (1.0 - SPARE):
            if (before - S).max() > 1e-12 * p_total_w:
                for k in range(K):
                    X[s, 2 + order[k]] = max(S[k + 1] - S[k], 0.0)
        elif split_by_rules(noise, share, lost, p_total_w, ordered, 0.0, power) >= 0.0:
            X[s, 2:] = power

"""Hot loop of user association in numba; `model.evaluate` is the same as readable numpy."""

from __future__ import annotations

from math import inf, log

import numpy as np

from optisolve.numerics.interpreted import njit_once_it_pays

__all__ = ["evaluate"]


@njit_once_it_pays(lambda X, *_: 2.0 * X.size, error_model="numpy")
def evaluate(X, rate_mbps, log_rate, goal, F, G):  # type: ignore[no-untyped-def]
    """Objective and share of uncovered users.

    Args:
        X: float64 [n, I], stations.
        rate_mbps: float64 [I, J], Mbit/s.
        log_rate: float64 [I, J], ln of the rate, of `model.out_of_reach_mbps` where it is 0.
        goal: int, 0 proportional fairness, 1 max-min, 2 sum rate.
        F: float64 [n, 1], written.
        G: float64 [n, 1], written.
    """
    n_users, n_stations = rate_mbps.shape
    load, weakest = np.empty(n_stations), np.empty(n_stations)
    total = np.empty(n_stations)
    for row in range(X.shape[0]):
        uncovered, logs = 0, 0.0
        for j in range(n_stations):
            load[j] = 0.0
            total[j] = 0.0
            weakest[j] = inf
        for i in range(n_users):
            j = int(X[row, i])
            peak = rate_mbps[i, j]
            if peak <= 0.0:
                uncovered += 1
            load[j] += 1.0
            total[j] += peak
            logs += log_rate[i, j]
            weakest[j] = min(weakest[j], peak)
        G[row, 0] = uncovered / n_users
        if goal == 0:
            for j in range(n_stations):
                if load[j] > 1.0:
                    logs -= load[j] * log(load[j])
            F[row, 0] = logs
        elif goal == 1:
            value = inf
            for j in range(n_stations):
                if load[j] > 0.0 and weakest[j] / load[j] < value:
                    value = weakest[j] / load[j]
            F[row, 0] = value
        else:
            value = 0.0
            for j in range(n_stations):
                if load[j] > 0.0:
                    value += total[j] / load[j]
            F[row, 0] = value

"""Hot loop of OFDMA resource allocation in numba; `model.evaluate` is the same as readable numpy."""

from __future__ import annotations

import numpy as np

from optisolve.numerics.interpreted import njit_once_it_pays
from optisolve.numerics.logarithm import log_one_plus

__all__ = ["evaluate"]


_PER_NAT = 1.0 / np.log(2.0)


@njit_once_it_pays(lambda X, *_: 2.0 * X.size, error_model="numpy")
def evaluate(X, snr_per_w, tone_mbps, weight, power_w, total_w, rate_min_mbps, quota, equal_power, F, G):  # type: ignore[no-untyped-def]
    """Weighted rate and constraints.

    Args:
        X: float64 [n, M] owners, or [n, 2M] owners then powers in units of `power_w`.
        snr_per_w: float64 [K, M], 1/W.
        tone_mbps: float, MHz.
        weight: float64 [K].
        power_w: float, W: power per unit of the second half of X, or of every tone under equal power.
        total_w: float, W.
        rate_min_mbps: float64 [K], Mbit/s; users with 0 have no column.
        quota: float64 [K].
        equal_power: bool, X holds owners only and G the quotas.
        F: float64 [n, 1], written.
        G: float64 [n, k], written.
    """
    n_users, n_tones = snr_per_w.shape
    rate, count = np.empty(n_users), np.empty(n_users)
    for row in range(X.shape[0]):
        for k in range(n_users):
            rate[k] = 0.0
            count[k] = 0.0
        used = 0.0
        for m in range(n_tones):
            k = int(X[row, m])
            power = power_w if equal_power else power_w * X[row, n_tones + m]
            rate[k] += tone_mbps * _PER_NAT * log_one_plus(power * snr_per_w[k, m])
            count[k] += 1.0
            used += power
        value = 0.0
        column = 0
        if not equal_power:
            G[row, 0] = used / total_w - 1.0
            column = 1
        for k in range(n_users):
            value += weight[k] * rate[k]
            if equal_power:
                G[row, k] = (count[k] - quota[k]) / n_tones
            elif rate_min_mbps[k] > 0.0:
                G[row, column] = 1.0 - rate[k] / rate_min_mbps[k]
                column += 1
        F[row, 0] = value

r"""The equations of `noma_uav` in plain numpy: the twin that verification runs on.

User k at q_k is served from the point L at height H over a free-space channel. In noise power per unit of channel gain,

.. math:: n_k = \sigma^2 (H^2 + |q_k - L|^2) / \rho_0 \quad [W].

Users are sorted by n ascending (the strongest first); each one cancels the signals of all weaker users and hears those
of all stronger ones. With cumulated powers S_k = p_1 + ... + p_k,

.. math:: R_k = \log_2 \frac{S_k + n_k}{S_{k-1} + n_k} \quad [bit/s/Hz].

Exact split for a fixed position (derived here). The sum of rates telescopes to

.. math:: \sum_k R_k = \log_2 \frac{S_K + n_K}{n_1} + \sum_{k<K} \log_2 \frac{S_k + n_k}{S_k + n_{k+1}},

and every term grows with its S_k, since n_k <= n_{k+1}. The minimum rate of user k bounds S_{k-1} by an increasing function
of S_k, :math:`S_{k-1} \le S_k 2^{-r_k} - n_k (1 - 2^{-r_k})`; the NOMA order p_1 <= ... <= p_K bounds S_k by
:math:`(S_{k-1} + S_{k+1}) / 2`. Such a system has a largest element, and that is the optimum: full power, the weak users at
their minimum rates, the rest to the strongest.

Source: channel and rate as in DiffSG (arXiv 2411.00453), there without minimum rates; the split by the argument above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.numerics.noma_position import SPARE

__all__ = ["Constants", "best_split", "evaluate", "noise_over_gain_w", "rates", "sum_rate_slopes"]


@dataclass(frozen=True, slots=True)
class Constants:
    """What the equations need beside the users.

    Args:
        altitude_m: Flight altitude H, m.
        noise_over_gain_1m_w: sigma^2 / rho_0, W per m^2.
        p_total_w: Transmit power P, W.
        power_order: A weaker user gets at least the power of a stronger one.
    """

    altitude_m: float
    noise_over_gain_1m_w: float
    p_total_w: float
    power_order: bool


def noise_over_gain_w(constants: Constants, users_m: FloatArray, L: FloatArray) -> FloatArray:
    """Noise over channel gain of every user, float64 [n, K], W.

    Args:
        constants: Altitude and radio constants.
        users_m: float64 [K, 2], m.
        L: float64 [n, 2], UAV positions, m.
    """
    square_m2 = ((users_m[None] - L[:, None]) ** 2).sum(axis=2)  # [n, K]
    noise_w: FloatArray = constants.noise_over_gain_1m_w * (constants.altitude_m**2 + square_m2)
    return noise_w


def rates(noise_w: FloatArray, power_w: FloatArray) -> tuple[FloatArray, IntArray]:
    """Rates after successive interference cancellation.

    Args:
        noise_w: float64 [n, K], noise over gain, W.
        power_w: float64 [n, K], W.

    Returns:
        Rates, float64 [n, K], bit/s/Hz, in the users' own order; and the users sorted from strong to weak, int64 [n, K].
    """
    order = np.argsort(noise_w, axis=1, kind="stable")
    noise, power = np.take_along_axis(noise_w, order, axis=1), np.take_along_axis(power_w, order, axis=1)
    stronger = np.zeros_like(power)  # [n, K], power of all stronger users; a difference of sums would lose small ones
    np.cumsum(power[:, :-1], axis=1, out=stronger[:, 1:])
    sorted_rates = np.log1p(power / (stronger + noise)) / np.log(2.0)
    out = np.empty_like(sorted_rates)
    np.put_along_axis(out, order, sorted_rates, axis=1)
    return out, order


def evaluate(constants: Constants, users_m: FloatArray, min_rate: FloatArray, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum rate and constraints.

    Args:
        constants: Altitude and radio constants.
        users_m: float64 [K, 2], m.
        min_rate: float64 [K], bit/s/Hz; 0 means no constraint for that user.
        X: float64 [n, 2 + K], position in m and powers in W.

    Returns:
        F float64 [n, 1] in bit/s/Hz; G float64 [n, k]: total power, minimum rates of the users that have one, NOMA order.
    """
    power = X[:, 2:]
    rate, order = rates(noise_over_gain_w(constants, users_m, X[:, :2]), power)
    wanting = min_rate > 0.0
    columns = [power.sum(axis=1, keepdims=True) / constants.p_total_w - 1.0, 1.0 - rate[:, wanting] / min_rate[wanting]]
    if constants.power_order:
        columns.append(-np.diff(np.take_along_axis(power, order, axis=1), axis=1) / constants.p_total_w)
    return rate.sum(axis=1, keepdims=True), np.concatenate(columns, axis=1)


def sum_rate_slopes(constants: Constants, users_m: FloatArray, X: FloatArray) -> FloatArray:
    """Slopes of the sum rate, float64 [n, 2 + K], per m and per W; at equal distances, of the order taken.

    Args:
        constants: Altitude and radio constants.
        users_m: float64 [K, 2], m.
        X: float64 [n, 2 + K], position in m and powers in W.
    """
    noise_w = noise_over_gain_w(constants, users_m, X[:, :2])
    order = np.argsort(noise_w, axis=1, kind="stable")
    noise, power = np.take_along_axis(noise_w, order, axis=1), np.take_along_axis(X[:, 2:], order, axis=1)
    up_to = np.cumsum(power, axis=1)
    before = np.concatenate([np.zeros_like(power[:, :1]), up_to[:, :-1]], axis=1)
    with_own, without = 1.0 / (up_to + noise), 1.0 / (before + noise)
    heard_after = np.concatenate([without[:, 1:], np.zeros_like(without[:, :1])], axis=1)
    by_sum = with_own - heard_after  # d rate / d S_k; S_k holds the powers of all stronger users
    slopes = np.empty_like(X)
    by_power = np.cumsum(by_sum[:, ::-1], axis=1)[:, ::-1]
    np.put_along_axis(slopes[:, 2:], order, by_power, axis=1)
    by_noise = np.empty_like(noise)
    np.put_along_axis(by_noise, order, with_own - without, axis=1)
    away_m = X[:, None, :2] - users_m[None]  # [n, K, 2]
    slopes[:, :2] = 2.0 * constants.noise_over_gain_1m_w * (by_noise[:, :, None] * away_m).sum(axis=1)
    slopes /= np.log(2.0)
    return slopes


def best_split(constants: Constants, noise_w: FloatArray, min_rate: FloatArray) -> FloatArray | None:
    """The power split of the largest sum rate at one position; None when no split meets the minimum rates.

    Args:
        constants: Total power and order rule.
        noise_w: float64 [K], noise over gain, W.
        min_rate: float64 [K], bit/s/Hz.

    Returns:
        float64 [K], W, in the users' own order.
    """
    order = np.argsort(noise_w, kind="stable")
    n, r, K, P = noise_w[order], min_rate[order], noise_w.size, constants.p_total_w
    share, lost = np.exp2(-r), -np.expm1(-r * np.log(2.0)) * n  # S[k] <= S[k + 1] share[k] - lost[k]; (1, 0) without a minimum
    S = np.full(K + 1, P)  # S[k]: power of the k strongest users
    S[0] = 0.0
    for _ in range(1 if not constants.power_order else 10_000):
        before = S.copy()
        for k in range(K - 1, 0, -1):
            S[k] = min(S[k], S[k + 1] * share[k] - lost[k])
            if constants.power_order:
                S[k] = min(S[k], 0.5 * (S[k - 1] + S[k + 1]))
        if np.abs(S - before).max() <= 1e-16 * P:
            break
    if S[1] * share[0] < lost[0] * (1.0 - SPARE):  # implies that no other S is below 0
        return None
    power = np.empty(K)
    power[order] = np.maximum(np.diff(S), 0.0)
    return power

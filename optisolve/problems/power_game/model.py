"""The equations of `power_game` in plain numpy: the twin that verification runs on.

K agents transmit to one receiver, which treats everybody else as noise:

.. math:: SINR_k = p_k g_k / (\\sigma^2 + \\sum_{j \\ne k} p_j g_j), \\qquad R_k = B \\log_2(1 + SINR_k)

With ``a_k = 1 - 2^(-r_k / B)`` the thresholds ``R_k >= r_k`` can be met exactly when ``sum_k a_k < 1``, and the componentwise
smallest powers are ``p*_k = sigma^2 a_k / (g_k (1 - sum_j a_j))``. They are the social optimum and the only generalized Nash
equilibrium at once (Foschini and Miljanic 1993; Yates 1995). Instance after Zou et al., arXiv 2307.02757.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, product

__all__ = ["Cell", "constraints", "least_bandwidth", "least_powers_closed_form", "loads", "rates", "total_power"]


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """The data of one game.

    Args:
        link_gain: float64 [K], power gain of each agent to the receiver, linear.
        initial_power_w: float64 [K], powers before the game, W.
        rate_threshold_bit_s: float64 [K], bit/s, 0 for none.
        p_max_w: float64 [K], W.
        bandwidth_hz: Hz.
        noise_w: Noise power over that bandwidth, W.
        power_saving_w: The intent: total power must fall by this much, W; 0 for no intent.
    """

    link_gain: FloatArray
    initial_power_w: FloatArray
    rate_threshold_bit_s: FloatArray
    p_max_w: FloatArray
    bandwidth_hz: float
    noise_w: float
    power_saving_w: float


def rates(P: FloatArray, cell: Cell) -> FloatArray:
    """Rate of every agent at powers P float64 [n, K], W; float64 [n, K], bit/s."""
    received = P * cell.link_gain  # [n, K]
    others = product(received, 1.0 - np.eye(P.shape[1]))
    efficiency: FloatArray = np.log1p(received / (cell.noise_w + others)) / np.log(2.0)
    return cell.bandwidth_hz * efficiency


def total_power(P: FloatArray) -> FloatArray:
    """Total power, float64 [n], W."""
    return np.asarray(P.sum(axis=1))


def constraints(P: FloatArray, cell: Cell) -> FloatArray:
    """Inequality constraints, float64 [n, k].

    ``1 - R_k / r_k <= 0`` for every threshold, then ``(sum p - (sum p0 - saving)) / sum p0 <= 0`` where there is an intent.
    """
    asked = cell.rate_threshold_bit_s > 0.0
    columns = 1.0 - rates(P, cell)[:, asked] / cell.rate_threshold_bit_s[asked]
    if cell.power_saving_w <= 0.0:
        return columns
    before = float(cell.initial_power_w.sum())
    excess = (P.sum(axis=1, keepdims=True) - (before - cell.power_saving_w)) / before
    return np.hstack([columns, excess])


def loads(rate_threshold_bit_s: FloatArray, bandwidth_hz: float) -> FloatArray:
    """``a_k = 1 - 2^(-r_k / B)``, float64 [K]: the share of all received power, noise included, that agent k must have."""
    return np.asarray(-np.expm1(-rate_threshold_bit_s / bandwidth_hz * np.log(2.0)))


def least_powers_closed_form(cell: Cell) -> tuple[FloatArray | None, float]:
    """The componentwise smallest powers that meet all thresholds, without caps.

    Returns:
        float64 [K], W, or None when no powers do; and the total load, feasible when below 1.
    """
    load = loads(cell.rate_threshold_bit_s, cell.bandwidth_hz)
    total = float(load.sum())
    if total >= 1.0:
        return None, total
    return cell.noise_w * load / (cell.link_gain * (1.0 - total)), total


def least_bandwidth(rate_threshold_bit_s: FloatArray, *, rtol: float = 1e-13) -> float:
    """Bandwidth above which the thresholds can be met, whatever gains and noise are, Hz; by bisection on the total load."""
    low = high = float(rate_threshold_bit_s.sum())
    while loads(rate_threshold_bit_s, low).sum() < 1.0:
        low *= 0.5
        if low < 1e-12 * high:
            return 0.0  # fewer than two thresholds can always be met
    while loads(rate_threshold_bit_s, high).sum() >= 1.0:
        high *= 2.0
    while high - low > rtol * high:
        middle = 0.5 * (low + high)
        if loads(rate_threshold_bit_s, middle).sum() >= 1.0:
            low = middle
        else:
            high = middle
    return high

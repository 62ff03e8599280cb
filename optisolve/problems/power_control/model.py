"""The equations of `power_control` in plain numpy: the twin that verification runs on.

K links share one band; ``gain[i, j]`` leads from transmitter j to receiver i.

.. math:: SINR_i = G_{ii} p_i / (\\sigma_i^2 + \\sum_{j \\ne i} G_{ij} p_j), \\qquad R_i = \\log_2(1 + SINR_i)

Sources: Luo and Zhang 2008 (weighted sum rate), Foschini and Miljanic 1993 (least power), Tan, Chiang and Srikant 2011
(max-min), Matthiesen et al., arXiv 1910.07853 (energy efficiency as rate over consumed power).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from optisolve.core.arrays import FloatArray, product
from optisolve.numerics.interference import sinr

__all__ = ["Goal", "Links", "objective", "objective_slopes", "rate_shortfall", "rates"]


class Goal(StrEnum):
    """What is optimized."""

    SUM_RATE = "sum_rate"
    WEIGHTED_SUM_RATE = "weighted_sum_rate"
    MIN_POWER = "min_power"
    MAX_MIN = "max_min"
    ENERGY_EFFICIENCY = "energy_efficiency"


@dataclass(frozen=True, eq=False, slots=True)
class Links:
    """The data of one interference channel, linear scale.

    Args:
        gain: float64 [K, K], receiver i from transmitter j; an SNR gap is already divided out of the diagonal.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        weight: float64 [K], used by the weighted sum rate only.
        min_rate_bit_s_hz: float64 [K], bit/s/Hz, 0 for none.
        circuit_power_w: Power consumed in any case, W; used by the energy efficiency only.
        power_slope: Consumed power per radiated power, the inverse of the amplifier's efficiency.
    """

    gain: FloatArray
    noise_w: FloatArray
    p_max_w: FloatArray
    weight: FloatArray
    min_rate_bit_s_hz: FloatArray
    circuit_power_w: float
    power_slope: float


def rates(P: FloatArray, links: Links) -> FloatArray:
    """Spectral efficiency of every link, float64 [n, K], bit/s/Hz, at powers P float64 [n, K], W."""
    efficiency: FloatArray = np.log1p(sinr(P, links.gain, links.noise_w)) / np.log(2.0)
    return efficiency


def objective(P: FloatArray, links: Links, goal: Goal) -> FloatArray:
    """The objective, float64 [n], in its own sense and unit.

    Args:
        P: float64 [n, K], W.
        links: The channel.
        goal: Which objective.
    """
    if goal is Goal.MIN_POWER:
        return np.asarray(P.sum(axis=1))
    R = rates(P, links)  # [n, K]
    if goal is Goal.MAX_MIN:
        return np.asarray(R.min(axis=1))
    if goal is Goal.WEIGHTED_SUM_RATE:
        return np.asarray((links.weight * R).sum(axis=1))
    if goal is Goal.ENERGY_EFFICIENCY:
        return np.asarray(R.sum(axis=1) / (links.circuit_power_w + links.power_slope * P.sum(axis=1)))
    return np.asarray(R.sum(axis=1))


def objective_slopes(P: FloatArray, links: Links, goal: Goal) -> FloatArray:
    """Slopes of the objective in the powers, float64 [n, K], per W; arguments as in `objective`.

    With q what a receiver hears beside its signal s, d ln(1 + s / q) is ds / (s + q) - dq s / (q (s + q)).
    Of several worst links the first one counts.
    """
    if goal is Goal.MIN_POWER:
        return np.ones_like(P)
    own = np.diag(links.gain)
    cross = links.gain - np.diag(own)
    signal = P * own  # [n, K]
    heard = product(P, cross.T) + links.noise_w
    weight = np.broadcast_to(links.weight if goal is Goal.WEIGHTED_SUM_RATE else 1.0, P.shape)
    if goal is Goal.MAX_MIN:
        weight = np.zeros_like(P)
        np.put_along_axis(weight, (signal / heard).argmin(axis=1)[:, None], 1.0, axis=1)
    by_signal = weight / ((signal + heard) * np.log(2.0))
    slopes: FloatArray = by_signal * own - product(by_signal * signal / heard, cross)
    if goal is Goal.ENERGY_EFFICIENCY:
        consumed = links.circuit_power_w + links.power_slope * P.sum(axis=1, keepdims=True)
        slopes = (slopes - links.power_slope * objective(P, links, goal)[:, None]) / consumed
    return slopes


def rate_shortfall(P: FloatArray, links: Links) -> FloatArray:
    """Inequality constraints ``1 - R_i / R_min_i <= 0`` of the links with a minimum rate, float64 [n, k]."""
    asked = links.min_rate_bit_s_hz > 0.0
    if not asked.any():
        return np.empty((P.shape[0], 0))
    short: FloatArray = 1.0 - rates(P, links)[:, asked] / links.min_rate_bit_s_hz[asked]
    return short

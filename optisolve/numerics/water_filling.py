"""Water-filling: the exact optimum of a weighted sum rate over parallel channels under one power budget."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["dual_value", "net_rates", "project_to_simplex", "water_fill"]

_EPS = float(np.finfo(np.float64).eps)


def water_fill(gain_per_w: FloatArray, weight: FloatArray, p_total_w: float) -> tuple[FloatArray, float]:
    """Maximize ``sum_m w_m log2(1 + g_m p_m)`` with ``sum p <= p_total, p >= 0`` by sorting.

    Channel m is switched on when the water level exceeds ``1 / (w_m g_m)``; on the channels that are on,
    ``p_m = w_m level - 1 / g_m``. Sorted by that threshold, the largest consistent prefix is found in one pass. All is
    counted from the lowest threshold: where the noise is far above the budget, the level itself has no digits left for it.

    Args:
        gain_per_w: float64 [M], gain over noise, 1/W, > 0.
        weight: float64 [M], > 0.
        p_total_w: Budget, W, > 0.

    Returns:
        float64 [M], powers that add up to the budget, W, and the level, W per unit weight (its inverse over ln 2 is the
        price of power).

    Source: Cover and Thomas, Elements of Information Theory, section on parallel Gaussian channels; weights by the same KKT
    conditions.
    """
    threshold = 1.0 / (weight * gain_per_w)  # [M]
    lowest = float(threshold.min())
    above = threshold - lowest  # [M]
    order = np.argsort(above, kind="stable")
    rises = (p_total_w + np.cumsum(weight[order] * above[order])) / np.cumsum(weight[order])  # if only the first m were on
    n_on = int(np.flatnonzero(rises > above[order])[-1]) + 1  # the first channel is always on
    rise = float(rises[n_on - 1])
    powers = weight * np.maximum(rise - above, 0.0)
    return powers * (p_total_w / powers.sum()), lowest + rise


def dual_value(gain_per_w: FloatArray, weight: FloatArray, p_total_w: float, level: float) -> float:
    """Lagrangian dual at the price ``1 / (level ln 2)``: a bound on the optimum for every level > 0, bit/s/Hz.

    It is built from each channel's own maximizer and never looks at the primal powers, so that it checks them.
    """
    price = 1.0 / level  # per W, in nats
    parts = np.append(net_rates(gain_per_w, weight, price, p_total_w), price * p_total_w)  # all >= 0
    nats = float(parts.sum()) * (1.0 + 2.0 * (parts.size + 4) * _EPS)
    return float(nats / np.log(2.0))


def net_rates(gain_per_w: FloatArray, weight: FloatArray, price: float, cap_w: float) -> FloatArray:
    """An upper bound, tight to rounding, on ``max_{0 <= p <= cap} w log(1 + g p) - price p`` for many channels, nats.

    The maximizer is a difference and loses its digits where ``g cap`` is below the rounding of 1; what that costs is at
    most ``w`` times the square of the rounding. The tangent at 0 needs no maximizer and is exact there.

    Args:
        gain_per_w: float64 [...], > 0, 1/W.
        weight: float64, broadcasts with it, > 0.
        price: Nats per W, >= 0.
        cap_w: Largest power of one channel, W.
    """
    slope = weight * gain_per_w  # at p = 0
    with np.errstate(divide="ignore", over="ignore"):
        own = np.clip((slope / price - 1.0) / gain_per_w, 0.0, cap_w)
    rate, cost = weight * np.log1p(gain_per_w * own), price * own
    inside = np.maximum(rate - cost, 0.0) + 4.0 * _EPS * (rate + cost) + weight * (8.0 * _EPS) ** 2
    tangent = np.maximum(slope * (1.0 + 4.0 * _EPS) - price, 0.0) * cap_w
    bound: FloatArray = np.minimum(inside, tangent)
    return bound


def project_to_simplex(u: FloatArray) -> FloatArray:
    """Euclidean projection of the last axis (length n) onto {u >= 0, sum u = n}."""
    n = u.shape[-1]
    ordered = -np.sort(-u, axis=-1)
    cut = (np.cumsum(ordered, axis=-1) - n) / np.arange(1, n + 1)
    kept = np.maximum((ordered > cut).sum(axis=-1, keepdims=True), 1)
    projected: FloatArray = np.maximum(u - np.take_along_axis(cut, kept - 1, axis=-1), 0.0)
    return projected

"""Water-filling: the exact optimum of a weighted sum rate over parallel channels under one power budget."""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["dual_value", "water_fill"]


def water_fill(gain_per_w: FloatArray, weight: FloatArray, p_total_w: float) -> tuple[FloatArray, float]:
    """Maximize ``sum_m w_m log2(1 + g_m p_m)`` with ``sum p <= p_total, p >= 0`` by sorting.

    Channel m is switched on when the water level exceeds ``1 / (w_m g_m)``; on the channels that are on,
    ``p_m = w_m level - 1 / g_m``. Sorted by that threshold, the largest consistent prefix is found in one pass.

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
    order = np.argsort(threshold, kind="stable")
    floors, weights = np.cumsum(1.0 / gain_per_w[order]), np.cumsum(weight[order])
    levels = (p_total_w + floors) / weights  # level if exactly the first m channels were on
    n_on = int(np.flatnonzero(levels > threshold[order])[-1]) + 1
    level = float(levels[n_on - 1])
    powers = np.maximum(weight * level - 1.0 / gain_per_w, 0.0)
    return powers * (p_total_w / powers.sum()), level


def dual_value(gain_per_w: FloatArray, weight: FloatArray, p_total_w: float, level: float) -> float:
    """Lagrangian dual at the price ``1 / (level ln 2)``: a bound on the optimum for every level > 0, bit/s/Hz.

    It is built from each channel's own maximizer and never looks at the primal powers, so that it checks them.
    """
    price = 1.0 / level  # per W, in nats
    own = np.maximum(weight / price - 1.0 / gain_per_w, 0.0)
    nats = float((weight * np.log1p(gain_per_w * own) - price * own).sum()) + price * p_total_w
    return float(nats / np.log(2.0))

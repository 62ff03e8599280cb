"""On/off switches on interference channels, batched: a few best single switches from a given point.

At most stationary points of a sum rate every link is silent or at full power, so a good point is a good set of links.
A switch of link k adds the same interference column to every receiver, hence all K candidates of a round cost O(K^2).
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["rates", "switch_links"]


def rates(gain: FloatArray, weight: FloatArray, powers: FloatArray) -> FloatArray:
    """Weighted sum rate of many points on many channels.

    Args:
        gain: float64 [B, K, K], see `optisolve.numerics.wmmse.normalized_gain`.
        weight: float64 [B, K].
        powers: float64 [B, S, K] in [0, 1].

    Returns:
        float64 [B, S], bit/s/Hz.
    """
    from optisolve.numerics.switch_kernels import evaluate

    values: FloatArray = evaluate(*(np.ascontiguousarray(a, dtype=np.float64) for a in (gain, weight, powers)))
    return values


def switch_links(
    gain: FloatArray, weight: FloatArray, powers: FloatArray, *, max_switches: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Round every point to on/off and make its best single switches until none helps.

    Args:
        gain: float64 [B, K, K], see `optisolve.numerics.wmmse.normalized_gain`.
        weight: float64 [B, K].
        powers: float64 [B, S, K] in [0, 1]; values above 1/2 count as on.
        max_switches: Switches per point at most.

    Returns:
        Powers float64 [B, S, K] in {0, 1}, their weighted sum rates float64 [B, S] in bit/s/Hz, and the number of candidates
        looked at, int64 [B, S].
    """
    from optisolve.numerics.switch_kernels import switch

    on = np.ascontiguousarray(powers > 0.5, dtype=np.float64)
    equal = bool((weight == weight[:, :1]).all())
    gain, weight = (np.ascontiguousarray(a, dtype=np.float64) for a in (gain, weight))
    values, looked = switch(gain, weight, on, equal, max_switches)
    return on, values, looked

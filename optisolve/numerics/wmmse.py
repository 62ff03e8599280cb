"""WMMSE for scalar interference channels, batched over instances and starting points, and an on/off local search.

Sources: Shi, Razaviyayn, Luo and He 2011 (WMMSE); scalar form as in Sun et al. 2018.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["normalized_gain", "on_off_search", "wmmse"]


def normalized_gain(gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> FloatArray:
    """Gain at full power over the receiver's noise, so that noise is 1 and powers run over [0, 1].

    Args:
        gain: float64 [..., K, K], linear.
        noise_w: float64 [..., K], W.
        p_max_w: float64 [..., K], W.

    Returns:
        float64 [..., K, K], dimensionless.
    """
    scaled: FloatArray = np.ascontiguousarray(gain * p_max_w[..., None, :] / noise_w[..., :, None])
    return scaled


def wmmse(
    gain: FloatArray, weight: FloatArray, starts: FloatArray, *, max_iterations: int = 500, tolerance: float = 1e-6
) -> tuple[FloatArray, IntArray]:
    """Run WMMSE on many instances from many starts; the sum rate never falls, the limit is a stationary point.

    In power form, with ``I_i`` interference and noise and ``S_i`` the signal at receiver i, one step is

    .. math:: c_i = w_i S_i / (I_i (I_i + S_i)), \\quad
              p_i \\leftarrow \\min(1, (c_i (I_i + S_i) / (\\sqrt{p_i} \\sum_j c_j G_{ji}))^2)

    Args:
        gain: float64 [B, K, K], see `normalized_gain`.
        weight: float64 [B, K].
        starts: float64 [B, S, K] in [0, 1]; a link that starts at 0 stays off.
        max_iterations: Steps at most.
        tolerance: Smallest gain of a step, bit/s/Hz; below 1 bit/s/Hz a share of the sum rate.

    Returns:
        Powers float64 [B, S, K] in [0, 1], and steps taken int64 [B, S].
    """
    from optisolve.numerics.wmmse_kernels import ascend

    iterations = np.zeros(starts.shape[:2], dtype=np.int64)
    gain, weight, starts = (np.ascontiguousarray(a, dtype=np.float64) for a in (gain, weight, starts))
    powers: FloatArray = ascend(gain, weight, starts, max_iterations, tolerance, iterations)
    return powers, iterations


def on_off_search(
    gain: FloatArray, weight: FloatArray, on: npt.ArrayLike, *, max_rounds: int = 1000
) -> tuple[FloatArray, float]:
    """Improve an on/off vector by the best switch of one link or swap of two until none helps.

    Args:
        gain: float64 [K, K], see `normalized_gain`.
        weight: float64 [K].
        on: [K], a start; values above 1/2 count as on.
        max_rounds: Moves at most.

    Returns:
        float64 [K] in {0, 1}, and its weighted sum rate, bit/s/Hz.
    """
    from optisolve.numerics.wmmse_kernels import flip

    power = (np.asarray(on, dtype=np.float64) > 0.5).astype(np.float64)
    value = flip(np.ascontiguousarray(gain), np.ascontiguousarray(weight), power, max_rounds)
    return power, float(value)

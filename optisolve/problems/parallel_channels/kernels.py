"""Batched evaluation of `parallel_channels` in numba; `model` holds the readable equations."""

from __future__ import annotations

from math import log

import numpy as np

from optisolve.numerics.compiled import njit
from optisolve.numerics.logarithm import log_one_plus

__all__ = ["evaluate"]

_PER_BIT = 1.0 / np.log(2.0)
_TELLING = 0.01
"""Signal to noise ratio above which 1 plus it keeps the ratio's digits."""
_LARGE = 1e50
"""Product that the largest ratio, 1e240, may still be multiplied with."""


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(P, snr_per_w, weight, p_total_w, equal, F, G):  # type: ignore[no-untyped-def]
    """Weighted sum rate and budget excess of a batch.

    Args:
        P: float64 [n, M], W.
        snr_per_w: float64 [M], gain over noise, 1/W.
        weight: float64 [M].
        p_total_w: W.
        equal: All weights are 1; then factors well above 1 are multiplied and one logarithm serves many channels.
        F: float64 [n, 1], written, bit/s/Hz.
        G: float64 [n, 1], written.
    """
    for s in range(P.shape[0]):
        rate, used, product = 0.0, 0.0, 1.0
        for m in range(P.shape[1]):
            power = P[s, m]
            used += power
            ratio = power * snr_per_w[m]
            if equal and ratio > _TELLING:
                product *= 1.0 + ratio
                if product > _LARGE:
                    rate += log(product)
                    product = 1.0
            else:
                rate += weight[m] * log_one_plus(ratio)
        F[s, 0] = (rate + log(product)) * _PER_BIT
        G[s, 0] = used / p_total_w - 1.0

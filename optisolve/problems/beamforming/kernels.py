"""Numba kernel of `beamforming`; the readable equations are in `model`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["GOALS", "evaluate"]

GOALS = ("min_power", "max_min", "weighted_sum_rate")
LN2 = math.log(2.0)


@njit(cache=True, nogil=True)
def evaluate(
    goal: int, h_re: Any, h_im: Any, weight: Any, target: Any, noise_w: float, p_total_w: float, X: Any, F: Any, G: Any
) -> None:
    """Objective and constraints of a batch.

    Args:
        goal: Index into `GOALS`.
        h_re: float64 [K, M], real parts of the channels.
        h_im: float64 [K, M], imaginary parts.
        weight: float64 [K].
        target: float64 [K], linear SINR.
        noise_w: W.
        p_total_w: W.
        X: float64 [n, 2 K M], sqrt(W).
        F: float64 [n, 1], written.
        G: float64 [n, 1] or [n, 1 + K], written.
    """
    K, M = h_re.shape
    sinr = np.empty(K)
    for s in range(X.shape[0]):
        power = 0.0
        for i in range(X.shape[1]):
            power += X[s, i] * X[s, i]
        for k in range(K):
            signal, interference = 0.0, noise_w
            for j in range(K):
                re = im = 0.0
                for m in range(M):
                    w_re, w_im = X[s, 2 * (j * M + m)], X[s, 2 * (j * M + m) + 1]
                    re += h_re[k, m] * w_re + h_im[k, m] * w_im
                    im += h_re[k, m] * w_im - h_im[k, m] * w_re
                if j == k:
                    signal = re * re + im * im
                else:
                    interference += re * re + im * im
            sinr[k] = signal / interference
        G[s, 0] = power / p_total_w - 1.0
        if goal == 0:
            F[s, 0] = power
            for k in range(K):
                G[s, 1 + k] = 1.0 - sinr[k] / target[k]
        elif goal == 1:
            worst = math.inf
            for k in range(K):
                worst = min(worst, sinr[k] / target[k])
            F[s, 0] = worst
        else:
            total = 0.0
            for k in range(K):
                total += weight[k] * math.log1p(sinr[k]) / LN2
            F[s, 0] = total

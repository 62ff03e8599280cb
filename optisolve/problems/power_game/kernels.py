"""Batched evaluation of `power_game` in numba; `model` holds the readable equations."""

from __future__ import annotations

import numpy as np

from optisolve.numerics.interpreted import njit_once_it_pays
from optisolve.numerics.logarithm import log_one_plus

__all__ = ["evaluate"]

_PER_BIT = 1.0 / np.log(2.0)


@njit_once_it_pays(lambda P, *_: P.size * P.shape[1], nogil=True, error_model="numpy")
def evaluate(P, link_gain, threshold, bandwidth_hz, noise_w, before_w, saving_w, F, G):  # type: ignore[no-untyped-def]
    """Total power and constraints of a batch.

    Args:
        P: float64 [n, K], W.
        link_gain: float64 [K].
        threshold: float64 [K], bit/s, 0 for none.
        bandwidth_hz: Hz.
        noise_w: W.
        before_w: Total initial power, W.
        saving_w: Intent, W, 0 for none.
        F: float64 [n, 1], written.
        G: float64 [n, k], written.
    """
    n_agents = P.shape[1]
    for s in range(P.shape[0]):
        used, column = 0.0, 0
        for k in range(n_agents):
            used += P[s, k]
            if threshold[k] > 0.0:
                heard = noise_w
                for j in range(n_agents):
                    if j != k:  # subtracting the own signal from a common sum would cancel digits
                        heard += P[s, j] * link_gain[j]
                rate = bandwidth_hz * log_one_plus(P[s, k] * link_gain[k] / heard) * _PER_BIT
                G[s, column] = 1.0 - rate / threshold[k]
                column += 1
        F[s, 0] = used
        if saving_w > 0.0:
            G[s, column] = (used - (before_w - saving_w)) / before_w

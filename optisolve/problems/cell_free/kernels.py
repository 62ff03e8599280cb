"""Numba kernel of `cell_free`; the readable equations are in `model`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["evaluate"]

LN2 = math.log(2.0)


@njit(cache=True, nogil=True)
def evaluate(beta_snr: Any, root_gamma: Any, X: Any, F: Any, G: Any) -> None:
    """Objective and constraints of a batch.

    Args:
        beta_snr: float64 [M, K], rho beta.
        root_gamma: float64 [M, K], sqrt(rho gamma).
        X: float64 [n, M K], amplitudes.
        F: float64 [n, 1], bit/s/Hz, written.
        G: float64 [n, M], written.
    """
    M, K = beta_snr.shape
    signal, interference = np.empty(K), np.empty(K)
    for s in range(X.shape[0]):
        signal[:], interference[:] = 0.0, 1.0
        for m in range(M):
            load = 0.0
            for k in range(K):
                a = X[s, m * K + k]
                load += a * a
                signal[k] += root_gamma[m, k] * a
            for k in range(K):
                interference[k] += load * beta_snr[m, k]
            G[s, m] = load - 1.0
        worst = math.inf
        for k in range(K):
            worst = min(worst, signal[k] * signal[k] / interference[k])
        F[s, 0] = math.log1p(worst) / LN2

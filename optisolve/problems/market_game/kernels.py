"""Numba kernels of `market_game`; the readable equations are in `model`."""

from __future__ import annotations

import math
from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["profit", "worth"]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def worth(W: Any, capacity: float, a: Any, b: Any, F: Any) -> None:
    """Total worth of the shares into F float64 [n, 1]; arguments as in `model.worth`."""
    for s in range(W.shape[0]):
        total = 0.0
        for i in range(W.shape[1]):
            total += W[s, i]
        F[s, 0] = 0.0
        for i in range(W.shape[1]):
            F[s, 0] += a[i] * math.log1p(capacity * W[s, i] / (total * b[i]))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def profit(Q: Any, intercept: float, slope: float, cost: Any, F: Any) -> None:
    """Total profit into F float64 [n, 1]; arguments as in `model.profit`."""
    for s in range(Q.shape[0]):
        total = 0.0
        for i in range(Q.shape[1]):
            total += Q[s, i]
        F[s, 0] = 0.0
        for i in range(Q.shape[1]):
            F[s, 0] += (intercept - slope * total - cost[i]) * Q[s, i]

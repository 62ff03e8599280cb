r"""The equations of `market_game` in numpy; they are fast enough without a compiled kernel.

Kelly's mechanism: bids w share a capacity C; the objective is the total worth, which the bids themselves do not reduce since
they are paid from one to another.

.. math:: x_i = C w_i / \sum_j w_j, \qquad \max_w \sum_i a_i \ln(1 + x_i / b_i)

Cournot's market: quantities q lower the common price; the objective is the total profit, which a cartel would maximize.

.. math:: \max_q \sum_i (A - B \sum_j q_j - c_i) q_i

Sources: Kelly 1997; Johari and Tsitsiklis 2004; Cournot 1838.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["profit", "worth"]


def worth(W: FloatArray, capacity: float, a: FloatArray, b: FloatArray) -> FloatArray:
    """Total worth of the shares, float64 [n, 1], at bids W float64 [n, K]."""
    share = capacity * W / W.sum(axis=1, keepdims=True)
    return np.asarray((a * np.log1p(share / b)).sum(axis=1, keepdims=True))


def profit(Q: FloatArray, intercept: float, slope: float, cost: FloatArray) -> FloatArray:
    """Total profit, float64 [n, 1], at quantities Q float64 [n, K]."""
    total = Q.sum(axis=1, keepdims=True)
    return np.asarray(((intercept - slope * total - cost) * Q).sum(axis=1, keepdims=True))

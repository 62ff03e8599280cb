"""Numba kernel of `nsp_utility`; the readable equations are in `model`."""

from __future__ import annotations

import math
from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["GOALS", "evaluate"]

GOALS = ("rate", "availability", "bep", "throughput", "energy")
LN2 = math.log(2.0)


@njit(cache=True, nogil=True)
def evaluate(
    goal: int,
    snr_per_w: Any,
    rate_scale: float,
    p_total_w: float,
    p_circuit_w: float,
    threshold: float,
    base: float,
    payment: float,
    price: float,
    outage_max: float,
    bep_max: float,
    rate_min: float,
    X: Any,
    F: Any,
    G: Any,
) -> None:
    """Objective and constraints of a batch.

    Args:
        goal: Index into `GOALS`.
        snr_per_w: float64 [M], gain over noise, 1/W.
        rate_scale: Bandwidth in MHz over ln 2.
        p_total_w: Cap, W.
        p_circuit_w: Circuit power, W.
        threshold: SNR below which a branch is in outage, linear.
        base: Utility at quality 0.
        payment: Utility per unit of quality.
        price: Cost of 1 W.
        outage_max: Floor, 0 when absent; likewise the next two.
        bep_max: Floor on the mean bit error probability.
        rate_min: Floor on the rate, Mbit/s.
        X: float64 [n, M], W.
        F: float64 [n, 1], written.
        G: float64 [n, k], written.
    """
    n, M = X.shape
    # Logarithms and roots cost most; only what the goal and the floors use is computed
    wants_rate = goal in (0, 3) or rate_min > 0.0
    wants_exponent = goal in (1, 3) or outage_max > 0.0
    wants_error = goal == 2 or bep_max > 0.0
    for s in range(n):
        total = rate = exponent = error = 0.0
        for m in range(M):
            total += X[s, m]
            snr = X[s, m] * snr_per_w[m]
            if wants_rate:
                rate += math.log1p(snr)
            if wants_exponent:
                exponent += threshold / snr if snr > 0.0 else math.inf
            if wants_error:
                error += 0.5 / ((1.0 + snr) * (1.0 + math.sqrt(snr / (1.0 + snr))))
        rate *= rate_scale
        error /= M
        available = math.exp(-exponent)
        if goal == 4:
            F[s, 0] = total + p_circuit_w
        else:
            quality = rate
            if goal == 1:
                quality = available
            elif goal == 2:
                quality = 1.0 - error
            elif goal == 3:
                quality = rate * available
            F[s, 0] = base + payment * quality - price * total
        G[s, 0] = total / p_total_w - 1.0
        column = 1
        if outage_max > 0.0:
            G[s, column] = -math.expm1(-exponent) / outage_max - 1.0
            column += 1
        if bep_max > 0.0:
            G[s, column] = error / bep_max - 1.0
            column += 1
        if rate_min > 0.0:
            G[s, column] = 1.0 - rate / rate_min

"""Batched evaluation of `power_control` in numba; `model` holds the readable equations."""

from __future__ import annotations

from math import inf, log

import numpy as np

from optisolve.numerics.interpreted import njit_once_it_pays
from optisolve.numerics.logarithm import log_one_plus
from optisolve.problems.power_control.model import Goal

__all__ = ["GOAL_CODES", "evaluate"]

GOAL_CODES = {goal: code for code, goal in enumerate(Goal)}
_MIN_POWER, _MAX_MIN = GOAL_CODES[Goal.MIN_POWER], GOAL_CODES[Goal.MAX_MIN]
_EFFICIENCY = GOAL_CODES[Goal.ENERGY_EFFICIENCY]
_PER_BIT = 1.0 / np.log(2.0)


@njit_once_it_pays(lambda P, *_: P.size * P.shape[1], nogil=True, error_model="numpy")
def evaluate(P, own, cross_t, noise_w, weight, min_rate, circuit_w, slope, goal, equal, F, G):  # type: ignore[no-untyped-def]
    """Objectives and rate constraints of a batch.

    Args:
        P: float64 [n, K], W.
        own: float64 [K], direct gains.
        cross_t: float64 [K, K], row j holds the gains from transmitter j, 0 on the diagonal; a contiguous row lets the
            inner loop vectorize.
        noise_w: float64 [K], W.
        weight: float64 [K], all 1 unless the goal is weighted.
        min_rate: float64 [K], bit/s/Hz, 0 for none.
        circuit_w: W.
        slope: Consumed per radiated power.
        goal: See `GOAL_CODES`.
        equal: All weights are 1; then factors are multiplied and one logarithm serves many links.
        F: float64 [n, 1], written.
        G: float64 [n, k], written.
    """
    n_points, n_links = P.shape
    heard = np.empty(n_links)
    limited = G.shape[1] > 0
    needs_rates = goal != _MIN_POWER or limited
    needs_each = limited or not equal
    for s in range(n_points):
        total_power, nats, least_ratio, product, column = 0.0, 0.0, inf, 1.0, 0
        heard[:] = noise_w
        for j in range(n_links):
            power = P[s, j]
            total_power += power
            if needs_rates:
                for i in range(n_links):
                    heard[i] += cross_t[j, i] * power
        if needs_rates:
            for i in range(n_links):
                ratio = own[i] * P[s, i] / heard[i]
                least_ratio = min(least_ratio, ratio)
                if needs_each:
                    rate = log_one_plus(ratio)
                    nats += weight[i] * rate
                    if min_rate[i] > 0.0:
                        G[s, column] = 1.0 - rate * _PER_BIT / min_rate[i]
                        column += 1
                elif goal != _MAX_MIN:
                    if ratio < 0.01:  # 1 + ratio would lose its digits
                        nats += log_one_plus(ratio)
                    else:
                        product *= 1.0 + ratio
                    if product > 1e200:
                        nats += log(product)
                        product = 1.0
        total_rate = (nats + log(product)) * _PER_BIT
        if goal == _MIN_POWER:
            F[s, 0] = total_power
        elif goal == _MAX_MIN:
            F[s, 0] = log_one_plus(least_ratio) * _PER_BIT
        elif goal == _EFFICIENCY:
            F[s, 0] = total_rate / (circuit_w + slope * total_power)
        else:
            F[s, 0] = total_rate

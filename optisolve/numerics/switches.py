"""On/off switches on interference channels, batched: a few best single switches from a given point.

At most stationary points of a sum rate every link is silent or at full power, so a good point is a good set of links.
A switch of link k adds the same interference column to every receiver, hence all K candidates of a round cost O(K^2).

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.numerics.compiled import njit
from optisolve.numerics.logarithm import log_one_plus
from optisolve.numerics.wmmse_kernels import hear

__all__ = ["rates", "switch_links"]

_kernel = njit(cache=True, nogil=True, error_model="numpy")
_fast = njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
_SAFE_BITS = 900.0
"""Rate without any interference up to which a product of 1 + SINR stays inside the range of a double."""
_TELLING_BITS = 1.0
"""Rate without any interference below which a product of 1 + SINR has too few digits to compare switches by."""
_PER_BIT = 1.0 / np.log(2.0)


def rates(gain: FloatArray, weight: FloatArray, powers: FloatArray) -> FloatArray:
    """Weighted sum rate of many points on many channels.

    Args:
        gain: float64 [B, K, K], see `optisolve.numerics.wmmse.normalized_gain`.
        weight: float64 [B, K].
        powers: float64 [B, S, K] in [0, 1].

    Returns:
        float64 [B, S], bit/s/Hz.
    """
    values: FloatArray = _evaluate(*(np.ascontiguousarray(a, dtype=np.float64) for a in (gain, weight, powers)))
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
    on = np.ascontiguousarray(powers > 0.5, dtype=np.float64)
    equal = bool((weight == weight[:, :1]).all())
    gain, weight = (np.ascontiguousarray(a, dtype=np.float64) for a in (gain, weight))
    values, looked = _switch(gain, weight, on, equal, max_switches)
    return on, values, looked


@_kernel
def _rate(own, weight, power, heard):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(power.size):
        if power[i] > 0.0:
            total += weight[i] * log_one_plus(own[i] * power[i] / heard[i])
    return total * _PER_BIT


@_kernel
def _prepare(gain, own, cross_t):  # type: ignore[no-untyped-def]
    for i in range(own.size):
        own[i] = gain[i, i]
        for j in range(own.size):
            cross_t[j, i] = 0.0 if i == j else gain[i, j]


@_kernel
def _evaluate(gain, weight, powers):  # type: ignore[no-untyped-def]
    """See `rates`."""
    n_cases, n_points, n_links = powers.shape
    values = np.empty((n_cases, n_points))
    own, heard, cross_t = np.empty(n_links), np.empty(n_links), np.empty((n_links, n_links))
    for b in range(n_cases):
        _prepare(gain[b], own, cross_t)
        for s in range(n_points):
            hear(powers[b, s], cross_t, heard)
            values[b, s] = _rate(own, weight[b], powers[b, s], heard)
    return values


@_fast
def _weighted(k, change, own, weight, power, heard, cross_t):  # type: ignore[no-untyped-def]
    """The same with weights."""
    total = 0.0
    for i in range(power.size):
        if power[i] > 0.0:
            total += weight[i] * log_one_plus(own[i] * power[i] / (heard[i] + change * cross_t[k, i]))
    return total * _PER_BIT


@_fast
def _best_product(own, power, heard, cross_t):  # type: ignore[no-untyped-def]
    """The best switch for equal weights, or -1: products of 1 + SINR, so that no logarithm and no branch is needed."""
    value = 1.0
    for i in range(power.size):
        value *= (heard[i] + own[i] * power[i]) / heard[i]
    best, chosen = value * (1.0 + 1e-9), -1
    for k in range(power.size):
        before = power[k]
        change = 1.0 - 2.0 * before
        power[k] = 1.0 - before
        candidate = 1.0
        for i in range(power.size):
            noise = heard[i] + change * cross_t[k, i]
            candidate *= (noise + own[i] * power[i]) / noise
        power[k] = before
        if candidate > best:
            best, chosen = candidate, k
    return chosen


@_fast
def _best_weighted(own, weight, power, heard, cross_t, value):  # type: ignore[no-untyped-def]
    """The best switch, or -1, by logarithms."""
    best, chosen = value * (1.0 + 1e-9), -1
    for k in range(power.size):
        before = power[k]
        power[k] = 1.0 - before
        candidate = _weighted(k, 1.0 - 2.0 * before, own, weight, power, heard, cross_t)
        power[k] = before
        if candidate > best:
            best, chosen = candidate, k
    return chosen


@_kernel
def _switch(gain, weight, powers, equal, max_switches):  # type: ignore[no-untyped-def]
    """See `switch_links`; `powers` float64 [B, S, K] in {0, 1} is improved in place."""
    n_cases, n_points, n_links = powers.shape
    values, looked = np.empty((n_cases, n_points)), np.zeros((n_cases, n_points), np.int64)
    own, heard, cross_t = np.empty(n_links), np.empty(n_links), np.empty((n_links, n_links))
    for b in range(n_cases):
        _prepare(gain[b], own, cross_t)
        alone = _rate(own, np.ones(n_links), np.ones(n_links), np.ones(n_links))
        products = equal and _TELLING_BITS < alone < _SAFE_BITS
        for s in range(n_points):
            power = powers[b, s]
            hear(power, cross_t, heard)
            value = _rate(own, weight[b], power, heard)
            for _ in range(max_switches):
                if products:
                    chosen = _best_product(own, power, heard, cross_t)
                else:
                    chosen = _best_weighted(own, weight[b], power, heard, cross_t, value)
                looked[b, s] += n_links
                if chosen < 0:
                    break
                power[chosen] = 1.0 - power[chosen]
                hear(power, cross_t, heard)  # summed anew: differences would gather rounding errors
                value = _rate(own, weight[b], power, heard)
            values[b, s] = value
    return values, looked

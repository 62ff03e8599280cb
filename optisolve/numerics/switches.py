"""On/off switches on interference channels, batched: a few best single switches from a given point.

At most stationary points of a sum rate every link is silent or at full power, so a good point is a good set of links.
A switch of link k adds the same interference column to every receiver, and silent receivers lose nothing, hence all K
candidates of a round cost K times the links that are on.

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


@_kernel
def _best_product(own, power, heard, cross, on, after):  # type: ignore[no-untyped-def]
    """The best switch for equal weights, or -1: products of 1 + SINR, so that no logarithm and no branch is needed.

    A silent link contributes a factor of 1, so only rows of the links that are on are read. `on` lists them; `after` is room to
    work in.
    """
    n_links, n_on = power.size, on.size
    value = 1.0
    for a in range(n_on):
        value *= (heard[on[a]] + own[on[a]]) / heard[on[a]]
    for k in range(n_links):
        after[k] = 1.0 if power[k] > 0.0 else (heard[k] + own[k]) / heard[k]
    for a in range(n_on):
        i = on[a]
        for k in range(n_links):
            other = k != i
            noise = heard[i] + ((1.0 - 2.0 * power[k]) * cross[i, k] if other else 0.0)
            after[k] *= (noise + (own[i] if other else 0.0)) / noise
    return _largest(after, value)


@_kernel
def _best_weighted(own, weight, power, heard, cross, value, on, after):  # type: ignore[no-untyped-def]
    """The best switch, or -1, by logarithms."""
    n_links, n_on = power.size, on.size
    for k in range(n_links):
        after[k] = 0.0 if power[k] > 0.0 else weight[k] * log_one_plus(own[k] / heard[k])
    for a in range(n_on):
        i = on[a]
        for k in range(n_links):
            if k != i:
                after[k] += weight[i] * log_one_plus(own[i] / (heard[i] + (1.0 - 2.0 * power[k]) * cross[i, k]))
    return _largest(after, value / _PER_BIT)


@_kernel
def _hear(power, cross, room, heard):  # type: ignore[no-untyped-def]
    """Links that are on, a view of `room`, and what every receiver hears of them, to the last bit as `hear` sums it."""
    n_on = 0
    for i in range(power.size):
        if power[i] > 0.0:
            room[n_on] = i
            n_on += 1
    on = room[:n_on]
    for i in range(power.size):
        total = 1.0
        for a in range(n_on):
            if on[a] != i:
                total += cross[i, on[a]]
        heard[i] = total
    return on


@_kernel
def _largest(after, value):  # type: ignore[no-untyped-def]
    """Where `after` is largest, -1 where nothing is above `value` by more than rounding."""
    best, chosen = value * (1.0 + 1e-9), -1
    for k in range(after.size):
        if after[k] > best:
            best, chosen = after[k], k
    return chosen


@_kernel
def _switch(gain, weight, powers, equal, max_switches):  # type: ignore[no-untyped-def]
    """See `switch_links`; `powers` float64 [B, S, K] in {0, 1} is improved in place."""
    n_cases, n_points, n_links = powers.shape
    values, looked = np.empty((n_cases, n_points)), np.zeros((n_cases, n_points), np.int64)
    own, heard, after, room = np.empty(n_links), np.empty(n_links), np.empty(n_links), np.empty(n_links, np.int64)
    for b in range(n_cases):
        cross = gain[b]  # its diagonal does not count: the switch of a link does not disturb the link
        for i in range(n_links):
            own[i] = cross[i, i]
        alone = _rate(own, np.ones(n_links), np.ones(n_links), np.ones(n_links))
        products = equal and _TELLING_BITS < alone < _SAFE_BITS
        for s in range(n_points):
            power = powers[b, s]
            on = _hear(power, cross, room, heard)
            value = _rate(own, weight[b], power, heard)
            for _ in range(max_switches):
                if products:
                    chosen = _best_product(own, power, heard, cross, on, after)
                else:
                    chosen = _best_weighted(own, weight[b], power, heard, cross, value, on, after)
                looked[b, s] += n_links
                if chosen < 0:
                    break
                power[chosen] = 1.0 - power[chosen]
                on = _hear(power, cross, room, heard)  # summed anew: differences would gather rounding errors
                value = _rate(own, weight[b], power, heard)
            values[b, s] = value
    return values, looked

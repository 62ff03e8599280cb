"""Hot loops of WMMSE and of the on/off search; `wmmse` holds the documentation."""

from __future__ import annotations

from math import log, log1p, log2, sqrt

import numpy as np

from optisolve.numerics.interpreted import njit_once_it_pays

__all__ = ["ascend", "flip", "hear"]

_PER_BIT = 1.0 / log(2.0)

_kernel = njit_once_it_pays(nogil=True, error_model="numpy")
_TURNS = 100.0
"""Passes over the gains in one run of WMMSE: some thirty iterations of three."""


@_kernel
def hear(p, cross_t, heard):  # type: ignore[no-untyped-def]
    """Interference and noise (1) at every receiver; the inner loop runs along a row so that it vectorizes."""
    heard[:] = 1.0
    for j in range(p.size):
        if p[j] > 0.0:
            for i in range(p.size):
                heard[i] += cross_t[j, i] * p[j]


@_kernel
def _split(gain, own, cross, cross_t):  # type: ignore[no-untyped-def]
    """Direct gains and cross gains; signal is never subtracted from a sum, which would cancel digits."""
    for i in range(own.size):
        own[i] = gain[i, i]
        for j in range(own.size):
            cross[i, j] = 0.0 if i == j else gain[i, j]
            cross_t[j, i] = cross[i, j]


@_kernel
def _bits(ratio):  # type: ignore[no-untyped-def]
    """log2(1 + ratio), with its digits at small ratios."""
    return log2(1.0 + ratio) if ratio > 0.01 else log1p(ratio) * _PER_BIT


@njit_once_it_pays(lambda _gain, _weight, starts, *_: _TURNS * starts.size * starts.shape[2], nogil=True, error_model="numpy")
def ascend(gain, weight, starts, max_iterations, tolerance, iterations):  # type: ignore[no-untyped-def]
    """See `wmmse`; instances [B] times starts [S]: float64 [B, S, K], `iterations` int64 [B, S] is written."""
    n_instances, n_starts, n_links = starts.shape
    result = np.empty(starts.shape)
    own, price, heard = np.empty(n_links), np.empty(n_links), np.empty(n_links)
    pressure, power = np.empty(n_links), np.empty(n_links)
    cross, cross_t = np.empty((n_links, n_links)), np.empty((n_links, n_links))
    for b in range(n_instances):
        weight_b = weight[b]
        _split(gain[b], own, cross, cross_t)
        for s in range(n_starts):
            power[:] = starts[b, s]
            before, step = -1.0, 0
            while step < max_iterations:
                hear(power, cross_t, heard)
                rate = 0.0
                for i in range(n_links):
                    signal = own[i] * power[i]
                    rate += weight_b[i] * _bits(signal / heard[i])
                    price[i] = weight_b[i] * signal / (heard[i] * (heard[i] + signal))
                if rate - before <= tolerance * min(1.0, rate):
                    break
                before = rate
                for i in range(n_links):
                    pressure[i] = price[i] * own[i]
                for j in range(n_links):
                    if price[j] > 0.0:
                        for i in range(n_links):
                            pressure[i] += price[j] * cross[j, i]
                for i in range(n_links):
                    if pressure[i] > 0.0 and power[i] > 0.0:
                        amplitude = price[i] * (heard[i] + own[i] * power[i]) / (sqrt(power[i]) * pressure[i])
                        power[i] = min(1.0, amplitude * amplitude)
                step += 1
            result[b, s] = power
            iterations[b, s] = step
    return result


@_kernel
def _sum_rate(power, own, cross_t, weight, heard):  # type: ignore[no-untyped-def]
    hear(power, cross_t, heard)
    rate = 0.0
    for i in range(power.size):
        if power[i] > 0.0:
            rate += weight[i] * _bits(own[i] * power[i] / heard[i])
    return rate


@njit_once_it_pays(lambda _gain, _weight, power, *_: float(power.size) ** 5, nogil=True, error_model="numpy")
def flip(gain, weight, power, max_rounds):  # type: ignore[no-untyped-def]
    """See `wmmse.on_off_search`; `power` float64 [K] in {0, 1} is improved in place, its sum rate is returned."""
    n_links = power.size
    own, heard = np.empty(n_links), np.empty(n_links)
    cross, cross_t = np.empty((n_links, n_links)), np.empty((n_links, n_links))
    _split(gain, own, cross, cross_t)
    value = _sum_rate(power, own, cross_t, weight, heard)
    for _ in range(max_rounds):
        first, second, found = -1, -1, value * (1.0 + 1e-12)
        for i in range(n_links):
            power[i] = 1.0 - power[i]
            single = _sum_rate(power, own, cross_t, weight, heard)
            if single > found:
                first, second, found = i, -1, single
            for j in range(i):
                if power[j] != power[i]:
                    continue  # only swaps: one link goes on while the other goes off
                power[j] = 1.0 - power[j]
                pair = _sum_rate(power, own, cross_t, weight, heard)
                if pair > found:
                    first, second, found = i, j, pair
                power[j] = 1.0 - power[j]
            power[i] = 1.0 - power[i]
        if first < 0:
            break
        power[first] = 1.0 - power[first]
        if second >= 0:
            power[second] = 1.0 - power[second]
        value = found
    return value

"""Hot loop of radio planning from a table, in numba; `model.links` and `model.goals` are the same as readable numpy."""

from __future__ import annotations

from math import log2

import numpy as np

from optisolve.numerics.compiled import njit

__all__ = ["best_selection", "evaluate"]


@njit(cache=True, error_model="numpy")
def evaluate(option, power_w, level, linear, shared, numbers, rank, out):  # type: ignore[no-untyped-def]
    """Coverage, edge rate and power of a batch.

    Args:
        option: int64 [n, M], rows of `level`.
        power_w: float64 [n, M], W.
        level: int8 [O, K], levels of every option: a site with a tilt and an azimuth.
        linear: float64 [256], gain of level l at l + 128.
        shared: bool, whether transmitters disturb each other.
        numbers: float64 [3], noise power W, SINR target, bandwidth Hz.
        rank: int, which of the sorted rates is the edge rate.
        out: float64 [n, 3], written: %, Mbit/s, W.
    """
    n_transmitters, n_users = option.shape[1], level.shape[1]
    noise_w, target, bandwidth_hz = numbers
    sinr, server = np.empty(n_users), np.empty(n_users, np.int64)
    received, load = np.empty(n_transmitters), np.empty(n_transmitters)
    for row in range(option.shape[0]):
        load[:] = 0.0
        covered = 0
        for k in range(n_users):
            best = 0
            for m in range(n_transmitters):
                received[m] = power_w[row, m] * linear[level[option[row, m], k] + 128]
                if received[m] > received[best]:
                    best = m
            others = 0.0
            if shared:
                for m in range(n_transmitters):
                    if m != best:
                        others += received[m]
            sinr[k] = received[best] / (noise_w + others)
            server[k] = best
            if received[best] > 0.0:
                load[best] += 1.0
            if sinr[k] >= target:
                covered += 1
        for k in range(n_users):
            sinr[k] = bandwidth_hz / max(load[server[k]], 1.0) * log2(1.0 + sinr[k])
        total = 0.0
        for m in range(n_transmitters):
            total += power_w[row, m]
        out[row, 0] = 100.0 * covered / n_users
        out[row, 1] = np.sort(sinr)[rank] / 1e6
        out[row, 2] = total


@njit(cache=True, error_model="numpy")
def best_selection(received, noise_w, target, near, n_transmitters, best):  # type: ignore[no-untyped-def]
    """The selection of sites that serves most users on one shared carrier, by looking at every one of them.

    Args:
        received: float64 [K, N], W, of every site at every user.
        noise_w: float, W.
        target: float, smallest SINR.
        near: bool [N, N], pairs that stand too close.
        n_transmitters: int, M.
        best: int64 [M], written: the first of the best in lexicographic order.

    Returns:
        Users served, -1 where no selection keeps the distances.
    """
    n_users, n_sites = received.shape
    chosen = np.arange(n_transmitters)
    most = -1
    while True:
        fits = True
        for i in range(n_transmitters):
            for j in range(i):
                fits = fits and not near[chosen[i], chosen[j]]
        if fits:
            covered = 0
            for k in range(n_users):
                if covered + n_users - k <= most:  # it cannot become better than what is known
                    break
                signal, loudest = -1.0, 0
                for m in range(n_transmitters):
                    if received[k, chosen[m]] > signal:
                        signal, loudest = received[k, chosen[m]], m
                others = 0.0
                for m in range(n_transmitters):
                    if m != loudest:
                        others += received[k, chosen[m]]
                if signal / (noise_w + others) >= target:
                    covered += 1
            if covered > most:
                most = covered
                best[:] = chosen
        place = n_transmitters - 1
        while place >= 0 and chosen[place] == n_sites - n_transmitters + place:
            place -= 1
        if place < 0:
            return most
        chosen[place] += 1
        for later in range(place + 1, n_transmitters):
            chosen[later] = chosen[later - 1] + 1

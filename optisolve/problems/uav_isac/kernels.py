"""The fast evaluation of `uav_isac` (numba). The readable equations are in `model`; names and order follow them.

Points are treated in blocks of up to `LANES` rows. Inside a block every quantity of a UAV or a user is an array over the
rows ("lanes"), so the innermost loops are branch-free and vectorize. UAVs are taken two at a time, which saves half of
the memory traffic of the pairwise determinant; an odd one gets an idle partner far away whose contributions are exactly
zero. No fast-math flag is set: rows get the same bits in any batch, position, vector width and number of threads, and
distances round as in the twin, so both agree who serves a user even in a tie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit, prange

from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac.lanes import atan_unit, exp, log, log1p, stack

__all__ = ["LANES", "MAX_UAVS", "evaluate_parallel", "evaluate_serial"]

LANES = 32
MAX_UAVS = 64
_ROWS = MAX_UAVS * LANES
_DEG_PER_RAD = 180.0 / np.pi
_NEPER_PER_DB = np.log(10.0) / 10.0
_FAR_M = 1e100  # 1 / far^4 underflows to exactly 0


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate_serial(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate all rows on the calling thread.

    Args:
        X: float64 [n, 3M], C order.
        users: float64 [K, 2], m.
        constants: float64 [12 + K + 1], see `pack` in `optisolve.problems.uav_isac.instance`.
        F: float64 [n, 2], written.
        G: float64 [n, M(M-1)/2 + 1], written.
    """
    for block in range((X.shape[0] + LANES - 1) // LANES):
        _evaluate_block(X, block * LANES, users, constants, F, G)


@njit(nogil=True, cache=True, parallel=True, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate_parallel(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """The same with the blocks shared out to numba's threads."""
    for block in prange((X.shape[0] + LANES - 1) // LANES):
        _evaluate_block(X, block * LANES, users, constants, F, G)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _evaluate_block(X: Any, first: Any, users: Any, constants: Any, F: Any, G: Any) -> None:
    n_lanes = min(LANES, X.shape[0] - first)
    n_uavs = X.shape[1] // 3
    n_pairs_up = n_uavs + n_uavs % 2
    h2, noise, kappa, eps, d_min, p_total, offset = constants[0:7]
    altitude = np.sqrt(h2)
    users_per_log = int(constants[7])
    a_deg, b_per_deg, eta_los, eta_nlos = constants[8:12]
    x_log_x = constants[12:]

    # per UAV and lane
    x = carray(stack(_ROWS), (MAX_UAVS, LANES))
    y = carray(stack(_ROWS), (MAX_UAVS, LANES))
    p = carray(stack(_ROWS), (MAX_UAVS, LANES))
    dx = carray(stack(_ROWS), (MAX_UAVS, LANES))
    dy = carray(stack(_ROWS), (MAX_UAVS, LANES))
    weight = carray(stack(_ROWS), (MAX_UAVS, LANES))
    fade = carray(stack(_ROWS), (MAX_UAVS, LANES))
    load = carray(stack(_ROWS), (MAX_UAVS, LANES))
    # per lane
    best = carray(stack(LANES), (LANES,))
    others = carray(stack(LANES), (LANES,))
    serving = carray(stack(LANES), (LANES,))
    trace = carray(stack(LANES), (LANES,))
    det = carray(stack(LANES), (LANES,))
    product = carray(stack(LANES), (LANES,))
    utility = carray(stack(LANES), (LANES,))
    error = carray(stack(LANES), (LANES,))

    for i in range(n_lanes):
        for m in range(n_uavs):
            x[m, i] = X[first + i, 3 * m]
            y[m, i] = X[first + i, 3 * m + 1]
            p[m, i] = X[first + i, 3 * m + 2]
        product[i] = 1.0
        utility[i] = offset
        error[i] = 0.0
    for m in range(n_pairs_up):
        for i in range(n_lanes):
            load[m, i] = 0.0
            fade[m, i] = 1.0
            if m >= n_uavs:
                x[m, i] = _FAR_M
                y[m, i] = 0.0
                p[m, i] = 0.0

    for k in range(users.shape[0]):
        gx = users[k, 0]
        gy = users[k, 1]
        if a_deg > 0.0:  # the Al-Hourani channel
            for m in range(n_uavs):
                for i in range(n_lanes):
                    ax = x[m, i] - gx
                    ay = y[m, i] - gy
                    ground2 = ax * ax + ay * ay
                    half = atan_unit(np.sqrt(ground2) / (altitude + np.sqrt(ground2 + h2)))  # half the angle off zenith
                    elevation = 90.0 - 2.0 * _DEG_PER_RAD * half
                    p_los = 1.0 / (1.0 + a_deg * exp(b_per_deg * (a_deg - elevation)))
                    fade[m, i] = exp(-_NEPER_PER_DB * (eta_nlos + p_los * (eta_los - eta_nlos)))

        for i in range(n_lanes):
            best[i] = 0.0
            others[i] = noise
            serving[i] = 0.0
            trace[i] = 0.0
            det[i] = 0.0
        for m in range(0, n_pairs_up, 2):
            index = float(m)
            for i in range(n_lanes):  # two UAVs m, m + 1 and their own pair
                ax = x[m, i] - gx
                ay = y[m, i] - gy
                bx = x[m + 1, i] - gx
                by = y[m + 1, i] - gy
                a2 = ax * ax + ay * ay
                b2 = bx * bx + by * by
                a_path = 1.0 / (a2 + h2)
                b_path = 1.0 / (b2 + h2)
                a_echo = p[m, i] * a_path
                b_echo = p[m + 1, i] * b_path
                aw = a_path * a_path * (kappa * a_echo + 8.0)
                bw = b_path * b_path * (kappa * b_echo + 8.0)
                dx[m, i] = ax
                dy[m, i] = ay
                weight[m, i] = aw
                dx[m + 1, i] = bx
                dy[m + 1, i] = by
                weight[m + 1, i] = bw
                trace[i] += aw * a2 + bw * b2
                cross = ax * by - bx * ay
                det[i] += aw * bw * (cross * cross)

                top = best[i]
                who = serving[i]
                received = a_echo * fade[m, i]
                stronger = received > top
                lost = top if stronger else received  # the weaker of both interferes
                top = received if stronger else top
                who = index if stronger else who
                received = b_echo * fade[m + 1, i]
                stronger = received > top
                lost += top if stronger else received
                best[i] = received if stronger else top
                serving[i] = index + 1.0 if stronger else who
                others[i] += lost
            for n in range(0, m, 2):
                for i in range(n_lanes):  # the four pairs between m, m + 1 and n, n + 1
                    ac = dx[m, i] * dy[n, i] - dx[n, i] * dy[m, i]
                    ad = dx[m, i] * dy[n + 1, i] - dx[n + 1, i] * dy[m, i]
                    bc = dx[m + 1, i] * dy[n, i] - dx[n, i] * dy[m + 1, i]
                    bd = dx[m + 1, i] * dy[n + 1, i] - dx[n + 1, i] * dy[m + 1, i]
                    with_a = weight[n, i] * (ac * ac) + weight[n + 1, i] * (ad * ad)
                    with_b = weight[n, i] * (bc * bc) + weight[n + 1, i] * (bd * bd)
                    det[i] += weight[m, i] * with_a + weight[m + 1, i] * with_b

        for i in range(n_lanes):
            product[i] *= log1p(best[i] / others[i])
            error[i] += np.sqrt((2.0 * eps + trace[i]) / (eps * eps + eps * trace[i] + det[i]))
        for m in range(n_uavs):
            index = float(m)
            for i in range(n_lanes):
                load[m, i] += 1.0 if serving[i] == index else 0.0
        if (k + 1) % users_per_log == 0 or k + 1 == users.shape[0]:  # one logarithm for several users
            for i in range(n_lanes):
                utility[i] += log(product[i])
                product[i] = 1.0

    for i in range(n_lanes):
        total = 0.0
        for m in range(n_uavs):
            utility[i] -= x_log_x[int(load[m, i])]
            total += p[m, i]
        F[first + i, 0] = utility[i]
        F[first + i, 1] = error[i] / users.shape[0]
        G[first + i, G.shape[1] - 1] = (total - p_total) / p_total
    column = 0
    for m in range(n_uavs):
        for n in range(m + 1, n_uavs):
            for i in range(n_lanes):
                ax = x[m, i] - x[n, i]
                ay = y[m, i] - y[n, i]
                G[first + i, column] = (d_min - np.sqrt(ax * ax + ay * ay)) / d_min
            column += 1

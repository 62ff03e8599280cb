"""The fast evaluation of `uav_isac` (numba). The readable equations are in `model`; names and order follow them.

Points are treated in blocks of up to `LANES` rows. Inside a block every quantity of a UAV or a user is an array over the
rows ("lanes"), so the innermost loops are branch-free and vectorize. UAVs are taken two at a time, which saves half of
the memory traffic of the pairwise determinant; an odd one gets an idle partner so far away that its contributions are
exactly zero. No fast-math flag is set: rows get the same bits in any batch, position, vector width and number of threads,
and distances round as in the twin, so both agree who serves a user even in a tie.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, prange, types
from numba.extending import intrinsic

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit
from optisolve.problems.uav_isac.kernel_data import (
    A_DEG,
    B_PER_DEG,
    D_MIN,
    EPS,
    ETA_LOS,
    ETA_NLOS,
    H2,
    KAPPA,
    NOISE,
    OFFSET,
    P_TOTAL,
    PRICE,
    USERS_PER_LOG,
)

__all__ = ["LANES", "MAX_UAVS", "evaluate_parallel", "evaluate_serial"]

LANES = 32
MAX_UAVS = 64
_ROWS = MAX_UAVS * LANES
_DEG_PER_RAD = 180.0 / np.pi
_NEPER_PER_DB = np.log(10.0) / 10.0
_FAR_M = 1e100  # 1 / far^4 underflows to exactly 0
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # ln 2 with 21 trailing zero bits: products with exponents are exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # ln 2 - _LN2_HIGH
_LOG2_E = 1.0 / math.log(2.0)
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_ROUND = 1.5 * 2.0**52  # adding and subtracting it rounds to the nearest integer
_ROUND_BITS = 0x4338000000000000
_TAN_PI_8 = math.sqrt(2.0) - 1.0
_PI_8 = math.pi / 8.0

_entry = njit(nogil=True, cache=True, error_model="numpy")
_entry_parallel = njit(nogil=True, cache=True, parallel=True, error_model="numpy")
_part = njit(inline="always", error_model="numpy")  # inlined, the compiler still sees that the arrays are disjoint


@_entry
def evaluate_serial(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate all rows on the calling thread.

    Args:
        X: float64 [n, 3M], C order.
        users: float64 [K, 2], m.
        constants: float64 [PRICE + K + 1], see `kernel_data`.
        F: float64 [n, 2], written.
        G: float64 [n, M(M-1)/2 + 1], written.
    """
    for block in range((X.shape[0] + LANES - 1) // LANES):
        _evaluate_block(X, block * LANES, users, constants, F, G)


@_entry_parallel
def evaluate_parallel(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """The same with the blocks shared out to numba's threads."""
    for block in prange((X.shape[0] + LANES - 1) // LANES):
        _evaluate_block(X, block * LANES, users, constants, F, G)


@njit(nogil=True, error_model="numpy")
def _evaluate_block(X: Any, first: Any, users: Any, constants: Any, F: Any, G: Any) -> None:
    """Rows first ... first + LANES - 1."""
    n_lanes = min(LANES, X.shape[0] - first)
    n_uavs = X.shape[1] // 3
    h2, noise, kappa, eps = constants[H2], constants[NOISE], constants[KAPPA], constants[EPS]
    users_per_log = int(constants[USERS_PER_LOG])

    shape = (MAX_UAVS, LANES)  # per UAV and lane
    x, y, p = carray(_stack(_ROWS), shape), carray(_stack(_ROWS), shape), carray(_stack(_ROWS), shape)
    weight, fade, load = carray(_stack(_ROWS), shape), carray(_stack(_ROWS), shape), carray(_stack(_ROWS), shape)
    best, others, serving = carray(_stack(LANES), LANES), carray(_stack(LANES), LANES), carray(_stack(LANES), LANES)
    trace, det = carray(_stack(LANES), LANES), carray(_stack(LANES), LANES)
    product, utility, error = carray(_stack(LANES), LANES), carray(_stack(LANES), LANES), carray(_stack(LANES), LANES)

    _load_points(X, first, n_lanes, x, y, p, fade, load)
    for i in range(n_lanes):
        product[i] = 1.0
        utility[i] = constants[OFFSET]
        error[i] = 0.0
    for k in range(users.shape[0]):
        gx, gy = users[k, 0], users[k, 1]
        if constants[A_DEG] > 0.0:
            _fade_links(n_uavs, n_lanes, gx, gy, constants, x, y, fade)
        for i in range(n_lanes):
            best[i] = 0.0
            others[i] = noise
            serving[i] = 0.0
            trace[i] = 0.0
            det[i] = 0.0
        for m in range(0, n_uavs, 2):
            _two_links(m, n_lanes, gx, gy, h2, kappa, x, y, p, fade, weight, best, others, serving, trace, det)
            for n in range(0, m, 2):
                _four_pairs(m, n, n_lanes, gx, gy, x, y, weight, det)
        for i in range(n_lanes):
            product[i] *= _log1p(best[i] / others[i])
            error[i] += np.sqrt((2.0 * eps + trace[i]) / (eps * eps + eps * trace[i] + det[i]))
        for m in range(n_uavs):
            for i in range(n_lanes):
                load[m, i] += 1.0 if serving[i] == m else 0.0
        if (k + 1) % users_per_log == 0 or k + 1 == users.shape[0]:  # one logarithm for several users
            for i in range(n_lanes):
                utility[i] += _log(product[i])
                product[i] = 1.0
    _store_objectives(first, n_lanes, n_uavs, users.shape[0], constants, load, utility, error, F)
    _store_constraints(first, n_lanes, n_uavs, constants, x, y, p, best, G)


@_part
def _load_points(X: Any, first: Any, n_lanes: Any, x: Any, y: Any, p: Any, fade: Any, load: Any) -> None:
    """Transpose the rows into lanes and add the idle partner of an odd UAV."""
    n_uavs = X.shape[1] // 3
    for m in range(n_uavs):
        for i in range(n_lanes):
            x[m, i] = X[first + i, 3 * m]
            y[m, i] = X[first + i, 3 * m + 1]
            p[m, i] = X[first + i, 3 * m + 2]
            fade[m, i] = 1.0
            load[m, i] = 0.0
    if n_uavs % 2:
        for i in range(n_lanes):
            x[n_uavs, i] = _FAR_M
            y[n_uavs, i] = 0.0
            p[n_uavs, i] = 0.0
            fade[n_uavs, i] = 1.0


@_part
def _fade_links(n_uavs: Any, n_lanes: Any, gx: Any, gy: Any, constants: Any, x: Any, y: Any, fade: Any) -> None:
    """Mean excess loss of the Al-Hourani channel towards one user, as a linear factor."""
    h2 = constants[H2]
    altitude = np.sqrt(h2)
    a_deg, b_per_deg, eta_los, eta_nlos = constants[A_DEG], constants[B_PER_DEG], constants[ETA_LOS], constants[ETA_NLOS]
    for m in range(n_uavs):
        for i in range(n_lanes):
            dx = x[m, i] - gx
            dy = y[m, i] - gy
            ground2 = dx * dx + dy * dy
            half = _atan_unit(np.sqrt(ground2) / (altitude + np.sqrt(ground2 + h2)))  # half the angle off the zenith
            elevation = 90.0 - 2.0 * _DEG_PER_RAD * half
            p_los = 1.0 / (1.0 + a_deg * _exp(b_per_deg * (a_deg - elevation)))
            fade[m, i] = _exp(-_NEPER_PER_DB * (eta_nlos + p_los * (eta_los - eta_nlos)))


@_part
def _two_links(
    m: Any, n_lanes: Any, gx: Any, gy: Any, h2: Any, kappa: Any, x: Any, y: Any, p: Any, fade: Any,
    weight: Any, best: Any, others: Any, serving: Any, trace: Any, det: Any,
) -> None:  # fmt: skip
    """UAVs a = m and b = m + 1 towards one user: who serves, what interferes, information, and their own pair."""
    index = float(m)
    for i in range(n_lanes):
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
        weight[m, i] = aw
        weight[m + 1, i] = bw
        trace[i] += aw * a2 + bw * b2
        cross = ax * by - bx * ay
        det[i] += aw * bw * (cross * cross)

        top, who = best[i], serving[i]
        received = a_echo * fade[m, i]
        stronger = received > top
        lost = top if stronger else received  # the weaker of two interferes
        top = received if stronger else top
        who = index if stronger else who
        received = b_echo * fade[m + 1, i]
        stronger = received > top
        others[i] += lost + (top if stronger else received)
        best[i] = received if stronger else top
        serving[i] = index + 1.0 if stronger else who


@_part
def _four_pairs(m: Any, n: Any, n_lanes: Any, gx: Any, gy: Any, x: Any, y: Any, weight: Any, det: Any) -> None:
    """Determinant terms of the pairs between UAVs (a, b) = (m, m + 1) and (c, d) = (n, n + 1)."""
    for i in range(n_lanes):
        ax = x[m, i] - gx
        ay = y[m, i] - gy
        bx = x[m + 1, i] - gx
        by = y[m + 1, i] - gy
        cx = x[n, i] - gx
        cy = y[n, i] - gy
        dx = x[n + 1, i] - gx
        dy = y[n + 1, i] - gy
        ac = ax * cy - cx * ay
        ad = ax * dy - dx * ay
        bc = bx * cy - cx * by
        bd = bx * dy - dx * by
        with_a = weight[n, i] * (ac * ac) + weight[n + 1, i] * (ad * ad)
        with_b = weight[n, i] * (bc * bc) + weight[n + 1, i] * (bd * bd)
        det[i] += weight[m, i] * with_a + weight[m + 1, i] * with_b


@_part
def _store_objectives(
    first: Any, n_lanes: Any, n_uavs: Any, n_users: Any, constants: Any, load: Any, utility: Any, error: Any, F: Any
) -> None:
    for i in range(n_lanes):
        for m in range(n_uavs):
            utility[i] -= constants[PRICE + int(load[m, i])]  # L ln L, the price of sharing a band
        F[first + i, 0] = utility[i]
        F[first + i, 1] = error[i] / n_users


@_part
def _store_constraints(
    first: Any, n_lanes: Any, n_uavs: Any, constants: Any, x: Any, y: Any, p: Any, lane: Any, G: Any
) -> None:
    d_min, p_total = constants[D_MIN], constants[P_TOTAL]
    column = 0
    for m in range(n_uavs):
        for n in range(m + 1, n_uavs):
            for i in range(n_lanes):
                dx = x[m, i] - x[n, i]
                dy = y[m, i] - y[n, i]
                lane[i] = (d_min - np.sqrt(dx * dx + dy * dy)) / d_min
            for i in range(n_lanes):
                G[first + i, column] = lane[i]
            column += 1
    for i in range(n_lanes):
        total = 0.0
        for m in range(n_uavs):
            total += p[m, i]
        G[first + i, column] = (total - p_total) / p_total


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _stack(_typing: Any, count: Any) -> Any:
    """Pointer to `count` (a compile-time constant) float64 on the stack.

    Heap arrays could overlap for all the compiler knows, and it guards each short loop against that; stack arrays cannot.
    """

    def codegen(_context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(ir.DoubleType(), count.literal_value))
        return builder.bitcast(memory, ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(count), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _bits(_typing: Any, _value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _float(_typing: Any, _value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), codegen


@_part
def _log_sum(u: Any, rest: Any) -> Any:
    """ln(u + rest) for a positive normal u and |rest| below half an ulp of u."""
    bits = _bits(u)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    mantissa = _float(bits - (exponent << 52))  # in [sqrt(1/2), sqrt(2))
    f = (mantissa - 1.0) + rest * _float((1023 - exponent) << 52)
    s = f / (2.0 + f)  # |s| < 0.172; ln(1 + f) = 2 artanh(s)
    z = s * s
    tail = 1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21)))
    tail = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * tail)))))
    return exponent * _LN2_HIGH + (2.0 * s + (2.0 * s * (z * tail) + exponent * _LN2_LOW))


@_part
def _log(x: Any) -> Any:
    """Natural logarithm of a positive normal number."""
    return _log_sum(x, 0.0)


@_part
def _log1p(x: Any) -> Any:
    """ln(1 + x) for x >= 0, with full relative accuracy for small x."""
    u = 1.0 + x
    return _log_sum(u, x - (u - 1.0))


@_part
def _exp(x: Any) -> Any:
    """Exponential, argument clipped to [-700, 700]."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * _LOG2_E + _ROUND  # its last bits hold the nearest integer n
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW  # |r| < 0.35
    tail = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600)))))
    tail = 1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * tail))))
    return (1.0 + (r + r * r * tail)) * _float((_bits(shifted) - _ROUND_BITS + 1023) << 52)


@_part
def _atan_unit(q: Any) -> Any:
    """Arc tangent of q in [0, 1], by the addition theorem around tan(pi/8) and the odd series."""
    y = (q - _TAN_PI_8) / (1.0 + _TAN_PI_8 * q)  # |y| <= tan(pi/8)
    z = -y * y
    tail = 1 / 31 + z * (1 / 33 + z * (1 / 35 + z * (1 / 37 + z * (1 / 39 + z * (1 / 41)))))
    tail = 1 / 19 + z * (1 / 21 + z * (1 / 23 + z * (1 / 25 + z * (1 / 27 + z * (1 / 29 + z * tail)))))
    tail = 1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15 + z * (1 / 17 + z * tail))))
    tail = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * tail))
    return _PI_8 + (y + y * (z * tail))

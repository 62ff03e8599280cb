"""The fast evaluation of `uav_isac` (numba). The readable equations are in `model`; names and order follow them.

Points are treated in blocks of up to `LANES` rows. Inside a block every quantity of a UAV or a user is an array over the rows
("lanes"), so the innermost loops are branch-free and vectorize. UAVs are taken two at a time, which saves half of the memory
traffic of the pairwise determinant; an odd one gets an idle partner so far away that its contributions are exactly zero.
Beyond `PAIRED` UAVs the pairs would cost more than all the rest: information is then added UAV by UAV to the factors of the
matrix, as stable as the sum over pairs since no term is negative, with a division for each. No fast-math flag is set: rows
get the same bits in any batch, position, vector width and number of threads, and distances round as in the twin, so both
agree who serves a user even in a tie.

As one thread and all of numba's give the same bits, who treats a batch may depend on the clock. Threads pay from some ten
microseconds of work, but on a busy machine a thread that has lost its core stalls the others for milliseconds. Every threaded
call is therefore compared with what one thread would have needed, and after a loss threads rest until one thread has worked
fifty times as long as was lost: whatever the machine does, threads cost little more than two percent of the evaluation time.
They are first tried after half a second of such work; a shorter run would not even earn the start of the thread pool.

No fixed rule does as well. Batches of 1,024 with another process on one of two cores (`benchmarks/speed/uav_isac.py`), mean
microseconds a call: 671 on one thread, 775 by this rule, 36,526 with threads for every batch of that size; on an idle machine
threads halve the time, which one thread alone would never see.
"""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, prange, types
from numba.extending import intrinsic

from optisolve.core.arrays import FloatArray
from optisolve.numerics.compiled import njit
from optisolve.numerics.elementary import atan_unit_inline, exp_inline, log1p_inline, log_inline
from optisolve.problems.uav_isac import model

__all__ = ["LANES", "MAX_UAVS", "PAIRED", "evaluate", "evaluate_parallel", "evaluate_serial", "pack"]

LANES = 32
MAX_UAVS = 64
PAIRED = 8
"""UAVs up to which the determinant is the sum over all pairs; beyond, it comes from factors that grow UAV by UAV."""

_ROWS = MAX_UAVS * LANES
_DEG_PER_RAD = 180.0 / np.pi
_NEPER_PER_DB = np.log(10.0) / 10.0
_FAR_M = 1e100  # 1 / far^4 underflows to exactly 0

_SAFE_EXPONENT = 280.0  # products of rates stay inside 10^-280 ... 10^280
_WORTH_S = 4e-5  # work below this stays on one thread; measured break-even of two threads is near 1e-5 s
_FIRST_REST_S = 0.5
_REST_PER_LOSS = 50.0
_LONGEST_REST_S = 5.0
_MEASURED_ROWS = 8  # smaller batches say little about the speed
_DRIFT = 1.02  # lets the estimate of one thread's speed forget a lucky measurement

_entry = njit(nogil=True, cache=True, error_model="numpy")
_entry_parallel = njit(nogil=True, cache=True, parallel=True, error_model="numpy")
_part = njit(inline="always", error_model="numpy")  # inlined, the compiler still sees that the arrays are disjoint

# Where the numbers of a scenario stand in the array of `pack`.
H2 = 0
"""Altitude squared, m^2."""
NOISE = 1
"""Noise over the gain at 1 m, W."""
KAPPA = 2
"""Ranging information per W, see `model.Constants.ranging_per_w`."""
EPS = 3
"""Prior information, 1/m^2."""
D_MIN = 4
"""Separation, m."""
P_TOTAL = 5
"""Budget, W."""
OFFSET = 6
"""Constant part of the utility, nat."""
USERS_PER_LOG = 7
"""How many users share one logarithm."""
A_DEG = 8
"""First parameter of the Al-Hourani channel, degrees; 0 says that there is line of sight, and the next three are 0 too."""
B_PER_DEG = 9
"""Second parameter, 1/degree."""
ETA_LOS = 10
"""Excess loss in line of sight, dB."""
ETA_NLOS = 11
"""Excess loss without it, dB."""
PRICE = 12
"""From here on L ln L for L = 0 ... K."""


class _Pace:
    """Speed of one thread, and how much it has to work before threads are tried again."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # numba's plain thread pool must not be entered twice
        self.seconds_per_row: dict[tuple[int, int, bool], float] = {}
        self.rest_s = _FIRST_REST_S
        self.usable = True

    def ban(self) -> None:
        """No threads in this process any more; a forked child would hang or abort in the parent's thread pool."""
        self.usable = False


_pace = _Pace()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pace.ban)


def evaluate(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate a batch; arguments as in `evaluate_serial`."""
    n = X.shape[0]
    kind = (X.shape[1], users.shape[0], constants[A_DEG] > 0.0)
    estimate = _pace.seconds_per_row.get(kind)
    worth = estimate is not None and n * estimate > _WORTH_S
    if worth and _pace.usable and _pace.rest_s <= 0.0 and numba.get_num_threads() > 1 and _pace.lock.acquire(blocking=False):
        try:
            _threaded(X, users, constants, F, G, n * estimate)
        finally:
            _pace.lock.release()
        return
    compiled = bool(evaluate_serial.signatures)
    start = time.perf_counter()
    evaluate_serial(X, users, constants, F, G)
    took = time.perf_counter() - start
    if worth:
        _pace.rest_s -= took
    if compiled and n >= _MEASURED_ROWS:
        _pace.seconds_per_row[kind] = took / n if estimate is None else min(took / n, estimate * _DRIFT)


def _threaded(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray, alone_s: float) -> None:
    compiled = bool(evaluate_parallel.signatures)
    start = time.perf_counter()
    evaluate_parallel(X, users, constants, F, G)
    lost = time.perf_counter() - start - alone_s
    if not compiled:
        # numba's own pool starts too slowly to pay here, and two Python threads must never be in it at once
        _pace.usable = numba.threading_layer() != "workqueue"
    else:
        _pace.rest_s = min(_REST_PER_LOSS * lost, _LONGEST_REST_S)  # negative after a gain: no rest


def pack(c: model.Constants, n_users: int) -> FloatArray:
    """The array of a scenario for K users, float64 [12 + K + 1], read-only; L ln L is the price of sharing a UAV's band."""
    ch = c.channel
    loads = np.arange(n_users + 1, dtype=np.float64)
    packed = np.zeros(PRICE + n_users + 1)
    packed[H2], packed[NOISE], packed[KAPPA] = c.altitude_m**2, c.noise_over_gain, c.ranging_per_w
    packed[EPS], packed[D_MIN], packed[P_TOTAL] = c.prior_per_m2, c.d_min_m, c.p_total_w
    packed[OFFSET] = n_users * math.log(c.bandwidth_hz / c.rate_ref_bps / math.log(2.0))
    packed[USERS_PER_LOG] = _users_per_log(c)
    if ch is not None:
        packed[A_DEG], packed[B_PER_DEG] = ch.a_deg, ch.b_per_deg
        packed[ETA_LOS], packed[ETA_NLOS] = ch.eta_los_db, ch.eta_nlos_db
    packed[PRICE:] = loads * np.log(np.maximum(loads, 1.0))
    packed.setflags(write=False)
    return packed


def _users_per_log(c: model.Constants) -> float:
    """How many factors ln(1 + SINR) may be multiplied before a logarithm without leaving the range of a double."""
    ch = c.channel
    gains = [1.0, 1.0] if ch is None else [10.0 ** (-eta / 10.0) for eta in (ch.eta_los_db, ch.eta_nlos_db)]
    near = max(gains) / c.altitude_m**2
    far = min(gains) / (2.0 * c.area_m**2 + c.altitude_m**2)
    largest = math.log1p(c.p_max_w * near / c.noise_over_gain)
    crowd = (c.n_uavs - 1) * c.p_max_w * near
    smallest = math.log1p(c.p_min_w * far / (crowd + c.noise_over_gain))
    digits = max(abs(math.log10(value)) if value > 0 else _SAFE_EXPONENT for value in (smallest, largest))
    return float(max(1, int(_SAFE_EXPONENT / max(digits, 1e-3))))


@_entry
def evaluate_serial(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate all rows on the calling thread.

    Args:
        X: float64 [n, 3M], C order.
        users: float64 [K, 2], m.
        constants: float64 [PRICE + K + 1], see `pack`.
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
    slant, rest = carray(_stack(LANES), LANES), carray(_stack(LANES), LANES)
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
            if n_uavs <= PAIRED:
                for n in range(0, m, 2):
                    _four_pairs(m, n, n_lanes, gx, gy, x, y, weight, det)
        if n_uavs <= PAIRED:
            for i in range(n_lanes):
                det[i] = eps * eps + eps * trace[i] + det[i]
        else:
            _factored(n_uavs, n_lanes, gx, gy, eps, x, y, weight, slant, rest, det)
        for i in range(n_lanes):
            product[i] *= log1p_inline(best[i] / others[i])
            error[i] += np.sqrt((2.0 * eps + trace[i]) / det[i])
        for m in range(n_uavs):
            for i in range(n_lanes):
                load[m, i] += 1.0 if serving[i] == m else 0.0
        if (k + 1) % users_per_log == 0 or k + 1 == users.shape[0]:  # one logarithm for several users
            for i in range(n_lanes):
                utility[i] += log_inline(product[i])
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
            half = atan_unit_inline(np.sqrt(ground2) / (altitude + np.sqrt(ground2 + h2)))  # half the angle off the zenith
            elevation = 90.0 - 2.0 * _DEG_PER_RAD * half
            p_los = 1.0 / (1.0 + a_deg * exp_inline(b_per_deg * (a_deg - elevation)))
            fade[m, i] = exp_inline(-_NEPER_PER_DB * (eta_nlos + p_los * (eta_los - eta_nlos)))


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
def _factored(
    n_uavs: Any, n_lanes: Any, gx: Any, gy: Any, eps: Any, x: Any, y: Any, weight: Any, slant: Any, rest: Any, det: Any
) -> None:
    """The determinant of eps I + sum of weight v v', from its factors (1, slant; 0, 1)' diag(lead, rest) (1, slant; 0, 1)."""
    lead = det
    for i in range(n_lanes):
        lead[i] = eps
        slant[i] = 0.0
        rest[i] = eps
    for m in range(n_uavs):
        for i in range(n_lanes):
            ax = x[m, i] - gx
            ay = y[m, i] - gy
            push = weight[m, i] * ax
            grown = lead[i] + push * ax
            off = ay - slant[i] * ax
            share = 1.0 / grown
            rest[i] += weight[m, i] * (lead[i] * share) * (off * off)
            slant[i] += push * share * off
            lead[i] = grown
    for i in range(n_lanes):
        det[i] = lead[i] * rest[i]


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

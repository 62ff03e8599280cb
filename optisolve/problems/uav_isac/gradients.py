"""Objectives of points with their gradients (numba), for solvers that follow slopes and for references.

The association is an argument: with it fixed both objectives are smooth, and the loads become a constant. Equations and
names follow `model`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.numerics.compiled import njit
from optisolve.problems.uav_isac.kernels import A_DEG, B_PER_DEG, EPS, ETA_LOS, ETA_NLOS, H2, KAPPA, NOISE, OFFSET, PRICE

__all__ = ["associate", "jacobians", "smooth_objectives"]

_DEG_PER_RAD = 180.0 / math.pi
_NEPER_PER_DB = math.log(10.0) / 10.0
_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def jacobians(X: FloatArray, users: FloatArray, packed: FloatArray, J: FloatArray) -> None:
    """Gradients of utility and error bound at points, each under its own association.

    Args:
        X: float64 [n, 3M], points.
        users: float64 [K, 2], m.
        packed: float64 [PRICE + K + 1], see `kernels.pack`.
        J: float64 [n, 2, 3M], written: per m and per W.
    """
    F = np.empty(2)
    for row in range(X.shape[0]):
        smooth_objectives(X[row], users, packed, associate(X[row], users, packed), F, J[row])


@_compiled
def associate(x: FloatArray, users: FloatArray, packed: FloatArray) -> IntArray:
    """Serving UAV of every user, int64 [K]; arguments as in `smooth_objectives`."""
    serving = np.zeros(users.shape[0], dtype=np.int64)
    for k in range(users.shape[0]):
        best = -1.0
        for m in range(x.shape[0] // 3):
            gain, _, _ = _gain(x[3 * m] - users[k, 0], x[3 * m + 1] - users[k, 1], packed)
            if x[3 * m + 2] * gain > best:
                best, serving[k] = x[3 * m + 2] * gain, m
    return serving


@_compiled
def smooth_objectives(
    x: FloatArray, users: FloatArray, packed: FloatArray, serving: IntArray, F: FloatArray, dF: FloatArray
) -> None:
    """Utility and error bound under a fixed association, with gradients.

    Args:
        x: float64 [3M], (x_m, y_m, p_w) per UAV.
        users: float64 [K, 2], m.
        packed: float64 [PRICE + K + 1], see `kernels.pack`.
        serving: int64 [K], the serving UAV of every user.
        F: float64 [2], written: utility in nat, mean error bound in m.
        dF: float64 [2, 3M], written: per m and per W.
    """
    n_users = users.shape[0]
    F[0], F[1] = packed[OFFSET], 0.0
    dF[:] = 0.0
    load = np.zeros(x.shape[0] // 3, dtype=np.int64)
    for k in range(n_users):
        load[serving[k]] += 1
        _add_utility(x, users[k, 0], users[k, 1], packed, serving[k], F, dF[0])
        _add_error(x, users[k, 0], users[k, 1], packed, 1.0 / n_users, F, dF[1])
    for count in load:
        F[0] -= packed[PRICE + count]


@_compiled
def _gain(dx: Any, dy: Any, packed: Any) -> Any:
    """Path gain over alpha0 and its gradient with respect to the UAV's position."""
    h2 = packed[H2]
    ground2 = dx * dx + dy * dy
    d2 = ground2 + h2
    gain, slope = 1.0 / d2, -2.0 / d2  # slope: (d gain / d dx) / (gain dx)
    if packed[A_DEG] > 0.0:
        ground = math.sqrt(ground2)
        elevation = _DEG_PER_RAD * math.atan2(math.sqrt(h2), ground)
        p_los = 1.0 / (1.0 + packed[A_DEG] * math.exp(-packed[B_PER_DEG] * (elevation - packed[A_DEG])))
        extra = packed[ETA_LOS] - packed[ETA_NLOS]
        gain *= math.exp(-_NEPER_PER_DB * (packed[ETA_NLOS] + p_los * extra))
        if ground > 0.0:  # straight below, the gain peaks in a cone: any slope of it will do
            turn = _DEG_PER_RAD * math.sqrt(h2) / (d2 * ground)  # -(d elevation / d ground) / ground
            slope += _NEPER_PER_DB * extra * packed[B_PER_DEG] * p_los * (1.0 - p_los) * turn
    return gain, gain * slope * dx, gain * slope * dy


@_compiled
def _add_utility(x: Any, gx: Any, gy: Any, packed: Any, server: Any, F: Any, gradient: Any) -> None:
    """Add ln ln(1 + SINR) of one user."""
    signal, others = 0.0, packed[NOISE]
    for m in range(x.shape[0] // 3):
        gain, _, _ = _gain(x[3 * m] - gx, x[3 * m + 1] - gy, packed)
        if m == server:
            signal = x[3 * m + 2] * gain
        else:
            others += x[3 * m + 2] * gain
    sinr = signal / others
    nats = math.log1p(sinr)
    F[0] += math.log(nats)
    by_signal = 1.0 / (nats * (1.0 + sinr) * others)  # d ln ln(1 + SINR) / d signal
    for m in range(x.shape[0] // 3):
        gain, gain_x, gain_y = _gain(x[3 * m] - gx, x[3 * m + 1] - gy, packed)
        weight = by_signal if m == server else -by_signal * sinr
        gradient[3 * m] += weight * x[3 * m + 2] * gain_x
        gradient[3 * m + 1] += weight * x[3 * m + 2] * gain_y
        gradient[3 * m + 2] += weight * gain


@_compiled
def _add_error(x: Any, gx: Any, gy: Any, packed: Any, share: Any, F: Any, gradient: Any) -> None:
    """Add the error bound of one user times `share`; d sqrt(tr J^-1) = -tr(J^-2 dJ) / (2 sqrt(tr J^-1))."""
    h2, kappa, eps = packed[H2], packed[KAPPA], packed[EPS]
    j11, j22, j12 = eps, eps, 0.0
    for m in range(x.shape[0] // 3):
        dx, dy = x[3 * m] - gx, x[3 * m + 1] - gy
        path = 1.0 / (dx * dx + dy * dy + h2)
        weight = path * path * (kappa * x[3 * m + 2] * path + 8.0)
        j11 += weight * dx * dx
        j22 += weight * dy * dy
        j12 += weight * dx * dy
    det = j11 * j22 - j12 * j12  # loses digits where all stand in line; good enough to search with
    error = math.sqrt((j11 + j22) / det)
    F[1] += share * error
    scale = -0.5 * share / (error * det * det)
    g11 = scale * (j22 * j22 + j12 * j12)  # J^-2 = adj(J)^2 / det^2
    g22 = scale * (j11 * j11 + j12 * j12)
    g12 = -scale * j12 * (j11 + j22)
    for m in range(x.shape[0] // 3):
        dx, dy = x[3 * m] - gx, x[3 * m + 1] - gy
        path = 1.0 / (dx * dx + dy * dy + h2)
        power = kappa * x[3 * m + 2]
        weight = path * path * (power * path + 8.0)
        along_x, along_y = g11 * dx + g12 * dy, g12 * dx + g22 * dy
        form = along_x * dx + along_y * dy
        slope = -path * path * path * (6.0 * power * path + 32.0)  # (d weight / d dx) / dx
        gradient[3 * m] += 2.0 * weight * along_x + form * slope * dx
        gradient[3 * m + 1] += 2.0 * weight * along_y + form * slope * dy
        gradient[3 * m + 2] += form * kappa * path * path * path

"""The numbers of a scenario that kernels need, in one array, since every argument of a compiled call costs time."""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac import model

__all__ = ["pack"]

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

_SAFE_EXPONENT = 280.0  # products of rates stay inside 10^-280 ... 10^280


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

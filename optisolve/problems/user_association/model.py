"""Equations of user association in readable numpy; verification runs on these.

User i has peak rate c_ij at base station j and gets an equal part of its airtime: R_i = c_ij / K_j with K_j users there.

    proportional_fair   sum_i ln(R_i / 1 Mbit/s)
    max_min             min_i R_i
    sum_rate            sum_i R_i

Source: Ye et al. 2013, doi 10.1109/TWC.2013.040413.120676 (proportional fairness, equal airtime is its optimal split).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["BITS_PER_MBIT", "RATE_FLOOR_MBPS", "Goal", "count_costs", "evaluate", "min_rate_bound"]

BITS_PER_MBIT = 1e6
RATE_FLOOR_MBPS = 1e-6
"""Rate of an unreachable pair, so that the logarithm stays finite; such points are infeasible anyway."""


class Goal(StrEnum):
    """What is maximized."""

    PROPORTIONAL_FAIR = "proportional_fair"
    MAX_MIN = "max_min"
    SUM_RATE = "sum_rate"


def evaluate(rate_mbps: FloatArray, station: IntArray, goal: Goal) -> tuple[FloatArray, FloatArray]:
    """Objective and uncovered share of a batch.

    Args:
        rate_mbps: float64 [I, J], peak rates, Mbit/s; 0 where a user cannot reach a station.
        station: int64 [n, I].
        goal: What is maximized.

    Returns:
        float64 [n] and the share of users at a station that they cannot reach, float64 [n].
    """
    n_users, n_stations = rate_mbps.shape
    peak = rate_mbps[np.arange(n_users), station]  # [n, I]
    load = np.stack([(station == j).sum(axis=1) for j in range(n_stations)], axis=1)  # [n, J]
    rate = np.maximum(peak, RATE_FLOOR_MBPS) / np.take_along_axis(load, station, axis=1)  # [n, I]
    value = {
        Goal.PROPORTIONAL_FAIR: np.log(rate).sum(axis=1),
        Goal.MAX_MIN: rate.min(axis=1),
        Goal.SUM_RATE: rate.sum(axis=1),
    }[goal]
    return value, (peak <= 0.0).mean(axis=1)


def count_costs(n_stations: int, n_users: int) -> FloatArray:
    """Marginal costs of the n-th user at a station under proportional fairness, n ln n - (n-1) ln(n-1); float64 [J, I].

    They increase with n, so that filling slots one by one is exact: sum_i ln(c_ij/K_j) = sum ln c_ij - sum_j K_j ln K_j.
    """
    n = np.arange(1, n_users + 1, dtype=np.float64)
    total = n * np.log(n)
    return np.tile(np.diff(total, prepend=0.0), (n_stations, 1))


def min_rate_bound(rate_mbps: FloatArray) -> float:
    """A bound on the smallest rate without search, Mbit/s: sum_i R_i / c_i,max <= number of stations in use <= J.

    Args:
        rate_mbps: float64 [I, J]; everybody reaches a station.
    """
    return float(rate_mbps.shape[1] / (1.0 / rate_mbps.max(axis=1)).sum())

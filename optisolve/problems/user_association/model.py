"""Equations of user association in readable numpy; verification runs on these.

User i has peak rate c_ij at base station j and gets an equal part of its airtime: R_i = c_ij / K_j with K_j users there.

    proportional_fair   sum_i ln(R_i / 1 Mbit/s)
    max_min             min_i R_i
    sum_rate            sum_i R_i

A pair out of reach has c_ij = 0: its user has no rate and the point is infeasible by `coverage`. For proportional fairness,
where ln 0 is not finite, such a user counts with the smallest peak rate above 0 of the instance (`out_of_reach_mbps`).

Source: Ye et al. 2013, doi 10.1109/TWC.2013.040413.120676 (proportional fairness, equal airtime is its optimal split).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray

__all__ = ["BITS_PER_MBIT", "Goal", "count_costs", "evaluate", "out_of_reach_mbps"]

BITS_PER_MBIT = 1e6


class Goal(StrEnum):
    """What is maximized."""

    PROPORTIONAL_FAIR = "proportional_fair"
    MAX_MIN = "max_min"
    SUM_RATE = "sum_rate"


def out_of_reach_mbps(rate_mbps: FloatArray) -> float:
    """What a pair out of reach counts as under proportional fairness, Mbit/s: the smallest rate above 0, 1 if there is none."""
    reached = rate_mbps[rate_mbps > 0.0]
    return float(reached.min()) if reached.size else 1.0


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
    crowd = np.take_along_axis(load, station, axis=1)  # [n, I]
    if goal is Goal.PROPORTIONAL_FAIR:
        value = np.log(np.where(peak > 0.0, peak, out_of_reach_mbps(rate_mbps)) / crowd).sum(axis=1)
    else:
        rate = peak / crowd
        value = rate.min(axis=1) if goal is Goal.MAX_MIN else rate.sum(axis=1)
    return value, (peak <= 0.0).mean(axis=1)


def count_costs(n_stations: int, n_users: int) -> FloatArray:
    """Marginal costs of the n-th user at a station under proportional fairness, n ln n - (n-1) ln(n-1); float64 [J, I].

    They increase with n, so that filling slots one by one is exact: sum_i ln(c_ij/K_j) = sum ln c_ij - sum_j K_j ln K_j.
    """
    n = np.arange(1, n_users + 1, dtype=np.float64)
    total = n * np.log(n)
    return np.tile(np.diff(total, prepend=0.0), (n_stations, 1))

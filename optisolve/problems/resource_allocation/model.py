"""Equations of OFDMA resource allocation in readable numpy; verification runs on these.

Every tone m (a resource block) belongs to one user k(m) and carries the power p_m:

    r_m = W log2(1 + p_m g_{k(m) m} / N),    R_k = sum_{m: k(m) = k} r_m,    value = sum_k w_k R_k

with sum p_m <= P, and by goal minimum rates R_k >= R_k^min or quotas (at most q_k tones for user k).

Sources: Yu and Lui 2006, doi 10.1109/TCOMM.2006.877962 (dual of multicarrier problems); Liu and Dai, arXiv 1212.5024
(per-user rate constraints make it strongly NP-hard).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.numerics.tone_sharing import Tones

__all__ = ["Cell", "Goal", "evaluate", "repair_levels", "repair_power", "repair_quota", "tone_rates"]


class Goal(StrEnum):
    """What is maximized, and under which constraints."""

    SUM_RATE = "sum_rate"
    WEIGHTED_SUM_RATE = "weighted_sum_rate"
    MIN_RATES = "min_rates"
    EQUAL_POWER = "equal_power"


@dataclass(frozen=True, eq=False, slots=True)
class Cell(Tones):
    """Everything the equations need; the weights are ones unless the goal weighs.

    Attributes:
        rate_min_mbps: float64 [K], Mbit/s; zeros unless the goal has minimum rates.
        quota: float64 [K], tones; only for equal power.
        goal: What is maximized.
        level_w: Power of one level, W; 0 for continuous powers.
    """

    rate_min_mbps: FloatArray
    quota: FloatArray
    goal: Goal
    level_w: float

    @property
    def level_budget(self) -> int:
        """Levels that the total power pays for, at most all there are."""
        return self._levels_within(self.power_total_w / self.level_w + 1e-9)

    @property
    def verified_level_budget(self) -> int:
        """Levels of which verification says that the total power pays for them; for bounds and proofs."""
        return self._levels_within(self.power_total_w / self.level_w * (1.0 + FEASIBILITY_TOLERANCE) * (1.0 + 1e-14))

    def _levels_within(self, budget: float) -> int:
        levels = self.tone_power_max_w / self.level_w
        return int(min(np.floor(budget), self.snr_per_w.shape[1] * np.rint(levels)))


def tone_rates(cell: Cell, owner: IntArray, power_w: FloatArray) -> FloatArray:
    """Rate of every tone, Mbit/s.

    Args:
        cell: The cell.
        owner: int64 [n, M].
        power_w: float64 [n, M] or [1, M], W.

    Returns:
        float64 [n, M].
    """
    snr = cell.snr_per_w[owner, np.arange(owner.shape[1])] * power_w
    rates: FloatArray = cell.tone_mbps * np.log1p(snr) / np.log(2.0)
    return rates


def evaluate(cell: Cell, owner: IntArray, power_w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted rate and constraints.

    Args:
        cell: The cell.
        owner: int64 [n, M].
        power_w: float64 [n, M], W.

    Returns:
        Value float64 [n], Mbit/s, and G float64 [n, k]: quotas for equal power, else the power budget and then one
        column per user with a minimum rate.
    """
    n_users = cell.weight.size
    rates = tone_rates(cell, owner, power_w)  # [n, M]
    mine = owner[:, None, :] == np.arange(n_users)[:, None]  # [n, K, M]
    user_rate = np.where(mine, rates[:, None, :], 0.0).sum(axis=2)  # [n, K]
    value = (user_rate * cell.weight).sum(axis=1)
    if cell.goal is Goal.EQUAL_POWER:
        return value, (mine.sum(axis=2) - cell.quota) / owner.shape[1]
    columns = [power_w.sum(axis=1, keepdims=True) / cell.power_total_w - 1.0]
    if cell.goal is Goal.MIN_RATES:
        asked = cell.rate_min_mbps > 0.0
        columns.append(1.0 - user_rate[:, asked] / cell.rate_min_mbps[asked])
    return value, np.concatenate(columns, axis=1)


def repair_power(power_w: FloatArray, total_w: float) -> FloatArray:
    """Euclidean projection of nonnegative powers onto sum <= total, float64 [n, M]."""
    ordered = -np.sort(-power_w, axis=1)
    excess = np.cumsum(ordered, axis=1) - total_w
    rank = np.arange(1, power_w.shape[1] + 1)
    kept = np.maximum(1, (ordered * rank > excess).sum(axis=1))  # [n], size of the support
    cut = np.maximum(0.0, excess[np.arange(kept.size), kept - 1] / kept)
    over = power_w.sum(axis=1) > total_w
    return np.where(over[:, None], np.maximum(power_w - cut[:, None], 0.0), power_w)


def repair_levels(level: FloatArray, budget: int) -> FloatArray:
    """Lower the highest levels, first tones first, until their sum fits, float64 [n, M]."""
    level = level.copy()
    for row in level:
        while row.sum() > budget:
            row[int(np.argmax(row))] -= 1.0
    return level


def repair_quota(owner: FloatArray, quota: FloatArray, snr_per_w: FloatArray) -> FloatArray:
    """Give the weakest tones of users above their quota to the strongest user with room, float64 [n, M]."""
    owner = owner.copy()
    for row in owner:
        count = np.bincount(row.astype(np.int64), minlength=quota.size)
        for k in np.flatnonzero(count > quota):
            tones = np.flatnonzero(row == k)
            weakest = tones[np.argsort(snr_per_w[k, tones], kind="stable")][: int(count[k] - quota[k])]
            for m in weakest:
                room = count < quota
                if not room.any():
                    break  # the verifier will call the point infeasible
                to = int(np.argmax(np.where(room, snr_per_w[:, m], -np.inf)))
                row[m] = to
                count[to] += 1
                count[k] -= 1
    return owner

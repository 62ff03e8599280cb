"""Adaptive operator selection: every operator's credit, and the share of the targets that follows from it.

Credit is gain per cost over the recent past. Shares follow it by probability matching with a floor (Thierens 2005,
doi 10.1145/1068009.1068251): in proportion to the credit rather than all to the best, since the operators help each other
and the best one changes during a run. As in FRRMAB (Li et al. 2014, doi 10.1109/TEVC.2013.2239648) old rewards fade,
because gains shrink by orders of magnitude as a run converges; here by a discount instead of a sliding window, and gains
are compared per unit of cost instead of by rank, since an operator may cost more than an evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.json import JsonObject

__all__ = ["Bandit"]

DECAY = 0.95
"""Weight of everything so far when a wave is added."""
PRIOR_COST = 20.0
"""Evaluations at the average credit that every operator is believed to have made before its own are counted."""
FLOOR = 0.02
"""Smallest share of the targets, so that an operator can recover; for one with a smaller start, a fifth of its start."""
SHARPNESS = 1.0
"""Exponent of the credit: 1 is probability matching, large numbers give everything to the best."""
_SEGMENTS = 10
"""Rows of the report's history."""


class Bandit:
    """Shares of several operators by credit.

    The share of operator k is proportional to s_k (c_k / c)^a, with its start share s_k, its credit c_k, the average
    credit c and the exponent a = `SHARPNESS`; then raised to its floor. Credit is discounted gain over discounted cost,
    drawn towards the average by `PRIOR_COST`, so an operator that was hardly tried keeps its start share.

    Args:
        start: Start shares by operator, in the order of the report; they are scaled to sum to 1.
    """

    def __init__(self, start: Mapping[str, float]) -> None:
        self.names: list[str] = []
        self._start = np.empty(0)
        self._gain, self._cost = np.empty(0), np.empty(0)
        self._history: list[tuple[FloatArray, FloatArray]] = []  # per wave: cost and gain of each operator
        for name, share in start.items():
            self.join(name, share)

    def join(self, name: str, start: float) -> None:
        """Add an operator in the middle of a run, with a start share relative to those of the others."""
        self.names.append(name)
        self._start = np.append(self._start, start)
        self._gain, self._cost = np.append(self._gain, 0.0), np.append(self._cost, 0.0)

    def add(self, gain: Sequence[float] | FloatArray, cost: Sequence[float] | FloatArray) -> None:
        """Count one wave.

        Args:
            gain: float64 [k], what each operator's offspring gained.
            cost: float64 [k], what they cost, evaluations.
        """
        gained, spent = np.asarray(gain, dtype=np.float64), np.asarray(cost, dtype=np.float64)
        self._gain = DECAY * self._gain + gained
        self._cost = DECAY * self._cost + spent
        self._history.append((spent, gained))

    def forget(self) -> None:
        """Start over, since gains are measured differently from now on; the history stays."""
        self._gain[:], self._cost[:] = 0.0, 0.0

    def start(self, name: str) -> float:
        """Start share of one operator."""
        return float(self._start[self.names.index(name)])

    def share(self, name: str) -> float:
        """Share of one operator."""
        return float(self.shares[self.names.index(name)])

    @property
    def credit(self) -> FloatArray:
        """Recent gain per cost of each operator relative to the average, float64 [k]; 1 while nothing was gained."""
        total = self._gain.sum()
        if total <= 0.0:
            return np.ones(len(self.names))
        average = total / self._cost.sum()
        credit: FloatArray = (self._gain / average + PRIOR_COST) / (self._cost + PRIOR_COST)
        return credit

    @property
    def shares(self) -> FloatArray:
        """Share of the targets of each operator, float64 [k], sums to 1."""
        start = self._start / self._start.sum()
        shares = start * self.credit**SHARPNESS
        floor = np.minimum(FLOOR, start / 5.0)
        shares = np.maximum(shares / shares.sum(), floor)
        normalized: FloatArray = shares / shares.sum()
        return normalized

    def relative_share(self, name: str) -> float:
        """Share of one operator divided by its start share."""
        return self.share(name) * float(self._start.sum()) / self.start(name)

    def spent(self, name: str) -> float:
        """Undiscounted cost of one operator so far, evaluations."""
        k = self.names.index(name)
        return float(sum(cost[k] for cost, _ in self._history if cost.size > k))

    def report(self) -> JsonObject:
        """Shares of the cost and credit relative to the average over at most ten equal parts of the run."""
        n = len(self.names)
        cost = np.array([np.pad(c, (0, n - c.size)) for c, _ in self._history]).reshape(-1, n)
        gain = np.array([np.pad(g, (0, n - g.size)) for _, g in self._history]).reshape(-1, n)
        parts = np.array_split(np.arange(cost.shape[0]), min(_SEGMENTS, cost.shape[0])) if cost.shape[0] else []
        rows = [(cost[part].sum(axis=0), gain[part].sum(axis=0)) for part in parts]
        return {
            "operators": self.names,
            "until_wave": [int(part[-1]) + 1 for part in parts],
            "share": [(c / max(c.sum(), 1e-300)).round(4).tolist() for c, _ in rows],
            "credit": [_relative(g, c) for c, g in rows],
        }


def _relative(gain: FloatArray, cost: FloatArray) -> list[float | None]:
    """Gain per cost relative to the average; None for an operator that was not used."""
    if gain.sum() <= 0.0:
        return [None] * gain.size
    average = gain.sum() / cost.sum()
    return [round(float(g / c / average), 4) if c > 0.0 else None for g, c in zip(gain, cost, strict=True)]

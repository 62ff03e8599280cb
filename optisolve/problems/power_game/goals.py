"""Goals on `power_game`: metrics, native instances, shadow prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.goals.metric import Bound, Metric, effective, tightest
from optisolve.numerics.interference import coupling
from optisolve.problems.link_goals import LinkGoals
from optisolve.problems.power_game import model
from optisolve.problems.power_game.model import Cell

__all__ = ["PowerGameGoals"]

_EXPRESSED = {("rate", False), ("total_power", True), ("power", True)}


class PowerGameGoals(LinkGoals):
    """What goals may ask of agents with a common receiver.

    Attributes:
        cell: Gains, thresholds, intent.
        sinr_floor: float64 [K], linear.
    """

    cell: Cell
    sinr_floor: FloatArray

    def rates(self, P: FloatArray) -> FloatArray:
        """Rates at powers float64 [n, K], W; float64 [n, K], bit/s."""
        return model.rates(P, self.cell)

    def metrics(self) -> tuple[Metric, ...]:
        """``rate`` and ``power`` of every user, ``total_power``."""
        n, now = self.cell.link_gain.size, float(self.cell.initial_power_w.sum())
        return (
            Metric("rate", "bit/s", "rate", True, n, ("rate", "throughput", "data rate", "bit rate", "speed")),
            Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power"), now),
            Metric("power", "W", "transmit power of one user", False, n, ("power", "transmit power")),
        )

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at powers float64 [n, K], W."""
        return {"rate": self.rates(X), "total_power": model.total_power(X), "power": X}

    def own_bounds(self) -> tuple[Bound, ...]:
        """The scenario's thresholds and its intent."""
        rates = [Bound("rate", k, False, float(r)) for k, r in enumerate(self.cell.rate_threshold_bit_s) if r > 0.0]
        target = float(self.cell.initial_power_w.sum()) - self.cell.power_saving_w
        return (*rates, *([Bound("total_power", None, True, target)] if self.cell.power_saving_w > 0.0 else []))

    def shadow_prices(self, x: FloatArray) -> Mapping[str, float]:
        """Total power saved when one threshold falls by 1 %, W, from the multipliers of ``p = I(p)``.

        With ``(I - M)' m = 1`` the optimum x is ``m'v``, and a change of the SINR floor of agent k moves it by
        ``m_k I_k(p) / floor_k``.
        """
        cell, floor = self.cell, self.sinr_floor
        matrix, _ = coupling(self.gain, self.noise_w, floor)
        multiplier = np.linalg.solve((np.eye(floor.size) - matrix).T, np.ones(floor.size))
        prices = {}
        for k in np.flatnonzero(cell.rate_threshold_bit_s > 0.0):
            slope = np.log(2.0) / cell.bandwidth_hz * (1.0 + floor[k])  # d floor / d rate
            per_bit = multiplier[k] * x[k] / floor[k] * slope
            prices[f"agent{k}.min_rate"] = float(0.01 * cell.rate_threshold_bit_s[k] * per_bit)
        return prices

    def _native_cell(self, bounds: Sequence[Bound], *, keep: bool) -> tuple[Cell, tuple[Bound, ...]]:
        """The cell with other thresholds, caps and intent, and the bounds that it cannot express.

        Args:
            bounds: What the goal asks.
            keep: Keep thresholds and intent that the goal says nothing about.
        """
        held = effective(self.own_bounds(), bounds, keep=keep)
        floors, caps, rest = self._native(held, bounds, self.cell.rate_threshold_bit_s)
        rest = [b for b in bounds if (b.metric, b.upper) not in _EXPRESSED] + rest
        target = tightest(held, "total_power", None, upper=True, default=np.inf)
        saving = float(self.cell.initial_power_w.sum()) - target if np.isfinite(target) else 0.0
        if saving <= 0.0 and np.isfinite(target):  # the family's intent is a fall; a looser cap is a plain bound
            rest += [b for b in bounds if b.metric == "total_power" and b.upper]
        changed = dataclasses.replace(self.cell, rate_threshold_bit_s=floors, p_max_w=caps, power_saving_w=max(0.0, saving))
        return changed, tuple(rest)

    def _why_not(self, reason: str, rates: FloatArray) -> str:
        load = float(model.loads(rates, self.cell.bandwidth_hz).sum())
        if load >= 1.0:
            return f"the rates load the receiver by {load:.6g}, which must stay below 1, whatever the powers"
        return reason.replace("link ", "agent ")

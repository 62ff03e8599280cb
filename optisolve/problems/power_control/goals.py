"""Goals on `power_control`: metrics, native instances, prices of floors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.goals.metric import Bound, Metric, effective
from optisolve.numerics.interference import coupling
from optisolve.problems.link_goals import LinkGoals
from optisolve.problems.power_control import model
from optisolve.problems.power_control.model import Goal, Links

if TYPE_CHECKING:
    from optisolve.goals.goal import GoalObjective

__all__ = ["PowerControlGoals"]

_EXPRESSED = {("rate", False), ("power", True)}


class PowerControlGoals(LinkGoals):
    """What goals may ask of an interference channel.

    Attributes:
        links: The channel.
        goal: What is optimized.
        sinr_floor: float64 [K], linear, 0 where there is no minimum rate.
    """

    links: Links
    goal: Goal
    sinr_floor: FloatArray

    def rates(self, P: FloatArray) -> FloatArray:
        """Spectral efficiencies at powers float64 [n, K], W; float64 [n, K], bit/s/Hz."""
        return model.rates(P, self.links)

    def metrics(self) -> tuple[Metric, ...]:
        """``rate`` and ``power`` of every link, ``sum_rate``, ``total_power``, ``energy_efficiency``."""
        n, full = self.links.noise_w.size, float(self.links.p_max_w.sum())
        return (
            Metric(
                "rate", "bit/s/Hz", "spectral efficiency", True, n, ("rate", "throughput", "spectral efficiency", "data rate")
            ),
            Metric("sum_rate", "bit/s/Hz", "sum rate", True, 0, ("sum rate", "total rate", "total throughput", "capacity")),
            Metric("total_power", "W", "total power", False, 0, ("power", "energy", "total power", "transmit power"), full),
            Metric("power", "W", "transmit power of one user", False, n, ("power", "transmit power")),
            Metric("energy_efficiency", "", "sum rate per watt consumed", True, 0, ("energy efficiency", "efficiency")),
        )

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """The metrics at powers float64 [n, K], W."""
        rate = self.rates(X)
        return {
            "rate": rate,
            "sum_rate": np.asarray(rate.sum(axis=1)),
            "total_power": np.asarray(X.sum(axis=1)),
            "power": X,
            "energy_efficiency": model.objective(X, self.links, Goal.ENERGY_EFFICIENCY),
        }

    def own_bounds(self) -> tuple[Bound, ...]:
        """The scenario's minimum rates."""
        return tuple(Bound("rate", k, False, float(r)) for k, r in enumerate(self.links.min_rate_bit_s_hz) if r > 0.0)

    def shadow_prices(self, x: FloatArray) -> Mapping[str, float]:
        """Total power saved when one minimum rate falls by 1 %, W, from the multipliers of ``p = I(p)``; least power only."""
        if self.goal is not Goal.MIN_POWER:
            return {}
        floor, least = self.sinr_floor, self.links.min_rate_bit_s_hz
        matrix, _ = coupling(self.gain, self.noise_w, floor)
        multiplier = np.linalg.solve((np.eye(floor.size) - matrix).T, np.ones(floor.size))
        prices = {}
        for k in np.flatnonzero(least > 0.0):
            slope = np.log(2.0) * (1.0 + floor[k])
            prices[f"link{k}.min_rate"] = float(0.01 * least[k] * multiplier[k] * x[k] / floor[k] * slope)
        return prices

    def _native_links(self, bounds: Sequence[Bound], *, keep: bool) -> tuple[Links, tuple[Bound, ...]]:
        """The links with other floors and caps, and the bounds that they cannot express."""
        held = effective(self.own_bounds(), bounds, keep=keep)
        floors, caps, rest = self._native(held, bounds, self.links.min_rate_bit_s_hz)
        rest = [b for b in bounds if (b.metric, b.upper) not in _EXPRESSED] + rest
        return dataclasses.replace(self.links, min_rate_bit_s_hz=floors, p_max_w=caps), tuple(rest)

    def _native_aim(self, objective: GoalObjective | None) -> Goal | None:
        """The family's goal that an objective means, or None."""
        if objective is None:
            return self.goal
        if len(objective.terms) != 1 or objective.terms[0].users:
            return None
        known = {
            ("max", "sum_rate"): Goal.SUM_RATE,
            ("max", "rate"): Goal.SUM_RATE,  # without users it is the sum over all
            ("maxmin", "rate"): Goal.MAX_MIN,
            ("min", "total_power"): Goal.MIN_POWER,
            ("min", "power"): Goal.MIN_POWER,
            ("max", "energy_efficiency"): Goal.ENERGY_EFFICIENCY,
        }
        return known.get((objective.sense, objective.terms[0].metric))

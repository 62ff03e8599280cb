"""Goals on links that disturb each other: what their floors and caps ask, and whether any powers can do it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.problem import FEASIBILITY_TOLERANCE
from optisolve.goals.goal_instance import MeasuredInstance
from optisolve.goals.metric import Bound, Feasibility, tightest
from optisolve.numerics.interference import MOST_BITS, least_powers

__all__ = ["LinkGoals"]

_DECIDED = {("rate", False), ("power", True), ("total_power", True)}


class LinkGoals(MeasuredInstance):
    """Powers of K links with the metrics ``rate`` and ``power`` of each and ``total_power``.

    Attributes:
        gain: float64 [K, K], linear, receiver i from transmitter j.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        bandwidth_hz: Rates are in bit/s over so many Hz; None for rates in bit/s/Hz.
    """

    gain: FloatArray
    noise_w: FloatArray
    p_max_w: FloatArray
    bandwidth_hz: float | None = None

    @abstractmethod
    def rates(self, P: FloatArray) -> FloatArray:
        """Rates at powers float64 [n, K], W; float64 [n, K], bit/s or bit/s/Hz."""

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """Exact for rates from below and powers from above: the least powers are least in every component."""
        if any((b.metric, b.upper) not in _DECIDED for b in bounds):
            return Feasibility(None, "bounds other than least rates and largest powers are not decided in advance")
        band, rates, caps = self.bandwidth_hz or 1.0, self._least_rates(bounds), self._caps(bounds)
        total = tightest(bounds, "total_power", None, upper=True, default=np.inf)
        if (caps < 0.0).any() or total < 0.0:
            return Feasibility(False, "a power cannot be negative")
        if rates.max(initial=0.0) > MOST_BITS * band:
            unit, where = ("bit/s/Hz", "") if self.bandwidth_hz is None else ("bit/s", f" in {band:g} Hz")
            return Feasibility(False, f"a rate of {rates.max():.6g} {unit} needs a signal beyond any power{where}")
        # A bound of 0 is measured by what there is to be had, see `GoalInstance`.
        allowed = caps + FEASIBILITY_TOLERANCE * np.where(caps > 0.0, caps, self.p_max_w)
        least = least_powers(self.gain, self.noise_w, np.expm1(rates / band * np.log(2.0)), allowed)
        if least.reason:
            return Feasibility(False, self._why_not(least.reason, rates))
        needed = float(least.verified_lower_w.sum())
        if needed > total + FEASIBILITY_TOLERANCE * (total or float(self.p_max_w.sum())):
            return Feasibility(False, f"the rates need at least {needed:.6g} W in total, {total:.6g} W are allowed")
        if least.powers_w is None or not self._holds(np.minimum(least.powers_w, caps), rates, total):
            return Feasibility(None, "the rates are at the edge of what the powers can do, too near for a decision")
        return Feasibility(True, f"the least powers that meet the rates add up to {float(least.powers_w.sum()):.6g} W")

    def _native(
        self, held: Sequence[Bound], bounds: Sequence[Bound], own_floors: FloatArray
    ) -> tuple[FloatArray, FloatArray, list[Bound]]:
        """Rate floors and power caps, float64 [K], and the bounds on rates and powers that they cannot express.

        Args:
            held: All bounds that hold.
            bounds: What the goal asks.
            own_floors: The scenario's rate floors, float64 [K].
        """
        floors, caps, rest = self._least_rates(held), self._caps(held), list[Bound]()
        if floors.max(initial=0.0) > MOST_BITS * (self.bandwidth_hz or 1.0):  # no SINR floor could say it
            floors, rest = own_floors, [b for b in bounds if (b.metric, b.upper) == ("rate", False)]
        if (caps <= 0.0).any():  # a space needs lower < upper
            caps = self.p_max_w
            rest += [b for b in bounds if (b.metric, b.upper) == ("power", True)]
        return frozen(floors), frozen(caps), rest

    def _why_not(self, reason: str, rates: FloatArray) -> str:
        """Why no powers reach rates float64 [K], in the family's words."""
        return reason

    def _least_rates(self, bounds: Sequence[Bound]) -> FloatArray:
        links = range(self.p_max_w.size)
        return np.array([max(0.0, tightest(bounds, "rate", k, upper=False, default=0.0)) for k in links])

    def _caps(self, bounds: Sequence[Bound]) -> FloatArray:
        return np.array([tightest(bounds, "power", k, upper=True, default=float(p)) for k, p in enumerate(self.p_max_w)])

    def _holds(self, powers_w: FloatArray, rates: FloatArray, total_w: float) -> bool:
        """Whether powers within their caps, float64 [K], W, meet rates and a total within the feasibility tolerance."""
        enough = bool((self.rates(powers_w[None, :])[0] >= rates * (1.0 - FEASIBILITY_TOLERANCE)).all())
        return enough and float(powers_w.sum()) <= total_w * (1.0 + FEASIBILITY_TOLERANCE)

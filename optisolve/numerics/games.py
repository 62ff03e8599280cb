"""Games of K agents with one bounded action each: utilities, exact best responses, distance from a Nash equilibrium.

``gain[i, j]`` leads from transmitter j to receiver i. Utilities are dimensionless or in the unit that a game names, and higher
is better. Everything an agent is asked about its own utility follows from what it can measure itself: its own gain and the
interference plus noise at its own receiver.
"""

from __future__ import annotations

import math

import numpy as np

from optisolve.core.agent_game import AgentGame
from optisolve.core.arrays import FloatArray, product
from optisolve.numerics.interference import sinr

__all__ = ["AgentGame", "EnergyEfficiencyGame", "MinPowerGame", "RateGame", "equilibrium_sinr"]

_LN2 = float(np.log(2.0))


class _LinkGame(AgentGame):
    """Powers of K links that disturb each other.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
    """

    def __init__(self, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray) -> None:
        super().__init__(np.zeros_like(p_max_w), p_max_w)
        self.gain, self.noise_w = gain, noise_w
        self.own_gain = np.diag(gain).copy()
        self._cross_t = (gain - np.diag(self.own_gain)).T

    def heard(self, X: FloatArray) -> FloatArray:
        """Interference plus noise at every receiver, float64 [n, K], W."""
        total: FloatArray = product(X, self._cross_t) + self.noise_w
        return total

    def rates(self, X: FloatArray) -> FloatArray:
        """log2(1 + SINR), float64 [n, K], bit/s/Hz."""
        return np.asarray(np.log1p(sinr(X, self.gain, self.noise_w)) / _LN2)

    def listens_to(self, agent: int, count: int) -> list[int]:
        """The links that disturb this one most at full power."""
        strength = self._cross_t[:, agent] * self.upper
        order = [int(j) for j in np.argsort(-strength, kind="stable") if j != agent]
        return order[:count]

    def facts(self, agent: int) -> list[str]:
        """Own gain and cap."""
        return [f"Your own channel gain is {self.own_gain[agent]:.4g}, your cap {self.upper[agent]:g} W."]

    def world(self) -> list[str]:
        """Gains and noise of all links."""
        rows = [f"Receiver {i} hears link 0, 1, ... with gains {_listed(self.gain[i])}." for i in range(self.n_agents)]
        if (self.gain == self.gain[0]).all():
            rows = [f"All share one receiver, which hears agent 0, 1, ... with gains {_listed(self.gain[0])}."]
        return [*rows, f"Noise at the receivers is {_listed(self.noise_w)} W."]


class MinPowerGame(_LinkGame):
    """Every link wants its rate ``r_i`` with as little power as possible.

    .. math:: u_i(p) = -p_i / P_i - M_i \\max(0, 1 - R_i(p) / r_i)

    The penalty is exact: with ``M_i = 2 (1 + g) ln(1 + g) / g`` at the SINR floor g of link i the best response is the power
    ``I_i(p)`` that just meets the floor whenever the cap P_i allows it (the utility is concave in the own power and its slope
    below the floor stays positive), and where the cap forbids it the utility still says how much is missing. So its Nash
    equilibrium is the generalized one of "least p_i with R_i >= r_i", the fixed point of Foschini and Miljanic 1993.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        sinr_floor: float64 [K], linear, 0 for no need.
    """

    signal_name = "rate as a share of the need"
    role = "You set the transmit power of one link. Other links share the band: their power disturbs you, yours disturbs them."
    aim = "Use as little power as possible while your own rate stays at or above what you need."
    target = 1.0

    def __init__(self, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray, sinr_floor: FloatArray) -> None:
        super().__init__(gain, noise_w, p_max_w)
        self.sinr_floor = sinr_floor
        self.needed = np.log1p(sinr_floor) / _LN2  # [K] bit/s/Hz
        floor = np.where(sinr_floor > 0.0, sinr_floor, 1.0)
        self.penalty = np.where(sinr_floor > 0.0, 2.0 * (1.0 + floor) * np.log1p(floor) / floor, 0.0)

    def utilities(self, X: FloatArray) -> FloatArray:
        """Minus the share of the cap in use, minus the penalty for a missed rate."""
        return np.asarray(-X / self.upper - self.penalty * np.maximum(0.0, 1.0 - self.signal(X)))

    def signal(self, X: FloatArray) -> FloatArray:
        """Rate over the needed rate; 1 for a link without a need."""
        has = self.needed > 0.0
        return np.where(has, self.rates(X) / np.where(has, self.needed, 1.0), 1.0)

    def shortfall(self, X: FloatArray) -> FloatArray:
        """Missing rate, bit/s/Hz; what is within the feasibility tolerance of 1e-8 misses nothing."""
        missed = self.needed * (1.0 - self.signal(X))
        return np.where(missed > 1e-8 * self.needed, missed, 0.0)

    def required(self, x: FloatArray) -> FloatArray:
        """Power with which each link would just meet its floor if the others stayed, float64 [K], W; caps are ignored."""
        return np.asarray(self.sinr_floor * self.heard(x[None, :])[0] / self.own_gain)

    def best_response(self, x: FloatArray) -> FloatArray:
        """``min(P, I(x))``, and less where even the cap leaves so much missing that giving up pays."""
        required = self.required(x)
        per_watt = self.own_gain / self.heard(x[None, :])[0]  # SINR of one watt
        # Beyond the cap the penalty's slope M / (r ln 2) per_watt / (1 + p per_watt) must outweigh 1 / P.
        rate = np.where(self.needed > 0.0, self.needed, 1.0)
        worth = self.penalty * self.upper / (rate * _LN2) - 1.0 / per_watt
        return np.asarray(np.where(required <= self.upper, required, np.clip(worth, 0.0, self.upper)))

    def facts(self, agent: int) -> list[str]:
        """Gain, cap and need."""
        return [*super().facts(agent), f"You need {self.needed[agent]:.4g} bit/s/Hz."]

    def world(self) -> list[str]:
        """Gains, noise and needs of all links."""
        return [*super().world(), f"The links need {_listed(self.needed)} bit/s/Hz."]


class RateGame(_LinkGame):
    """Every link wants rate, at a price per watt: ``u_i(p) = w_i log2(1 + SINR_i) - c p_i``.

    Without a price full power is a dominant strategy, whatever that does to the sum.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        weight: float64 [K].
        price_per_w: c, utility per W.
    """

    signal_name = "rate in bit/s/Hz"
    role = "You set the transmit power of one link. Other links share the band: their power disturbs you, yours disturbs them."
    aim = "Make your own utility as large as possible: your rate, less what your power costs."

    def __init__(
        self, gain: FloatArray, noise_w: FloatArray, p_max_w: FloatArray, weight: FloatArray, price_per_w: float = 0.0
    ) -> None:
        super().__init__(gain, noise_w, p_max_w)
        self.weight, self.price_per_w = weight, price_per_w

    def utilities(self, X: FloatArray) -> FloatArray:
        """Weighted rate less the cost of the own power, bit/s/Hz."""
        return self.weight * self.rates(X) - self.price_per_w * X

    def signal(self, X: FloatArray) -> FloatArray:
        """The own rate, bit/s/Hz."""
        return self.rates(X)

    def best_response(self, x: FloatArray) -> FloatArray:
        """Full power without a price, else the water level ``w / (c ln 2) - (I + noise) / g``."""
        if self.price_per_w <= 0.0:
            return self.upper.copy()
        level = self.weight / (self.price_per_w * _LN2) - self.heard(x[None, :])[0] / self.own_gain
        return np.asarray(np.clip(level, 0.0, self.upper))

    def facts(self, agent: int) -> list[str]:
        """Gain, cap and price."""
        price = f"One watt costs you {self.price_per_w:g}." if self.price_per_w > 0.0 else "Power costs you nothing."
        return [*super().facts(agent), price]


class EnergyEfficiencyGame(_LinkGame):
    """Every link wants bits per joule: ``u_i(p) = w_i log2(1 + SINR_i) / (P_c + slope p_i)``.

    Args:
        gain: float64 [K, K], linear.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        weight: float64 [K].
        circuit_power_w: P_c of each link, W.
        power_slope: Consumed per radiated power.
    """

    signal_name = "rate per consumed watt in bit/s/Hz/W"
    role = RateGame.role
    aim = "Make your own rate per consumed watt as large as possible."

    def __init__(
        self,
        gain: FloatArray,
        noise_w: FloatArray,
        p_max_w: FloatArray,
        weight: FloatArray,
        circuit_power_w: float,
        power_slope: float,
    ) -> None:
        super().__init__(gain, noise_w, p_max_w)
        self.weight, self.circuit_power_w, self.power_slope = weight, circuit_power_w, power_slope

    def utilities(self, X: FloatArray) -> FloatArray:
        """Rate over consumed power, bit/s/Hz/W."""
        return np.asarray(self.weight * self.rates(X) / (self.circuit_power_w + self.power_slope * X))

    def signal(self, X: FloatArray) -> FloatArray:
        """The utility itself."""
        return self.utilities(X)

    def service(self, X: FloatArray) -> FloatArray:
        """Rates, bit/s/Hz."""
        return self.rates(X)

    def best_response(self, x: FloatArray) -> FloatArray:
        """Root of ``(P_c + s p) / (a + p) = s ln(1 + p / a)`` with ``a = (I + noise) / g``, by bisection.

        The utility is quasi-concave in the own power (concave over affine), so the root of its derivative is the maximum; the
        left side less the right one falls from positive to negative.
        """
        a = self.heard(x[None, :])[0] / self.own_gain
        low, high = np.zeros(self.n_agents), self.upper.copy()
        for _ in range(80):
            middle = 0.5 * (low + high)
            slope = self.power_slope
            rising = (self.circuit_power_w + slope * middle) / (a + middle) > slope * np.log1p(middle / a)
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        return np.asarray(0.5 * (low + high))


def _listed(values: FloatArray) -> str:
    if values.size and (values == values[0]).all():
        return f"{values[0]:.4g}"
    return ", ".join(f"{value:.4g}" for value in values)


def equilibrium_sinr(frame_bits: int, *, slope: float = 1.0) -> float:
    """SINR at which every link of the game plays its best response.

    With the efficiency function f(g) = (1 - exp(-slope g))^M the utility f(g)/p is largest where f'(g) g = f(g), that is
    M slope g = exp(slope g) - 1, independent of the channel. That point is the Nash equilibrium (SINR balancing).

    Args:
        frame_bits: Bits per frame M >= 2.
        slope: Decay of the bit error probability per unit of SINR, > 0.

    Returns:
        The equilibrium SINR, linear.

    Source:
        Goodman and Mandayam 2000, doi 10.1109/98.839331.
    """
    from scipy.optimize import brentq

    def excess(x: float) -> float:  # in logarithms, since exp(x) overflows for long frames
        return x - math.log1p(frame_bits * x)

    # The root at 0 is trivial; excess is negative at ln M and positive beyond 2 ln M + 2.
    low = math.log(frame_bits)
    return float(brentq(excess, low, 2.0 * low + 2.0, xtol=1e-13)) / slope

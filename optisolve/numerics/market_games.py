"""Games about a shared good: Kelly's resource mechanism and Cournot's market, with their equilibria and optima.

Both are where language-model agents were reported not to settle at the equilibrium but to cooperate (arXiv 2604.00487), so both
offer the equilibrium and the optimum as numbers to compare with.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.games import AgentGame

__all__ = ["CournotGame", "KellyGame"]

_ROUNDS = 200


class KellyGame(AgentGame):
    """Users bid for a capacity and share it in proportion: ``x_i = C w_i / sum_j w_j``, ``u_i = a_i ln(1 + x_i / b_i) - w_i``.

    Args:
        capacity: C, Mbit/s.
        worth: float64 [K], a_i, money units.
        knee: float64 [K], b_i, Mbit/s.
        bid_min: Smallest bid, above 0.
        bid_max: Largest bid.

    Source:
        Kelly 1997; equilibrium and its efficiency of at least 3/4: Johari and Tsitsiklis 2004.
    """

    action_name, action_unit = "bid", "money units"
    signal_name = "share of the capacity in Mbit/s"
    role = "You bid for a share of a common capacity. Everybody gets a share in proportion to the bids, and pays the own bid."
    aim = "Make your own payoff as large as possible: what your share is worth to you, less your bid."
    default_start = 0.1

    def __init__(self, capacity: float, worth: FloatArray, knee: FloatArray, bid_min: float, bid_max: float) -> None:
        super().__init__(np.full(worth.size, bid_min), np.full(worth.size, bid_max))
        self.capacity, self.worth, self.knee = capacity, worth, knee

    def shares(self, X: FloatArray) -> FloatArray:
        """Shares of the capacity, float64 [n, K], Mbit/s, at bids X float64 [n, K]."""
        return np.asarray(self.capacity * X / X.sum(axis=1, keepdims=True))

    def utilities(self, X: FloatArray) -> FloatArray:
        """Worth of the share less the bid."""
        return np.asarray(self.worth * np.log1p(self.shares(X) / self.knee) - X)

    def signal(self, X: FloatArray) -> FloatArray:
        """The own share, Mbit/s."""
        return self.shares(X)

    def best_response(self, x: FloatArray) -> FloatArray:
        """Root of ``a C S / ((b + x)(w + S)^2) = 1`` with S the bids of the others: a quadratic in w + S."""
        others = x.sum() - x
        total = self.knee + self.capacity
        half = self.capacity * others
        y = (half + np.sqrt(half**2 + 4.0 * total * self.worth * half)) / (2.0 * total)
        return np.asarray(np.clip(y - others, self.lower, self.upper))

    def optimum(self) -> tuple[FloatArray, float]:
        """Shares that make the total worth largest: ``a / (b + x) = price`` where x > 0; and that price.

        Users by falling worth of their first Mbit/s: the first m of them get something at the price
        ``sum a / (C + sum b)``, for the largest m whose last user still values its first Mbit/s above it.
        """
        order = np.argsort(-self.worth / self.knee, kind="stable")
        price = np.cumsum(self.worth[order]) / (self.capacity + np.cumsum(self.knee[order]))  # [K]
        served = int(np.flatnonzero(self.worth[order] / self.knee[order] > price)[-1])
        x = np.maximum(self.worth / price[served] - self.knee, 0.0)
        return x * (self.capacity / x.sum()), float(price[served])

    def nash(self) -> tuple[FloatArray, float]:
        """Bids at the equilibrium, and its price: the sum of the bids over the capacity.

        ``U_i'(x_i)(1 - x_i / C) = price``, hence ``x_i = (a - price b) / (price + a / C)`` where that is positive.
        """

        def shares(price: float) -> FloatArray:
            return np.maximum((self.worth - price * self.knee) / (price + self.worth / self.capacity), 0.0)

        price = _root(shares, self.capacity, float((self.worth / self.knee).max()))
        return price * shares(price), price

    def facts(self, agent: int) -> list[str]:
        """Worth and knee of the own utility."""
        told = f"x Mbit/s are worth {self.worth[agent]:.4g} ln(1 + x / {self.knee[agent]:.4g}) to you"
        return [f"{told}; the capacity is {self.capacity:g} Mbit/s for {self.n_agents} users."]


class CournotGame(AgentGame):
    """Firms choose quantities; the price falls with their sum: ``u_i = (A - B sum_j q_j - c_i) q_i``.

    Args:
        intercept: A, price at quantity 0.
        slope: B, price per unit of quantity.
        cost: float64 [K], c_i.
        quantity_max: float64 [K].

    Source:
        Cournot 1838; the equilibrium is unique (linear demand, constant costs).
    """

    action_name, action_unit = "quantity", "units"
    signal_name = "price"
    role = "You decide how much you sell on a market with other sellers. The more all of you sell, the lower the price for all."
    aim = "Make your own profit as large as possible: price less your cost, times your quantity."
    default_start = 0.5

    def __init__(self, intercept: float, slope: float, cost: FloatArray, quantity_max: FloatArray) -> None:
        super().__init__(np.zeros(cost.size), quantity_max)
        self.intercept, self.slope, self.cost = intercept, slope, cost

    def price(self, X: FloatArray) -> FloatArray:
        """Price at quantities X float64 [n, K], float64 [n, 1]; it may be negative."""
        return np.asarray(self.intercept - self.slope * X.sum(axis=1, keepdims=True))

    def utilities(self, X: FloatArray) -> FloatArray:
        """Profits."""
        return np.asarray((self.price(X) - self.cost) * X)

    def signal(self, X: FloatArray) -> FloatArray:
        """The price, the same for all."""
        return np.broadcast_to(self.price(X), X.shape)

    def service(self, X: FloatArray) -> FloatArray:
        """Quantities."""
        return X

    def best_response(self, x: FloatArray) -> FloatArray:
        """``(A - c_i - B sum of the others) / (2 B)``, within the range."""
        others = x.sum() - x
        wanted = (self.intercept - self.cost - self.slope * others) / (2.0 * self.slope)
        return np.asarray(np.clip(wanted, self.lower, self.upper))

    def nash(self) -> FloatArray:
        """The equilibrium: ``q_i = (A - c_i) / B - Q`` clipped to the range, with the total Q by bisection."""

        def quantities(total: float) -> FloatArray:
            return np.clip((self.intercept - self.cost) / self.slope - total, self.lower, self.upper)

        low, high = 0.0, float(self.upper.sum())
        for _ in range(_ROUNDS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if quantities(middle).sum() > middle else (low, middle)
        return quantities(0.5 * (low + high))

    def cartel(self) -> tuple[FloatArray, float]:
        """Quantities that make the total profit largest, and that profit: firms by rising cost, each until marginal revenue
        ``A - 2 B Q`` falls to its cost."""
        q, total = np.zeros(self.n_agents), 0.0
        for i in np.argsort(self.cost, kind="stable"):
            room = (self.intercept - self.cost[i]) / (2.0 * self.slope) - total
            q[i] = min(max(room, 0.0), float(self.upper[i]))
            total += q[i]
        return q, float(self.utilities(q[None, :]).sum())

    def facts(self, agent: int) -> list[str]:
        """Own cost."""
        return [f"One unit costs you {self.cost[agent]:.4g}; you can sell at most {self.upper[agent]:g} units."]


def _root(shares, capacity: float, high: float) -> float:  # type: ignore[no-untyped-def]
    """Price at which shares that fall with it add up to the capacity, by bisection."""
    low = 0.0
    for _ in range(_ROUNDS):
        middle = 0.5 * (low + high)
        if middle <= 0.0:
            break
        low, high = (middle, high) if shares(middle).sum() > capacity else (low, middle)
    return high

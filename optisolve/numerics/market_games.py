"""Games about a shared good: Kelly's resource mechanism and Cournot's market, with their equilibria and optima.

Both are where language-model agents were reported not to settle at the equilibrium but to cooperate (arXiv 2604.00487), so both
offer the equilibrium and the optimum as numbers to compare with.
"""

from __future__ import annotations

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.numerics.games import AgentGame

__all__ = ["CournotGame", "KellyGame", "cournot_optimum", "kelly_optimum", "kelly_optimum_within_bids"]

_ROUNDS = 200

_ROUNDING = 16 * 2.0**-52
"""Relative rounding of a term of a bound."""

_HALVINGS = 80
"""Of a search over a price or a scale in logarithms; 2^-80 of a range of 1e24 is below the rounding of a number."""


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


def kelly_optimum(game: KellyGame) -> tuple[FloatArray, float, str]:
    """Bids, a bound and words for Kelly's mechanism.

    The Lagrangian bounds every division of the capacity: ``price C + sum max_x (U_i(x) - price x)``. The bids have the ratios
    of the best shares as far as the range of the bids lets them; a user who should get nothing bids the least all the same.
    """
    shares, price = game.optimum()
    bids = np.clip(shares / shares.max() * game.upper[0], game.lower, game.upper)
    best = np.maximum(game.worth / price - game.knee, 0.0)
    gained, paid = game.worth * np.log1p(best / game.knee), price * best
    bound = price * game.capacity + float((gained - paid).sum())
    bound += _ROUNDING * bids.size * (price * game.capacity + float((gained + paid).sum()))
    return bids, bound, f"water-filling of the shares, price {price:.6g}; bound from the Lagrangian"


def cournot_optimum(game: CournotGame) -> tuple[FloatArray, float, str]:
    """Quantities, a bound and words for Cournot's market.

    Total profit is concave, so the tangent at the point bounds it. No optimum sells more than the cheapest seller alone
    would, which keeps the rounding of the tangent's slopes small however much could be sold.
    """
    if game.intercept <= float(game.cost.min()):
        return np.zeros(game.n_agents), 0.0, "the price never covers a cost"
    quantities, total = game.cartel()
    sold = float(quantities.sum())
    slope = game.intercept - 2.0 * game.slope * sold - game.cost
    most = np.minimum(game.upper, (game.intercept - float(game.cost.min())) / (2.0 * game.slope))
    gain = np.where(slope > 0.0, most - quantities, -quantities)
    rounding = _ROUNDING * game.n_agents * (game.intercept + 2.0 * game.slope * sold + game.cost)
    bound = total + float((slope * gain + rounding * np.maximum(most, quantities)).sum())
    return quantities, bound, "sellers by rising cost up to equal marginal revenue; bound from the tangent"


def kelly_optimum_within_bids(game: KellyGame) -> tuple[FloatArray, float, str]:
    """Bids, a bound and words for Kelly's mechanism, exact also where the range of the bids keeps users from their best shares.

    With ``s = C / sum of bids`` the shares x that bids can make are those with ``sum x = C`` and ``low s <= x <= high s`` for
    some s: a convex set. For a given s the shares follow one price; the slope of their worth in s is what users at either end
    of the range lose or gain, and it falls with s. The bound: for the price found the Lagrangian over x and s is concave in s,
    so its tangent bounds it for every s.
    """
    low, high = game.lower, game.upper
    small, large = game.capacity / float(high.sum()), game.capacity / float(low.sum())
    for _ in range(_HALVINGS):
        s = float(np.sqrt(small) * np.sqrt(large))
        slope, _ = _slope(game, *_shares_within(game, s), s)
        small, large = (s, large) if slope > 0.0 else (small, s)
    x, price = _shares_within(game, large)
    bound = min(_ceiling(game, each, large) for each in (price, _level_price(game, large)))
    told = f"shares within the range of the bids, price {price:.6g}; bound from the Lagrangian"
    return np.clip(x / large, low, high), bound, told


def _ceiling(game: KellyGame, price: float, s: float) -> float:
    """A bound on the total worth from a price and a scale `s`, both valid whatever they are."""
    low, high = game.lower, game.upper
    x = np.clip(game.worth / price - game.knee, low * s, high * s)
    slope, size = _slope(game, x, price, s)
    least, most = game.capacity / float(high.sum()), game.capacity / float(low.sum())
    gained, paid = game.worth * np.log1p(x / game.knee), price * x
    bound = price * game.capacity + float((gained - paid).sum()) + max(slope * (most - s), slope * (least - s))
    return bound + _ROUNDING * x.size * (price * game.capacity + float((gained + paid).sum()) + size * most)


def _level_price(game: KellyGame, s: float) -> float:
    """The price at which the Lagrangian is level in `s`: where only one `s` fits the users' ends, shares allow many prices."""
    cheap = float((game.worth / (game.knee + game.upper * s)).min())
    dear = float((game.worth / (game.knee + game.lower * s)).max())
    for _ in range(_HALVINGS):
        price = float(np.sqrt(cheap) * np.sqrt(dear))
        x = np.clip(game.worth / price - game.knee, game.lower * s, game.upper * s)
        cheap, dear = (price, dear) if _slope(game, x, price, s)[0] > 0.0 else (cheap, price)
    return dear


def _shares_within(game: KellyGame, s: float) -> tuple[FloatArray, float]:
    """The best shares between `s` times the smallest and the largest bid, float64 [K], and their price."""
    low, high = game.lower * s, game.upper * s
    cheap, dear = float((game.worth / (game.knee + high)).min()), float((game.worth / (game.knee + low)).max())
    for _ in range(_HALVINGS):
        price = float(np.sqrt(cheap) * np.sqrt(dear))
        more = np.clip(game.worth / price - game.knee, low, high).sum() > game.capacity
        cheap, dear = (price, dear) if more else (cheap, price)
    return np.clip(game.worth / dear - game.knee, low, high), dear


def _slope(game: KellyGame, x: FloatArray, price: float, s: float) -> tuple[float, float]:
    """What a larger `s` adds to the Lagrangian, through shares at an end of their range; and the size of its terms."""
    worth = game.worth / (game.knee + x)  # of one more unit
    lost = np.where(x <= game.lower * s, game.lower, 0.0) * np.minimum(worth - price, 0.0)
    won = np.where(x >= game.upper * s, game.upper, 0.0) * np.maximum(worth - price, 0.0)
    ends = np.where(x >= game.upper * s, game.upper, 0.0) + np.where(x <= game.lower * s, game.lower, 0.0)
    return float((lost + won).sum()), float((ends * (worth + price)).sum())


def _root(shares, capacity: float, high: float) -> float:  # type: ignore[no-untyped-def]
    """Price at which shares that fall with it add up to the capacity, by bisection."""
    low = 0.0
    for _ in range(_ROUNDS):
        middle = 0.5 * (low + high)
        if middle <= 0.0:
            break
        low, high = (middle, high) if shares(middle).sum() > capacity else (low, middle)
    return high

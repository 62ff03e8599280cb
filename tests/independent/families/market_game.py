"""`market_game` from its card: Kelly's shares and Cournot's price, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    total = math.fsum(x)
    if params["mechanism"] == "kelly":
        worth, knee = arrays["worth"].tolist(), arrays["knee"].tolist()
        shares = [params["capacity"] * w / total for w in x]
        return [math.fsum(a * math.log1p(s / b) for a, b, s in zip(worth, knee, shares, strict=True))], [], []
    price = params["intercept"] - params["slope"] * total
    return [math.fsum((price - c) * q for c, q in zip(arrays["cost"].tolist(), x, strict=True))], [], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    n, money, amount = int(rng.integers(2, 9)), 10.0 ** rng.uniform(-12, 12), 10.0 ** rng.uniform(-12, 12)
    if rng.random() < 0.5:
        low, bid = money * 10.0 ** rng.uniform(-2, 2), money * 10.0 ** rng.uniform(-6, 3)
        return "market_game", {
            "n_agents": n,
            "capacity": amount,
            "worth_low": low,
            "worth_high": low * 10.0 ** rng.uniform(0, 6),
            "knee": amount * 10.0 ** rng.uniform(-9, 9),
            "bid_min": bid,
            "bid_max": bid * 10.0 ** rng.uniform(0.1, 9),
        }
    low = float(rng.choice([0.0, money * rng.uniform(0.01, 2.0)]))
    return "market_game/cournot", {
        "n_agents": n,
        "intercept": money,
        "slope": money / amount,
        "cost_low": low,
        "cost_high": low + money * float(rng.choice([0.0, 1e-6, 0.3, 3.0])),
        "quantity_max": amount * 10.0 ** rng.uniform(-4, 9),
    }


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    low, high = instance.space.lower, instance.space.upper
    n = len(high)
    points = [high * 10.0 ** rng.uniform(-9, 0, (200, n)), np.eye(n) * high, np.tile(high, (1, 1))]
    if instance.origin.params["mechanism"] == "cournot":
        a = instance.arrays()
        alone = max(0.0, float(a["intercept"]) - float(a["cost"].min())) / (2.0 * float(a["slope"]))
        cheapest = np.where(a["cost"] == a["cost"].min(), alone, 0.0)
        single = np.eye(n)[rng.integers(n, size=100)]
        points += [cheapest[None], alone * rng.dirichlet(np.ones(n), 100), alone * rng.random((100, 1)) * single]
    return np.maximum(np.concatenate(points), low)


def _more_money(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], k: int) -> dict[str, Any]:
    """Bids and worths (kelly) or quantities at the same prices (cournot)."""
    if params["mechanism"] == "cournot":
        changed = {"slope": params["slope"] * 10.0**-k, "quantity_max": params["quantity_max"] * 10.0**k}
    else:
        changed = {name: params[name] * 10.0**k for name in ("worth_low", "worth_high", "bid_min", "bid_max")}
    return {**params, **changed}


def _more_goods(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], k: int) -> dict[str, Any]:
    """Another unit of the capacity (kelly); nothing of a Cournot market."""
    if params["mechanism"] == "cournot":
        return dict(params)
    return {**params, **{name: params[name] * 10.0**k for name in ("capacity", "knee")}}


SCALINGS = {
    "money": Scaling(params=_more_money, x=lambda X, k: X * 10.0**k, F=lambda F, k: F * 10.0**k),
    "quantity": Scaling(params=_more_goods, x=lambda X, k: X, F=lambda F, k: F),
}

"""`market_game` from its card: Kelly's shares and Cournot's price, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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


def _kelly(params: Mapping[str, Any]) -> bool:
    return bool(params["mechanism"] == "kelly")


def _times(*names: str, inverse: str = "") -> Callable[[Mapping[str, Any], Mapping[str, np.ndarray], int], dict[str, Any]]:
    """Parameters that are multiplied, and one that is divided."""

    def changed(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
        divided = {inverse: params[inverse] * c**-1.0} if inverse else {}
        return {**params, **{name: params[name] * c for name in names}, **divided}

    return changed


SCALINGS = {
    "money": Scaling(
        params=_times("worth_low", "worth_high", "bid_min", "bid_max"),
        x=lambda X, c: X * c,
        F=lambda F, c: F * c,
        applies=_kelly,
    ),
    "capacity": Scaling(params=_times("capacity", "knee"), x=lambda X, c: X, F=lambda F, c: F, applies=_kelly),
    "price": Scaling(
        params=_times("intercept", "slope", "cost_low", "cost_high"),
        x=lambda X, c: X,
        F=lambda F, c: F * c,
        applies=lambda p: not _kelly(p),
    ),
    "quantity": Scaling(
        params=_times("quantity_max", inverse="slope"),
        x=lambda X, c: X * c,
        F=lambda F, c: F * c,
        applies=lambda p: not _kelly(p),
    ),
}

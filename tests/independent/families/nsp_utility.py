"""`nsp_utility` from its card: branches one by one, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

GOALS = ("rate", "availability", "bep", "throughput", "energy")


def qualities(params: Mapping[str, Any], gain: Sequence[float], x: Sequence[float]) -> tuple[float, float, float]:
    """R in Mbit/s, the exponent -log A, and the mean bit error probability."""
    snr = [p * g / params["noise_w"] for p, g in zip(x, gain, strict=True)]
    rate = params["bandwidth_hz"] / 1e6 * math.fsum(math.log1p(s) / math.log(2.0) for s in snr)
    threshold = 10.0 ** (params["snr_threshold_db"] / 10.0)
    exponent = math.inf if min(snr) < threshold / 1e300 else math.fsum(threshold / s for s in snr)
    # 1/2 (1 - sqrt(s / (1 + s))) without the cancellation at large s
    error = math.fsum(0.5 * (1.0 / (1.0 + s)) / (1.0 + math.sqrt(s / (1.0 + s))) for s in snr) / len(snr)
    return rate, exponent, error


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    rate, exponent, error = qualities(params, arrays["gain"].tolist(), x)
    total, available = math.fsum(x), math.exp(-exponent)
    if params["goal"] == "energy":
        value = total + params["p_circuit_w"]
    else:
        quality = {"rate": rate, "availability": available, "bep": 1.0 - error, "throughput": rate * available}
        value = math.fsum([params["payment_base"], params["payment"] * quality[params["goal"]], -params["price_per_w"] * total])
    G = [total / params["p_total_w"] - 1.0]
    if params["outage_max"] is not None:
        G.append(-math.expm1(-exponent) / params["outage_max"] - 1.0)
    if params["bep_max"] is not None:
        G.append(error / params["bep_max"] - 1.0)
    if params["rate_min_mbps"] is not None:
        G.append(1.0 - rate / params["rate_min_mbps"])
    return [value], G, []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    goal, power = str(rng.choice(GOALS)), 10.0 ** rng.uniform(-9, 9)
    bandwidth = 10.0 ** rng.uniform(2, 9)
    low = float(rng.choice([0.0, 0.1]))
    snr = 10.0 ** rng.uniform(-3, 5)
    rate = bandwidth / 1e6 * math.log2(1.0 + snr)
    values: dict[str, Any] = {
        "goal": goal,
        "gain_groups": [[int(rng.integers(1, 6)), low, 2.0], [int(rng.integers(1, 4)), 0.5, 10.0 ** rng.uniform(0, 3)]],
        "bandwidth_hz": bandwidth,
        "noise_w": power / snr,
        "p_total_w": power,
        "p_circuit_w": float(rng.choice([0.0, power * 10.0 ** rng.uniform(-6, 2)])),
        "snr_threshold_db": rng.uniform(-30, 10),
        "payment": 10.0 ** rng.uniform(-6, 6),
        "payment_base": float(rng.choice([0.0, -(10.0 ** rng.uniform(-3, 6)), 10.0 ** rng.uniform(-3, 6)])),
        "price_per_w": 0.0,
    }
    if rng.random() < 0.7:
        quality = rate if goal in ("rate", "throughput") else 1.0
        values["price_per_w"] = values["payment"] * quality / power * 10.0 ** rng.uniform(-4, 1)
    if rng.random() < 0.3:
        values["outage_max"] = 10.0 ** rng.uniform(-4, -0.01)
    if rng.random() < 0.3:
        values["bep_max"] = 0.49 * 10.0 ** rng.uniform(-5, 0)
    if rng.random() < 0.3 or goal == "energy":
        values["rate_min_mbps"] = rate * 10.0 ** rng.uniform(-3, 0.7)
    return "nsp_utility", values


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    gain, total = instance.arrays()["gain"], float(instance.origin.params["p_total_w"])
    n = len(gain)
    cap = total * (1.0 + 0.99e-8)  # what verification lets pass
    shapes = [np.ones(n), gain**-0.5, 1.0 / gain, *rng.dirichlet(np.ones(n), 60), *rng.dirichlet(np.full(n, 0.2), 30)]
    shares = np.array([s / s.sum() for s in shapes])
    points = [cap * shares * factor for factor in (1.0, 0.5, 0.1, 1e-3, 10.0 ** rng.uniform(-9, 0))]
    level = 1.0 / gain  # water-filling at a few levels
    for height in np.quantile(level, (0.1, 0.5, 0.9)) + rng.exponential(1.0, 3):
        water = np.maximum(height - level, 0.0)
        points.append(cap * (water / water.sum())[None])
    if reference.X is not None:
        steps = 1.0 + np.array([-1.0, 1.0])[:, None, None] * 10.0 ** -np.arange(3.0, 10.0)[:, None]
        points.append((reference.X * steps).reshape(-1, n))
    return np.concatenate(points)


def _more_power(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    changed = {name: params[name] * c for name in ("noise_w", "p_total_w", "p_circuit_w")}
    return {**params, **changed, "price_per_w": params["price_per_w"] * c**-1.0}


def _more_money(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    return {**params, **{name: params[name] * c for name in ("payment", "payment_base", "price_per_w")}}


def _earns(params: Mapping[str, Any]) -> bool:
    return bool(params["goal"] != "energy")


SCALINGS = {
    "power": Scaling(params=_more_power, x=lambda X, c: X * c, F=lambda F, c: F, applies=_earns),
    "power_to_be_least": Scaling(
        params=_more_power, x=lambda X, c: X * c, F=lambda F, c: F * c, applies=lambda p: not _earns(p)
    ),
    "payment": Scaling(params=_more_money, x=lambda X, c: X, F=lambda F, c: F * c, applies=_earns),
}

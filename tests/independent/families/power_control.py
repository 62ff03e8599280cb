"""`power_control` from its card: SINR and rates link by link, in plain loops."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

GOALS = ("sum_rate", "weighted_sum_rate", "min_power", "max_min", "energy_efficiency")


def link_rates(arrays: Mapping[str, np.ndarray], x: Sequence[float]) -> list[float]:
    """R_i = log2(1 + G_ii p_i / (noise_i + sum of the others' G_ij p_j)), bit/s/Hz."""
    gain, noise = arrays["gain"].tolist(), arrays["noise_w"].tolist()
    rates = []
    for i, own in enumerate(x):
        heard = math.fsum([noise[i], *(gain[i][j] * p for j, p in enumerate(x) if j != i)])
        rates.append(math.log1p(gain[i][i] * own / heard) / math.log(2.0))
    return rates


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    rates, weight = link_rates(arrays, x), arrays["weight"].tolist()
    goal, power = params["goal"], math.fsum(x)
    if goal == "min_power":
        value = power
    elif goal == "max_min":
        value = min(rates)
    elif goal == "weighted_sum_rate":
        value = math.fsum(w * r for w, r in zip(weight, rates, strict=True))
    else:
        value = math.fsum(rates)
        if goal == "energy_efficiency":
            value /= params["circuit_power_w"] + params["power_slope"] * power
    floors = [0.0] * len(rates) if goal == "max_min" else arrays["min_rate_bit_s_hz"].tolist()
    return [value], [1.0 - r / f for r, f in zip(rates, floors, strict=True) if f > 0.0], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    goal = str(rng.choice(GOALS))
    values: dict[str, Any] = {
        "goal": goal,
        "n_links": int(rng.integers(1, 7)),
        "p_max_w": 10.0 ** rng.uniform(-9, 9),
        "cross_gain": 0.0 if rng.random() < 0.1 else 10.0 ** rng.uniform(-6, 3),
        "circuit_power_w": 10.0 ** rng.uniform(-9, 9),
        "power_slope": 10.0 ** rng.uniform(0, 3),
        "weight_low": 0.0 if rng.random() < 0.2 else 1e-3,
        "weight_high": 10.0 ** rng.uniform(-2, 6),
    }
    values["noise_w"] = values["p_max_w"] * 10.0 ** rng.uniform(-12, 20)
    if goal == "min_power" or (goal != "max_min" and rng.random() < 0.6):
        share = float(rng.choice([1.0, 1.0 - 1e-9, 1.0 - 1e-7, 0.9, 0.5, rng.uniform(1e-3, 1.0)]))
        values["min_rate_share"], values["min_rate_bit_s_hz"] = share, 0.0
        if rng.random() < 0.3:
            values["min_rate_share"], values["min_rate_bit_s_hz"] = 0.0, 10.0 ** rng.uniform(-6, 1)
    return "power_control", values


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    arrays = instance.arrays()
    gain, noise, cap, asked = (arrays[name] for name in ("gain", "noise_w", "p_max_w", "min_rate_bit_s_hz"))
    n = len(cap)
    corners = (np.arange(2 ** min(n, 8))[:, None] >> np.arange(n) & 1) * cap
    points = [corners, cap * 10.0 ** rng.uniform(-6, 0, (50, n)), cap * 10.0 ** rng.uniform(-6, 0, (50, 1))]
    own = np.diag(gain)
    for lower in (0.0, 0.99e-8):  # the least powers, also with every floor lowered by what verification lets pass
        floor = np.expm1((1.0 - lower) * asked * math.log(2.0))
        matrix = (floor / own)[:, None] * (gain - np.diag(own))
        p = cap.copy()
        for _ in range(2000):
            p = np.minimum(cap, matrix @ p + floor * noise / own)
        points.append(p[None])
        with contextlib.suppress(np.linalg.LinAlgError):
            points.append(np.linalg.solve(np.eye(n) - matrix, floor * noise / own)[None])
    every = np.concatenate(points)
    return every[np.isfinite(every).all(axis=1)]


def _more_power(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    changed = {name: params[name] * c for name in ("p_max_w", "circuit_power_w")}
    if params["channel"] == "gaussian":
        return {**params, **changed, "noise_w": params["noise_w"] * c}
    return {**params, **changed, "noise_dbm_hz": params["noise_dbm_hz"] + 10.0 * math.log10(c)}


def _power(goals: Sequence[str], exponent: int) -> Scaling:
    """More power everywhere; the objective of some goals then changes with a power of the factor."""
    return Scaling(
        params=_more_power,
        x=lambda X, c: X * c,
        F=lambda F, c: F * c**exponent,
        applies=lambda params: params["goal"] in goals,
    )


SCALINGS = {
    "power": _power(("sum_rate", "weighted_sum_rate", "max_min"), 0),
    "power_to_be_least": _power(("min_power",), 1),
    "power_to_divide_by": _power(("energy_efficiency",), -1),
}

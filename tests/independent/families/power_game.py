"""`power_game` from its card: agents at one receiver, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling


def agent_rates(arrays: Mapping[str, np.ndarray], x: Sequence[float]) -> list[float]:
    """R_k = B log2(1 + p_k g_k / (noise + sum of the others' p_j g_j)), bit/s."""
    gain, noise, bandwidth = arrays["link_gain"].tolist(), float(arrays["noise_w"]), float(arrays["bandwidth_hz"])
    rates = []
    for k, own in enumerate(x):
        heard = math.fsum([noise, *(p * gain[j] for j, p in enumerate(x) if j != k)])
        rates.append(bandwidth * math.log1p(own * gain[k] / heard) / math.log(2.0))
    return rates


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    asked, total = arrays["rate_threshold_bit_s"].tolist(), math.fsum(x)
    G = [1.0 - rate / least for rate, least in zip(agent_rates(arrays, x), asked, strict=True) if least > 0.0]
    before, saving = math.fsum(arrays["initial_power_w"].tolist()), float(arrays["power_saving_w"])
    if saving > 0.0:
        G.append((total - (before - saving)) / before)
    return [total], G, []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    n = int(rng.integers(1, 7))
    asked = 10.0 ** rng.uniform(2, 5, n) * (rng.random(n) < 0.9)
    edge = _least_bandwidth(asked)
    near = float(
        rng.choice([1.0 + 10.0 ** rng.uniform(-9, -1), 1.0 - 10.0 ** rng.uniform(-12, -3), 10.0 ** rng.uniform(0.01, 2)])
    )
    start = 10.0 ** rng.uniform(-3, 3, n)
    saving = 0.0 if rng.random() < 0.6 else float(start.sum() * rng.uniform(0.01, 0.9))
    unit = 10.0 ** rng.uniform(-9, 9)
    return "power_game", {
        "link_gain": (10.0 ** rng.uniform(-9, 2, n)).tolist(),
        "initial_power_w": (start * unit).tolist(),
        "rate_threshold_bit_s": asked.tolist(),
        "bandwidth_hz": max(edge * near, float(asked.max()) / 100.0, 1.0),
        "noise_w": unit * 10.0 ** rng.uniform(-12, 2),
        "power_saving_w": saving * unit,
        "p_max_w": unit * 10.0 ** rng.uniform(-1, 12),
        "gain_spread_db": float(rng.choice([0.0, 3.0])),
    }


def _least_bandwidth(asked: np.ndarray) -> float:
    """Bandwidth at which the sum of 1 - 2^(-r / B) is 1, by bisection."""
    low, high = 1e-3 * float(asked.sum()) + 1e-9, 10.0 * float(asked.sum()) + 1.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if (-np.expm1(-asked / middle * math.log(2.0))).sum() >= 1.0 else (low, middle)
    return high


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    a = instance.arrays()
    gain, asked, cap = a["link_gain"], a["rate_threshold_bit_s"], a["p_max_w"]
    points = [cap[None], np.minimum(a["initial_power_w"], cap)[None], cap * 10.0 ** rng.uniform(-9, 0, (50, len(cap)))]
    for lower in (0.0, 0.5e-8, 0.9e-8, 0.99e-8):  # the closed form, also with thresholds as low as verification lets them be
        load = -np.expm1(-(1.0 - lower) * asked / float(a["bandwidth_hz"]) * math.log(2.0))
        if load.sum() < 1.0:
            points.append((float(a["noise_w"]) * load / (gain * (1.0 - load.sum())))[None])
    return np.concatenate(points)


def _more_power(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    start = [p * c for p in params["initial_power_w"]]
    return {**params, "initial_power_w": start, **{n: params[n] * c for n in ("noise_w", "power_saving_w", "p_max_w")}}


def _more_rate(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    asked = [r * c for r in params["rate_threshold_bit_s"]]
    return {**params, "rate_threshold_bit_s": asked, "bandwidth_hz": params["bandwidth_hz"] * c}


SCALINGS = {
    "power": Scaling(params=_more_power, x=lambda X, c: X * c, F=lambda F, c: F * c),
    "rate": Scaling(params=_more_rate, x=lambda X, c: X, F=lambda F, c: F),
}

"""Parallel channels again, from `problems/parallel_channels/README.md` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Sum of w log2(1 + g p / noise); the powers over the budget, less 1."""
    channels = zip(arrays["weight"].tolist(), arrays["gain"].tolist(), arrays["noise_w"].tolist(), x, strict=True)
    F = math.fsum(w * math.log1p(p * (g / n)) / math.log(2.0) for w, g, n, p in channels)
    return [F], [math.fsum(x) / float(arrays["p_total_w"]) - 1.0], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Budgets of 1e-30 to 1e30 W at noise of 1e-20 to 1e20 W, one to three groups of gains over twelve decades."""
    groups = int(rng.integers(1, 4))
    gains = 10.0 ** rng.uniform(-12.0, 12.0, groups)
    equal = bool(rng.random() < 0.5)
    return "parallel_channels", {
        "n_channels": [int(n) for n in rng.integers(1, 8, groups)],
        "gain_low": [0.5 * float(g) for g in gains],
        "gain_high": [float(g) for g in gains],
        "p_total_w": 10.0 ** rng.uniform(-30.0, 30.0),
        "noise_w": 10.0 ** rng.uniform(-20.0, 20.0),
        "weight_low": 1.0 if equal else 1e-3,
        "weight_high": 1.0 if equal else 10.0 ** rng.uniform(-3.0, 3.0),
    }


def _power_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    return {**params, "p_total_w": params["p_total_w"] * c, "noise_w": params["noise_w"] * c}


def _rate_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    return {**params, "weight_low": params["weight_low"] * c, "weight_high": params["weight_high"] * c}


SCALINGS = {
    "power": Scaling(_power_params, lambda X, c: X * c, lambda F, c: F),
    "rate": Scaling(_rate_params, lambda X, c: X, lambda F, c: F * c),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Water at many levels by bisection on the level alone, scaled to slightly more than the budget."""
    arrays = instance.arrays()
    ground = arrays["noise_w"] / arrays["gain"]
    weight, total = arrays["weight"], float(arrays["p_total_w"]) * (1.0 + 0.99e-8)
    rows = []
    for level in np.geomspace(ground.min() / weight.max(), (ground.max() + total) / weight.min(), 200):
        power = np.maximum(weight * level - ground, 0.0)
        if power.sum() > 0.0:
            rows.append(total * power / power.sum())
    rows += [total * share for share in rng.dirichlet(np.full(weight.size, 0.3), 200)]
    if reference.X is not None:
        rows.append(reference.X[0] * (1.0 + 0.99e-8))
    return np.array(rows)

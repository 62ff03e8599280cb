"""OFDMA resource allocation again, from `problems/resource_allocation/README.md` alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

GOALS = ("sum_rate", "weighted_sum_rate", "min_rates", "equal_power")


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """r_m = W log2(1 + p_m g_{k(m) m} / N), summed over users with their weights."""
    gain = arrays["gain"].tolist()
    noise, total = float(arrays["noise_w"]), float(arrays["power_total_w"])
    n_users, n_tones, goal = len(gain), len(gain[0]), params["goal"]
    cap = min(float(arrays["tone_power_max_w"]), total)
    rate, count, used = [0.0] * n_users, [0] * n_users, []
    for m in range(n_tones):
        if goal == "equal_power":
            power = total / n_tones
        elif params["power_levels"]:
            power = x[n_tones + m] * (cap / params["power_levels"])
        else:
            power = x[n_tones + m]
        k = int(x[m])
        rate[k] += float(arrays["tone_hz"]) / 1e6 * math.log1p(power * (gain[k][m] / noise)) / math.log(2.0)
        count[k] += 1
        used.append(power)
    weights = arrays["weight"].tolist() if goal == "weighted_sum_rate" else [1.0] * n_users
    F = math.fsum(w * r for w, r in zip(weights, rate, strict=True))
    if goal == "equal_power":
        return [F], [(count[k] - float(arrays["quota"][k])) / n_tones for k in range(n_users)], []
    G = [math.fsum(used) / total - 1.0]
    if goal == "min_rates":
        asked = [float(r) / 1e6 for r in arrays["rate_min_bps"]]
        G += [1.0 - rate[k] / asked[k] for k in range(n_users) if asked[k] > 0.0]
    return [F], G, []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Budgets of 1e-15 to 1e6 W, cells of 10 m to 100 km, all goals, tight and loose caps, rates and quotas."""
    goal = GOALS[int(rng.integers(4))]
    n_users, n_tones = int(rng.integers(1, 5)), int(rng.integers(1, 7))
    power = 10.0 ** rng.uniform(-15.0, 6.0)
    band = 10.0 ** rng.uniform(0.0, 9.0)
    return "resource_allocation", {
        "goal": goal,
        "n_users": n_users,
        "n_tones": n_tones,
        "tone_hz": band,
        "power_total_w": power,
        "tone_power_max_w": power * 10.0 ** rng.uniform(-1.5, 0.3),
        "power_levels": int(rng.integers(1, 5)) if goal == "min_rates" else 0,
        "weight_min": 0.1,
        "weight_max": 10.0 ** rng.uniform(-1.0, 2.0),
        "rate_min_bps": band * 10.0 ** rng.uniform(-8.0, 1.0),
        "quota": int(rng.integers(0, n_tones + 1)),
        "cell_radius_m": 10.0 ** rng.uniform(1.0, 5.0),
        "distance_min_m": 1.0,
        "shadowing_db": rng.uniform(0.0, 15.0),
    }


def _rate_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    """The same noise in c times the band."""
    return {
        **params,
        "tone_hz": params["tone_hz"] * c,
        "rate_min_bps": params["rate_min_bps"] * c,
        "noise_dbm_per_hz": params["noise_dbm_per_hz"] - 10.0 * math.log10(c),
    }


def _power_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    return {
        **params,
        "power_total_w": params["power_total_w"] * c,
        "tone_power_max_w": params["tone_power_max_w"] * c,
        "noise_dbm_per_hz": params["noise_dbm_per_hz"] + 10.0 * math.log10(c),
    }


def _in_watt(X: np.ndarray, c: float) -> np.ndarray:
    """Owners stay; the second half of a point with fractions is powers, and of one without is levels or no powers at all."""
    if not (np.rint(X) != X).any():
        return X
    half = X.shape[1] // 2
    return np.hstack([X[:, :half], X[:, half:] * c])


SCALINGS = {
    "rate": Scaling(_rate_params, lambda X, c: X, lambda F, c: F * c),
    "power": Scaling(_power_params, _in_watt, lambda F, c: F),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Every choice of owners with random splits of slightly more than the budget; every choice of levels."""
    params, arrays = instance.origin.params, instance.arrays()
    n_users, n_tones = arrays["gain"].shape
    owners = list(itertools.product(range(n_users), repeat=n_tones))
    if len(owners) > 4096:
        owners = [tuple(rng.integers(0, n_users, n_tones)) for _ in range(4096)]
    if params["goal"] == "equal_power":
        return np.array(owners, dtype=np.float64)
    if params["power_levels"]:
        levels = rng.integers(0, params["power_levels"] + 1, (len(owners), n_tones))
        return np.hstack([np.array(owners, dtype=np.float64), levels.astype(np.float64)])
    total = float(arrays["power_total_w"]) * (1.0 + 0.99e-8)
    rows = []
    for owner in owners:
        share = rng.exponential(1.0, n_tones) ** rng.uniform(0.1, 6.0)
        rows.append([*owner, *(total * share / share.sum())])
    if reference.X is not None:
        best = reference.X[0].copy()
        best[n_tones:] *= 1.0 + 0.99e-8
        rows.append(best.tolist())
    return np.array(rows, dtype=np.float64)

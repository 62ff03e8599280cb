"""uav_isac from its card: the loudest UAV serves, the others interfere; information about a user adds over the UAVs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """F, G, H of one point: (x, y, power) UAV by UAV."""
    users = arrays["users_m"].tolist()
    M, height = params["n_uavs"], params["altitude_m"]
    place, power = [(x[3 * m], x[3 * m + 1]) for m in range(M)], [x[3 * m + 2] for m in range(M)]
    noise_w = 10.0 ** ((params["noise_dbm_hz"] - 30.0) / 10.0) * params["bandwidth_hz"]
    alpha, beta = 10.0 ** (params["alpha0_db"] / 10.0), 10.0 ** (params["beta0_db"] / 10.0)
    kappa = params["processing_gain"] * beta / (params["ranging_factor"] * noise_w)
    prior = 12.0 / params["area_m"] ** 2
    serving, sinr, error = [], [], []
    for gx, gy in users:
        heard, offsets = [], []
        for m in range(M):
            dx, dy = place[m][0] - gx, place[m][1] - gy
            gain = alpha / (dx * dx + dy * dy + height * height) * _fade(params, math.hypot(dx, dy))
            heard.append(power[m] * gain)
            offsets.append((dx, dy))
        best = max(range(M), key=lambda m: (heard[m], -m))
        serving.append(best)
        sinr.append(heard[best] / (math.fsum(heard[m] for m in range(M) if m != best) + noise_w))
        error.append(_error(offsets, power, height, kappa, prior))
    utility = math.fsum(
        math.log(params["bandwidth_hz"] / serving.count(m) * (math.log1p(s) / math.log(2.0)) / params["rate_ref_bps"])
        for m, s in zip(serving, sinr, strict=True)
    )
    G = []
    for i in range(M):
        for j in range(i + 1, M):
            gap = math.hypot(place[i][0] - place[j][0], place[i][1] - place[j][1])
            G.append((params["d_min_m"] - gap) / params["d_min_m"])
    G.append((math.fsum(power) - params["p_total_w"]) / params["p_total_w"])
    return [utility, math.fsum(error) / len(error)], G, []


def _error(offsets: Sequence[tuple[float, float]], power: Sequence[float], height: float, kappa: float, prior: float) -> float:
    """sqrt(tr J^-1) with J = prior I + sum of w d d^T, in a hundred digits: the determinant cancels."""
    with localcontext(prec=100):
        xx, xy, yy = Decimal(prior), Decimal(0), Decimal(prior)
        for (dx, dy), p in zip(offsets, power, strict=True):
            d2 = dx * dx + dy * dy + height * height
            w, x, y = Decimal(kappa * p / d2**3 + 8.0 / d2**2), Decimal(dx), Decimal(dy)
            xx, xy, yy = xx + w * x * x, xy + w * x * y, yy + w * y * y
        return math.sqrt((xx + yy) / (xx * yy - xy * xy))


def _fade(params: Mapping[str, Any], ground: float) -> float:
    if params["channel"] == "los":
        return 1.0
    elevation = math.degrees(math.atan2(params["altitude_m"], ground))
    p_los = 1.0 / (1.0 + params["los_a_deg"] * math.exp(-params["los_b_per_deg"] * (elevation - params["los_a_deg"])))
    return float(10.0 ** (-(p_los * params["eta_los_db"] + (1.0 - p_los) * params["eta_nlos_db"]) / 10.0))


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """One to five UAVs over meters to 100 km, in the city or not, powers and noise over many decades."""
    M = int(rng.choice([1, 1, 2, 3, 5]))
    area = 10.0 ** rng.uniform(1, 5)
    most = 10.0 ** rng.uniform(-9, 4)
    least = most * 10.0 ** -rng.uniform(0, 6)
    city: dict[str, Any] = {"channel": "los"}
    if rng.random() < 0.3:
        city = {
            "channel": "al_hourani",
            "los_a_deg": float(rng.uniform(1, 30)),
            "los_b_per_deg": float(rng.uniform(0.05, 0.6)),
            "eta_los_db": float(rng.uniform(0, 5)),
            "eta_nlos_db": float(rng.uniform(5, 40)),
        }
    return ("uav_isac/single" if M == 1 else "uav_isac"), {
        **city,
        "n_uavs": M,
        "n_users": int(rng.integers(1, 13)),
        "area_m": area,
        "altitude_m": area * 10.0 ** rng.uniform(-3, 1),
        "alpha0_db": float(rng.uniform(-90, 0)),
        "beta0_db": float(rng.uniform(-90, 0)),
        "bandwidth_hz": 10.0 ** rng.uniform(2, 9),
        "noise_dbm_hz": float(rng.uniform(-190, -100)),
        "processing_gain": 10.0 ** rng.uniform(0, 7),
        "rate_ref_bps": 10.0 ** rng.uniform(0, 8),
        "d_min_m": max(1e-3, area * 10.0 ** rng.uniform(-6, -0.8)),
        "p_min_w": least,
        "p_max_w": most,
        "p_total_w": M * least + rng.random() * M * (most - least),
        "hypervolume_reference": [-1e6, 1e6],
        "hypervolume_ideal": [1e6, 0.0],
    }


SCALINGS = {
    "power": Scaling(
        params=lambda params, _, c: {
            **params,
            "p_min_w": params["p_min_w"] * c,
            "p_max_w": params["p_max_w"] * c,
            "p_total_w": params["p_total_w"] * c,
            "noise_dbm_hz": params["noise_dbm_hz"] + 10.0 * math.log10(c),
        },
        x=lambda X, c: X * np.tile([1.0, 1.0, c], X.shape[1] // 3),
        F=lambda F, c: F,
    )
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """UAVs over users, on rings around them, at their centroid; all power to one UAV; total power used with its tolerance."""
    params, users = instance.origin.params, instance.arrays()["users_m"]
    M, height = params["n_uavs"], params["altitude_m"]
    points = []
    for _ in range(60):
        place = users[rng.integers(0, len(users), M)] + rng.standard_normal((M, 2)) * height * rng.choice([0.0, 0.1, 1.0])
        angle = rng.uniform(0, 2 * np.pi)
        turns = angle + 2 * np.pi * np.arange(M) / M
        ring = users.mean(axis=0) + height * rng.choice([0.5, 0.71, 1.0]) * np.column_stack([np.cos(turns), np.sin(turns)])
        powers = np.full(M, min(params["p_max_w"], params["p_total_w"] / M))
        if rng.random() < 0.5:
            powers[:] = params["p_min_w"]
            powers[0] = min(params["p_max_w"], params["p_total_w"] - (M - 1) * params["p_min_w"])
        powers *= 1.0 + 0.99e-8
        points += [np.column_stack([place, powers]).ravel(), np.column_stack([ring, powers]).ravel()]
    return np.array(points)

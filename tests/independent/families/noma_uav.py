"""noma_uav from its card: n_k = sigma^2 (H^2 + |q_k - L|^2) / rho_0, R_k = log2((S_k + n_k) / (S_{k-1} + n_k))."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

SLACK = 0.99e-8


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """F, G, H of one point: position of the UAV, then the users' powers."""
    users, asked = arrays["users_m"].tolist(), arrays["min_rate_bps_hz"].tolist()
    K, P = len(users), params["p_total_w"]
    noise = []
    for px, py in users:
        ground = (px - x[0]) * (px - x[0]) + (py - x[1]) * (py - x[1])
        # In the card's own order of operations: over the middle of two users rounding decides who is decoded first
        noise.append(params["noise_w"] / params["gain_at_1m"] * (params["altitude_m"] ** 2 + ground))
    ranked = sorted(range(K), key=lambda k: noise[k])  # strongest first; equal ones in their own order
    rate, heard = [0.0] * K, 0.0
    for k in ranked:
        rate[k] = math.log1p(x[2 + k] / (heard + noise[k])) / math.log(2.0)
        heard += x[2 + k]
    G = [math.fsum(x[2:]) / P - 1.0]
    G += [1.0 - rate[k] / asked[k] for k in range(K) if asked[k] > 0.0]
    if params["power_order"]:
        G += [(x[2 + ranked[i]] - x[2 + ranked[i + 1]]) / P for i in range(K - 1)]
    return [math.fsum(rate)], G, []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Up to five users, areas from meters to 100 km, -110 to 110 dB over the noise below the UAV, in any unit of power."""
    power, altitude = 10.0 ** rng.uniform(-12, 12), 10.0 ** rng.uniform(0, 3)
    gain = 10.0 ** rng.uniform(-9, 3)
    users = int(rng.integers(1, 6))
    area = 10.0 ** rng.uniform(0, 5)
    snr = 10.0 ** rng.uniform(-11, 11)
    layout = str(rng.choice(["uniform", "quadrants"])) if users <= 4 and area >= 10.0 else "uniform"
    at_most = math.log2(1.0 + snr) / users
    return "noma_uav", {
        "n_users": users,
        "area_m": area,
        "altitude_m": altitude,
        "p_total_w": power,
        "gain_at_1m": gain,
        "noise_w": power * gain / (altitude**2 * snr),
        "min_rate_bps_hz": float(rng.choice([0.0, at_most * rng.uniform(0.0, 1.0), at_most * 10.0 ** rng.uniform(-3, 0)])),
        "power_order": bool(rng.random() < 0.5),
        "layout": layout,
    }


SCALINGS = {
    "power": Scaling(
        params=lambda params, _, c: {
            **params,
            "p_total_w": params["p_total_w"] * c,
            "noise_w": params["noise_w"] * c,
        },
        x=lambda X, c: np.concatenate([X[:, :2], X[:, 2:] * c], axis=1),
        F=lambda F, c: F,
    ),
    "gain": Scaling(
        params=lambda params, _, c: {
            **params,
            "gain_at_1m": params["gain_at_1m"] * c,
            "noise_w": params["noise_w"] * c,
        },
        x=lambda X, c: X,
        F=lambda F, c: F,
        ks=(-12, -3, 3, 12),
    ),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Hovering over every user and over many positions; equal powers, all to one user, and weak users at minimum rates."""
    params, arrays = instance.origin.params, instance.arrays()
    users, asked, P = arrays["users_m"], arrays["min_rate_bps_hz"], params["p_total_w"]
    K, area = len(users), params["area_m"]
    places = [*users, users.mean(axis=0), *(rng.random((40, 2)) * area), *(rng.dirichlet(np.ones(K), 40) @ users)]
    if reference.X is not None:
        places += [reference.X[0, :2], *np.clip(reference.X[0, :2] + area * 1e-4 * rng.standard_normal((20, 2)), 0.0, area)]
    points = []
    for place in places:
        noise = params["noise_w"] / params["gain_at_1m"] * (params["altitude_m"] ** 2 + ((users - place) ** 2).sum(axis=1))
        ranked = np.argsort(noise, kind="stable")
        points.append([*place, *np.full(K, P / K * (1.0 + SLACK))])
        alone = np.zeros(K)
        alone[ranked[0]] = P
        points.append([*place, *alone])
        powers, left = np.zeros(K), P * (1.0 + SLACK)
        for k in ranked[::-1]:  # from the weakest on: just what the minimum rate, missed by the tolerance, needs
            share = -math.expm1(-asked[k] * (1.0 - SLACK) * math.log(2.0))
            powers[k] = min(left, share * (left + noise[k])) if k != ranked[0] else left
            left -= powers[k]
        points.append([*place, *np.maximum(powers, 0.0)])
    return np.array(points)

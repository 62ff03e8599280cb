"""cell_free from its card: SINR_k = rho (sum_m sqrt(gamma_mk) a_mk)^2 / (rho sum_m beta_mk sum_j a_mj^2 + 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """F, G, H of one point: amplitudes access point by access point."""
    beta = arrays["beta"].tolist()
    M, K = len(beta), len(beta[0])
    noise_w = 10.0 ** ((params["noise_dbm_hz"] - 30.0) / 10.0) * params["bandwidth_hz"]
    rho, pilot = params["p_access_point_w"] / noise_w, params["pilot_symbols"] * params["p_pilot_w"] / noise_w
    a = [[x[m * K + k] for k in range(K)] for m in range(M)]
    load = [math.fsum(v * v for v in row) for row in a]
    sinr = []
    for k in range(K):
        heard = 0.0
        for m in range(M):
            gamma = pilot * beta[m][k] * beta[m][k] / (pilot * beta[m][k] + 1.0)
            heard += math.sqrt(rho * gamma) * a[m][k]
        sinr.append(heard**2 / (math.fsum(rho * beta[m][k] * load[m] for m in range(M)) + 1.0))
    return [math.log1p(min(sinr)) / math.log(2.0)], [v - 1.0 for v in load], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Up to eight access points and five users; areas, powers and noise over many decades."""
    users = int(rng.integers(1, 6))
    area = 10.0 ** rng.uniform(0, 5)
    return "cell_free", {
        "n_access_points": int(rng.integers(1, 9)),
        "n_users": users,
        "area_m": area,
        "distance_min_m": max(1e-3, area * 10.0 ** rng.uniform(-5, -1)),
        "loss_1km_db": float(rng.uniform(60, 180)),
        "loss_slope_db": float(rng.uniform(10, 50)),
        "shadowing_db": float(rng.choice([0.0, rng.uniform(0, 20)])),
        "p_access_point_w": 10.0 ** rng.uniform(-9, 6),
        "p_pilot_w": 10.0 ** rng.uniform(-9, 6),
        "pilot_symbols": users + int(rng.integers(0, 20)),
        "bandwidth_hz": 10.0 ** rng.uniform(0, 9),
        "noise_dbm_hz": float(rng.uniform(-190, -120)),
    }


SCALINGS = {
    "power": Scaling(
        params=lambda params, _, c: {
            **params,
            "p_access_point_w": params["p_access_point_w"] * c,
            "p_pilot_w": params["p_pilot_w"] * c,
            "noise_dbm_hz": params["noise_dbm_hz"] + 10.0 * math.log10(c),
        },
        x=lambda X, c: X,
        F=lambda F, c: F,
    ),
    "bandwidth": Scaling(
        params=lambda params, _, c: {
            **params,
            "bandwidth_hz": params["bandwidth_hz"] * c,
            "noise_dbm_hz": params["noise_dbm_hz"] - 10.0 * math.log10(c),
        },
        x=lambda X, c: X,
        F=lambda F, c: F,
        ks=(-9, -3, 3, 9),
    ),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """The reference's point and the trivial ones, access points at 1 + 0.99e-8 of their power; single users."""
    M, K = instance.arrays()["beta"].shape
    starts = [np.eye(K)[rng.integers(0, K, M)], np.full((M, K), K**-0.5), rng.random((M, K))]
    starts += [p.reshape(M, K) for p in map(np.atleast_2d, instance.null_policies().values())]
    if reference.X is not None:
        starts.append(reference.X.reshape(M, K))
    points = []
    for a in starts:
        load = np.sqrt((a * a).sum(axis=1, keepdims=True))
        points.append(a / np.where(load > 0.0, load, 1.0) * np.sqrt(1.0 + 0.99e-8))
        points.append(a * np.sqrt(1.0 + 0.99e-8))
    return np.array(points).reshape(len(points), -1)

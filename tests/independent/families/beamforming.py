"""beamforming from its card: SINR_k = |h_k^H w_k|^2 / (sum of |h_k^H w_j|^2 over j != k, plus sigma^2)."""

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
    """F, G, H of one point: precoder entries user by user, antenna by antenna, real part before imaginary part."""
    h_re, h_im = arrays["h_re"].tolist(), arrays["h_im"].tolist()
    target, weight = arrays["sinr_target"].tolist(), arrays["weight"].tolist()
    K, M = len(h_re), len(h_re[0])
    w = [[complex(x[2 * (k * M + m)], x[2 * (k * M + m) + 1]) for m in range(M)] for k in range(K)]
    sinr = []
    for k in range(K):
        channel = [complex(h_re[k][m], h_im[k][m]) for m in range(M)]
        heard = [abs(sum(channel[m].conjugate() * w[j][m] for m in range(M))) ** 2 for j in range(K)]
        sinr.append(heard[k] / (math.fsum(heard[j] for j in range(K) if j != k) + params["noise_w"]))
    power = math.fsum(v * v for v in x)
    G = [power / params["p_total_w"] - 1.0]
    if params["goal"] == "min_power":
        return [power], G + [1.0 - s / t for s, t in zip(sinr, target, strict=True)], []
    if params["goal"] == "max_min":
        return [min(s / t for s, t in zip(sinr, target, strict=True))], G, []
    return [math.fsum(a * math.log1p(s) / math.log(2.0) for a, s in zip(weight, sinr, strict=True))], G, []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Up to six users and antennas, -60 to 110 dB of power over noise in any unit, spreads of up to 60 dB."""
    goal = str(rng.choice(["min_power", "max_min", "weighted_sum_rate"]))
    power = 10.0 ** rng.uniform(-12, 12)
    low = 10.0 ** rng.uniform(-3, 3)
    return "beamforming", {
        "goal": goal,
        "n_antennas": int(rng.integers(1, 7)),
        "n_users": int(rng.integers(1, 7)),
        "p_total_w": power,
        "noise_w": power * 10.0 ** -rng.uniform(-6, 11),
        "sinr_target_db": float(rng.uniform(-40, 30)),
        "gain_spread_db": float(rng.choice([0.0, rng.uniform(0, 60)])),
        "weight_low": low,
        "weight_high": low * 10.0 ** rng.uniform(0, 3),
    }


def _louder(params: Mapping[str, Any], _: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    return {**params, "p_total_w": params["p_total_w"] * c, "noise_w": params["noise_w"] * c}


SCALINGS = {
    "power": Scaling(
        params=_louder,
        x=lambda X, c: X * c**0.5,
        F=lambda F, c: F * c,
        applies=lambda p: p["goal"] == "min_power",
    ),
    "power behind a balanced ratio": Scaling(
        params=_louder, x=lambda X, c: X * c**0.5, F=lambda F, c: F, applies=lambda p: p["goal"] == "max_min"
    ),
    "power behind rates": Scaling(
        params=_louder,
        x=lambda X, c: X * c**0.5,
        F=lambda F, c: F,
        applies=lambda p: p["goal"] == "weighted_sum_rate",
    ),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Zero forcing and regularized variants with least powers, and the reference's own directions with all slack in use."""
    params, arrays = instance.origin.params, instance.arrays()
    h, target = arrays["h_re"] + 1j * arrays["h_im"], arrays["sinr_target"]
    K, P, noise = len(h), params["p_total_w"], params["noise_w"]
    users = h / np.linalg.norm(h, axis=1, keepdims=True)
    directions = [users, np.linalg.pinv(users).T.conj()]
    for decade in range(-12, 7, 2):
        gram = users.conj() @ users.T + 10.0**decade * np.eye(K)
        directions.append(np.linalg.lstsq(gram.T, users, rcond=None)[0])
    if reference.X is not None:
        parts = reference.X.reshape(K, -1, 2)
        directions.append(parts[..., 0] + 1j * parts[..., 1])
    points = []
    for W in directions:
        norm = np.linalg.norm(W, axis=1, keepdims=True)
        if not (norm > 0.0).all() or not np.isfinite(norm).all():
            continue
        unit = W / norm
        gains = np.abs(h.conj() @ unit.T) ** 2
        own = np.diag(gains)
        for powers in (_least(gains, own, target * (1.0 - SLACK), noise), np.full(K, P / K), rng.dirichlet(np.ones(K)) * P):
            if powers is None:
                continue
            points.append(unit * np.sqrt(powers)[:, None])
            full = powers * (P * (1.0 + SLACK) / powers.sum())
            points.append(unit * np.sqrt(full)[:, None])
    rows = np.array(points)
    return np.stack([rows.real, rows.imag], axis=-1).reshape(len(rows), -1)


def _least(gains: np.ndarray, own: np.ndarray, target: np.ndarray, noise: float) -> np.ndarray | None:
    if not (own > 0.0).all():
        return None
    coupling = -gains * (target / own)[:, None]
    np.fill_diagonal(coupling, 1.0)
    try:
        powers = noise * np.linalg.solve(coupling, target / own)
    except np.linalg.LinAlgError:
        return None
    return powers if np.isfinite(powers).all() and (powers > 0.0).all() else None

"""Computation offloading again, from `problems/offloading/README.md` alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

SLACK = 0.99e-8


def _terms(arrays: Mapping[str, np.ndarray], i: int, s: int) -> tuple[float, float]:
    """Upload cost A and execution cost b^2 of user i at server s."""
    alpha = float(arrays["time_weight"][i])
    beta = 1.0 - alpha
    upload = float(arrays["task_bits"][i]) / float(arrays["rate_bps"][i][s])
    compute = float(arrays["cycles"][i]) / float(arrays["server_hz"][s])
    return (alpha + beta * float(arrays["tx_power_w"])) * upload, (alpha + beta * float(arrays["idle_power_w"])) * compute


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Local users pay L_i, offloaders A_is + b_is^2 / y_i; shares add up to 1; deadlines where they are hard."""
    n, n_servers = arrays["rate_bps"].shape
    total, used, late = [], [0.0] * n_servers, []
    for i in range(n):
        cycles, speed, alpha = (float(arrays[name][i]) for name in ("cycles", "local_hz", "time_weight"))
        server, share = int(x[i]), x[n + i]
        if server == 0:
            delay = cycles / speed
            total.append(alpha * cycles / speed + (1.0 - alpha) * float(arrays["kappa"]) * speed * speed * cycles)
        else:
            upload_cost, execution = _terms(arrays, i, server - 1)
            total.append(upload_cost + execution / share)
            used[server - 1] += share
            delay = float(arrays["task_bits"][i]) / float(arrays["rate_bps"][i][server - 1])
            delay += cycles / float(arrays["server_hz"][server - 1]) / share
        late.append(delay / float(arrays["deadline_s"][i]) - 1.0)
    return [math.fsum(total)], [u - 1.0 for u in used] + (late if params["hard_deadlines"] else []), []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """One to three servers, tasks of nanoseconds to days, deadlines from hopeless to loose, floors under the shares."""
    n_servers = int(rng.integers(1, 4))
    several = n_servers > 1 or rng.random() < 0.5
    bits = 10.0 ** rng.uniform(2.0, 8.0)
    local = 10.0 ** rng.uniform(5.0, 11.0)
    cycles = 10.0 ** rng.uniform(0.0, 5.0)
    return "offloading", {
        "n_users": int(rng.integers(1, 7)),
        "n_servers": n_servers,
        "channel": "path_loss" if several else "total_interference",
        "bandwidth_hz": 10.0 ** rng.uniform(2.0, 9.0),
        "noise_w": 10.0 ** rng.uniform(-18.0, -6.0),
        "tx_power_w": 10.0 ** rng.uniform(-4.0, 2.0),
        "idle_power_w": 0.0 if rng.random() < 0.2 else 10.0 ** rng.uniform(-4.0, 2.0),
        "task_bits_mean": bits,
        "task_bits_std": bits * rng.uniform(0.0, 20.0),
        "task_bits_min": 0.0 if rng.random() < 0.5 else 0.9 * bits,
        "task_bits_max": 2.0 * bits,
        "cycles_per_bit": cycles,
        "local_hz_mean": local,
        "local_hz_std": 0.3 * local,
        "local_hz_min": 0.1 * local,
        "local_hz_max": 3.0 * local,
        "server_hz": local * 10.0 ** rng.uniform(-1.0, 2.0),
        "kappa": 10.0 ** rng.uniform(-32.0, -26.0),
        "deadline_s": cycles * bits / local * 10.0 ** rng.uniform(-1.5, 1.0),
        "hard_deadlines": bool(rng.random() < 0.5),
        "share_min": 10.0 ** rng.uniform(-6.0, -1.0),
        "feature_cap": None,
        "cell_radius_m": 10.0 ** rng.uniform(1.0, 4.0),
        "shadowing_db": rng.uniform(0.0, 10.0),
    }


def _time_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    """c times the work and the time for it; energies grow with the time."""
    cap = params["feature_cap"]
    return {
        **params,
        "cycles_per_bit": params["cycles_per_bit"] * c,
        "bandwidth_hz": params["bandwidth_hz"] * c**-1.0,
        "deadline_s": params["deadline_s"] * c,
        "feature_cap": None if cap is None else cap * c,
    }


SCALINGS = {"time": Scaling(_time_params, lambda X, c: X, lambda F, c: F * c)}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Every choice of servers with the best shares, where they fit, for servers and deadlines that are SLACK larger."""
    params, arrays = instance.origin.params, instance.arrays()
    n, n_servers = arrays["rate_bps"].shape
    choices = list(itertools.product(range(n_servers + 1), repeat=n))
    if len(choices) > 3000:
        choices = [tuple(rng.integers(0, n_servers + 1, n)) for _ in range(3000)]
        if reference.X is not None:
            choices.append(tuple(int(v) for v in reference.X[0][:n]))
    rows = []
    for choice in choices:
        share = np.full(n, float(params["share_min"]))
        for s in range(n_servers):
            on = [i for i in range(n) if choice[i] == s + 1]
            if on:
                share[on] = _shares(params, arrays, on, s)
        rows.append([*choice, *np.minimum(share, 1.0)])
    return np.array(rows, dtype=np.float64)


def _shares(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], on: list[int], s: int) -> list[float]:
    """min sum b^2 / y with y >= floor and sum y = 1 + SLACK, by bisection on the price."""
    roots, floors = [], []
    for i in on:
        roots.append(math.sqrt(_terms(arrays, i, s)[1]))
        floor = float(params["share_min"])
        if params["hard_deadlines"]:
            upload = float(arrays["task_bits"][i]) / float(arrays["rate_bps"][i][s])
            left = float(arrays["deadline_s"][i]) * (1.0 + SLACK) - upload
            floor = max(floor, float(arrays["cycles"][i]) / float(arrays["server_hz"][s]) / left) if left > 0.0 else 1.0
        floors.append(floor)
    low, high = 1e-300, 2.0 / max(min((r for r in roots if r > 0.0), default=1.0), 1e-300)  # y = b / root of the price
    for _ in range(300):
        middle = math.sqrt(low * high) if high / low > 4.0 else 0.5 * (low + high)
        if math.fsum(max(r * middle, f) for r, f in zip(roots, floors, strict=True)) > 1.0 + SLACK:
            high = middle
        else:
            low = middle
    return [max(r * low, f) for r, f in zip(roots, floors, strict=True)]

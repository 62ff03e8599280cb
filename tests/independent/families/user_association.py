"""User association again, from `problems/user_association/README.md` alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

GOALS = ("proportional_fair", "max_min", "sum_rate")


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """R_i = c_ij / K_j; out of reach no rate, under proportional fairness the smallest peak rate that there is."""
    peak = arrays["peak_rate_bps"].tolist()
    users = range(len(peak))
    loads: dict[int, int] = {}
    for station in x:
        loads[int(station)] = loads.get(int(station), 0) + 1
    rates, lost = [], 0
    for i in users:
        j = int(x[i])
        lost += peak[i][j] == 0.0
        rates.append(peak[i][j] / 1e6 / loads[j])
    if params["goal"] == "max_min":
        F = min(rates)
    elif params["goal"] == "sum_rate":
        F = math.fsum(rates)
    else:
        positive = [c for row in peak for c in row if c > 0.0]
        least = min(positive) / 1e6 if positive else 1.0
        F = math.fsum(math.log(rates[i] if peak[i][int(x[i])] > 0.0 else least / loads[int(x[i])]) for i in users)
    return [F], [lost / len(peak)], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Cells of 10 m to 10,000 km, rates from 1e-9 bit/s, every goal, with and without a limited reach."""
    n_macro = int(rng.integers(0, 3))
    return "user_association", {
        "goal": GOALS[int(rng.integers(3))],
        "n_users": int(rng.integers(1, 10)),
        "n_macro": n_macro,
        "n_small": int(rng.integers(0 if n_macro else 1, 4)),
        "radius_m": 10.0 ** rng.uniform(1.0, 7.0),
        "macro_power_dbm": rng.uniform(-60.0, 80.0),
        "small_power_dbm": rng.uniform(-60.0, 80.0),
        "bandwidth_hz": 10.0 ** rng.uniform(-6.0, 12.0),
        "noise_dbm_per_hz": rng.uniform(-250.0, -50.0),
        "shadowing_db": rng.uniform(0.0, 20.0),
        "sinr_min_db": None if rng.random() < 0.6 else rng.uniform(-30.0, 10.0),
        "fixed_rate_mbps": None if rng.random() < 0.8 else 10.0 ** rng.uniform(-9.0, 6.0),
    }


def _rate_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    """The same SINRs in c times the band."""
    fixed = params["fixed_rate_mbps"]
    return {
        **params,
        "bandwidth_hz": params["bandwidth_hz"] * c,
        "noise_dbm_per_hz": params["noise_dbm_per_hz"] - 10.0 * math.log10(c),
        "fixed_rate_mbps": None if fixed is None else fixed * c,
    }


def _power_params(params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], c: float) -> dict[str, Any]:
    names, louder = ("macro_power_dbm", "small_power_dbm", "noise_dbm_per_hz"), 10.0 * math.log10(c)
    return {**params, **{name: params[name] + louder for name in names}}


def _rate_F(params: Mapping[str, Any], F: np.ndarray, c: float) -> np.ndarray:
    if params["goal"] == "proportional_fair":
        return F + params["n_users"] * math.log(c)
    return F * c


SCALINGS = {
    "rate": Scaling(_rate_params, lambda X, c: X, lambda F, c: F * c, F_of=_rate_F),
    "power": Scaling(_power_params, lambda X, c: X, lambda F, c: F),
}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """All associations of small instances, else all single moves from the reference's point."""
    n_users, n_stations = instance.arrays()["peak_rate_bps"].shape
    if n_stations**n_users <= 20_000:
        return np.array(list(itertools.product(range(n_stations), repeat=n_users)), dtype=np.float64)
    if reference.X is None:
        return np.empty((0, n_users))
    moves = np.repeat(reference.X[:1], n_users * n_stations, axis=0)
    for row, (i, j) in enumerate(itertools.product(range(n_users), range(n_stations))):
        moves[row, i] = j
    return moves

"""`goal` from its card, on two of the families it may be about: their own equations, other objectives, further bounds.

What a family expresses natively (least rates, largest powers) stands in the arrays of its instance; the rest are bounds, each
violated by its distance over its own value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.families import power_control, power_game
from tests.independent.protocol import Scaling

SCALINGS: dict[str, Scaling] = {}
"""The units of a goal are those of the family it is about."""

_NATIVE = {("rate", ">="), ("power", "<=")}
_POWER_GOALS = {
    ("max", "sum_rate"): "sum_rate",
    ("max", "rate"): "sum_rate",
    ("min", "total_power"): "min_power",
    ("max", "energy_efficiency"): "energy_efficiency",
    ("maxmin", "rate"): "max_min",
}


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    about_links = params["problem"] == "power_control"
    family, own, goal = (power_control if about_links else power_game), dict(params["params"]), params["goal"]
    objective = goal["objective"]
    if "goal_bounds" not in arrays:  # native: the family's own equations with the goal's numbers
        if about_links and objective is not None:
            own["goal"] = _POWER_GOALS[objective["sense"], objective["terms"][0]["metric"]]
        return family.evaluate(own, arrays, x)
    F, G, H = family.evaluate(own, arrays, x)
    metrics = _metrics(own, arrays, x, about_links=about_links)
    if objective is not None:
        F = [_objective(objective, metrics)]
    for clause in goal["constraints"]:
        if (clause["metric"], clause["op"]) in _NATIVE:
            continue
        value = metrics[clause["metric"]]
        listed = [value] if isinstance(value, float) else [value[u - 1] for u in clause["users"]] if clause["users"] else value
        sign = 1.0 if clause["op"] == "<=" else -1.0
        G += [sign * (v - clause["value"]) / abs(clause["value"]) for v in listed]
    return F, G, H


def _metrics(
    own: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float], *, about_links: bool
) -> dict[str, Any]:
    if not about_links:
        return {"rate": power_game.agent_rates(arrays, x), "total_power": math.fsum(x), "power": list(x)}
    rates, power = power_control.link_rates(arrays, x), math.fsum(x)
    efficiency = math.fsum(rates) / (own["circuit_power_w"] + own["power_slope"] * power)
    told = {"sum_rate": math.fsum(rates), "total_power": power, "energy_efficiency": efficiency}
    return {**told, "rate": rates, "power": list(x)}


def _objective(objective: Mapping[str, Any], metrics: Mapping[str, Any]) -> float:
    total = 0.0
    for term in objective["terms"]:
        value = metrics[term["metric"]]
        if not isinstance(value, float):
            chosen = [value[u - 1] for u in term["users"]] if term["users"] else value
            value = min(chosen) if objective["sense"] == "maxmin" else math.fsum(chosen)
        total += value if objective["sense"] == "maxmin" else term["weight"] * value
    return total


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    if rng.random() < 0.5:
        n, watt = int(rng.integers(2, 5)), 10.0 ** rng.uniform(-9, 9)
        base = {"n_links": n, "p_max_w": watt, "noise_w": watt * 10.0 ** rng.uniform(-6, 2), "circuit_power_w": watt}
        clauses = [
            {"metric": "rate", "op": ">=", "value": 10.0 ** rng.uniform(-3, 0.5), "users": [int(rng.integers(1, n + 1))]},
            {"metric": "power", "op": "<=", "value": watt * rng.uniform(0.1, 1.0), "unit": "W"},
            {"metric": "sum_rate", "op": ">=", "value": 10.0 ** rng.uniform(-4, 0), "unit": "bit/s/Hz"},
            {"metric": "total_power", "op": "<=", "value": watt * 10.0 ** rng.uniform(-3, 0.5), "unit": "W"},
        ]
        clauses[0]["unit"] = "bit/s/Hz"
        aims = [("max", "sum_rate"), ("min", "total_power"), ("maxmin", "rate"), ("max", "energy_efficiency"), ("max", "rate")]
        problem = "power_control"
    else:
        problem, n, base = "power_game", 4, {"noise_w": 10.0 ** rng.uniform(-3, 0), "power_saving_w": 0.0}
        clauses = [
            {
                "metric": "rate",
                "op": ">=",
                "value": 10.0 ** rng.uniform(2, 4),
                "unit": "bit/s",
                "users": [int(rng.integers(1, 5))],
            },
            {
                "metric": "rate",
                "op": "<=",
                "value": 10.0 ** rng.uniform(3.5, 5),
                "unit": "bit/s",
                "users": [int(rng.integers(1, 5))],
            },
            {"metric": "power", "op": "<=", "value": 10.0 ** rng.uniform(0, 1), "unit": "W"},
        ]
        aims = [("min", "total_power"), ("max", "rate"), ("maxmin", "rate")]
    kept = [clause for clause in clauses if rng.random() < 0.5]
    goal: dict[str, Any] = {"constraints": kept, "objective": None}
    if rng.random() < 0.8:
        sense, metric = aims[int(rng.integers(len(aims)))]
        users = [1, n] if metric == "rate" and rng.random() < 0.5 else []
        goal["objective"] = {"sense": sense, "terms": [{"metric": metric, "weight": 1.0, "users": users}]}
    return "goal", {"problem": problem, "params": base, "goal": goal}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    family = power_control if instance.origin.params["problem"] == "power_control" else power_game
    return family.attack(instance, reference, rng)

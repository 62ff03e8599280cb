"""What the power-control solvers ask of an instance, and why they cannot treat one that lacks it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, cast

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Instance

__all__ = ["InterferenceInstance", "as_interference", "interference_gap"]


class InterferenceInstance(Protocol):
    """Documented attributes of an instance whose variables are the powers of K links.

    Attributes:
        goal: What is optimized, e.g. ``"sum_rate"``.
        gain: float64 [K, K], linear, receiver i from transmitter j.
        noise_w: float64 [K], W.
        p_max_w: float64 [K], W.
        weight: float64 [K]; needed for rate goals.
        sinr_floor: float64 [K], linear, 0 for none.
        circuit_power_w: W; needed for the goal ``"energy_efficiency"``.
        power_slope: Consumed per radiated power; needed for the goal ``"energy_efficiency"``.
    """

    goal: str
    gain: FloatArray
    noise_w: FloatArray
    p_max_w: FloatArray
    weight: FloatArray
    sinr_floor: FloatArray
    circuit_power_w: float
    power_slope: float


def as_interference(instance: Instance) -> InterferenceInstance:
    """The same object under the type that names its attributes; call `interference_gap` first."""
    return cast(InterferenceInstance, instance)


def interference_gap(instance: Instance, goals: Collection[str]) -> str | None:
    """What an instance lacks to be a power-control instance with one of some goals; None when it lacks nothing."""
    goal = getattr(instance, "goal", None)
    if not isinstance(goal, str) or goal not in goals:
        return f"needs an instance with the goal {' or '.join(goals)}, this one has {'none' if goal is None else goal}"
    n_links = instance.space.dim
    shapes = {"gain": (n_links, n_links), "noise_w": (n_links,), "p_max_w": (n_links,), "sinr_floor": (n_links,)}
    if goal != "min_power":
        shapes["weight"] = (n_links,)
    for name, shape in shapes.items():
        found = np.shape(getattr(instance, name, 0.0))
        if found != shape:
            return f"needs the attribute '{name}' with shape {list(shape)} on the instance, found {list(found)}"
    return None

"""Which goals of an interference channel a power-control solver can treat."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from optisolve.core.capabilities import EnergyChannel, InterferenceChannel, WeightedChannel, capability_gap
from optisolve.core.problem import Instance

__all__ = ["channel_of", "interference_gap"]


def interference_gap(instance: Instance, goals: Collection[str]) -> str | None:
    """What an instance lacks to be an interference channel with one of some goals; None when it lacks nothing."""
    reason = capability_gap(instance, InterferenceChannel)
    if reason is not None:
        return reason
    goal = channel_of(instance).goal
    if goal not in goals:
        return f"needs an instance with the goal {' or '.join(goals)}, this one has {goal}"
    more = {"min_power": InterferenceChannel, "energy_efficiency": EnergyChannel}.get(goal, WeightedChannel)
    return None if more is InterferenceChannel else capability_gap(instance, more)


def channel_of(instance: Instance) -> InterferenceChannel:
    """The same object as what it offers; call `interference_gap` first."""
    return cast(InterferenceChannel, instance)

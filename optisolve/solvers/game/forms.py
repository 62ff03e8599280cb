"""Which game an instance is, read from its documented attributes."""

from __future__ import annotations

import numpy as np

from optisolve.core.problem import Instance
from optisolve.numerics.games import AgentGame, EnergyEfficiencyGame, MinPowerGame, RateGame
from optisolve.solvers.interference import as_interference, interference_gap

__all__ = ["game_gap", "game_of"]

GOALS = ("min_power", "sum_rate", "weighted_sum_rate", "energy_efficiency")


def game_gap(instance: Instance) -> str | None:
    """What an instance lacks to be played; None when it lacks nothing.

    Playable are instances with an attribute ``game`` (an `AgentGame` whose actions are the decision variables) and
    interference channels with a goal whose selfish side is known.
    """
    game = getattr(instance, "game", None)
    if isinstance(game, AgentGame):
        if np.array_equal(game.lower, instance.space.lower) and np.array_equal(game.upper, instance.space.upper):
            return None
        return "its attribute 'game' has other bounds than the decision variables"
    return interference_gap(instance, GOALS)


def game_of(instance: Instance) -> AgentGame:
    """The game of an instance; call `game_gap` first.

    Every link is one agent: it wants its floor at the least power (goal ``min_power``), its own rate, or its own rate per
    consumed watt, where the circuit power of the channel is shared equally.
    """
    game = getattr(instance, "game", None)
    if isinstance(game, AgentGame):
        return game
    channel = as_interference(instance)
    arrays = (channel.gain, channel.noise_w, channel.p_max_w)
    if channel.goal == "min_power":
        return MinPowerGame(*arrays, channel.sinr_floor)
    if channel.goal == "energy_efficiency":
        circuit = channel.circuit_power_w / channel.p_max_w.size
        return EnergyEfficiencyGame(*arrays, channel.weight, circuit, channel.power_slope)
    return RateGame(*arrays, channel.weight)

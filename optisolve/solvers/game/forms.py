"""Which game an instance is, by the capabilities that it offers."""

from __future__ import annotations

import numpy as np

from optisolve.core.capabilities import (
    AgentsGame,
    EnergyChannel,
    InterferenceChannel,
    PowerSaving,
    StartingPowers,
    WeightedChannel,
)
from optisolve.core.problem import Instance
from optisolve.numerics.games import AgentGame, EnergyEfficiencyGame, MinPowerGame, RateGame
from optisolve.solvers.interference import channel_of, interference_gap

__all__ = ["WELCOMES", "game_gap", "game_of"]

WELCOMES = (AgentsGame, InterferenceChannel, WeightedChannel, EnergyChannel, StartingPowers, PowerSaving)
"""Capabilities that a game is made of: one of the first two is needed."""
GOALS = ("min_power", "sum_rate", "weighted_sum_rate", "energy_efficiency")


def game_gap(instance: Instance) -> str | None:
    """What an instance lacks to be played; None when it lacks nothing.

    Playable are instances with the capability `AgentsGame` and
    interference channels with a goal whose selfish side is known.
    """
    if isinstance(instance, AgentsGame):
        game = instance.game
        if np.array_equal(game.lower, instance.space.lower) and np.array_equal(game.upper, instance.space.upper):
            return None
        return "its 'game' has other bounds than the decision variables"
    return interference_gap(instance, GOALS)


def game_of(instance: Instance) -> AgentGame:
    """The game of an instance; call `game_gap` first.

    Every link is one agent: it wants its floor at the least power (goal ``min_power``), its own rate, or its own rate per
    consumed watt, where the circuit power of the channel is shared equally.
    """
    if isinstance(instance, AgentsGame):
        return instance.game
    channel = channel_of(instance)
    arrays = (channel.gain, channel.noise_w, channel.p_max_w)
    if channel.goal == "min_power":
        return MinPowerGame(*arrays, channel.sinr_floor)
    assert isinstance(channel, WeightedChannel)
    if isinstance(channel, EnergyChannel) and channel.goal == "energy_efficiency":
        circuit = channel.circuit_power_w / channel.p_max_w.size
        return EnergyEfficiencyGame(*arrays, channel.weight, circuit, channel.power_slope)
    return RateGame(*arrays, channel.weight)

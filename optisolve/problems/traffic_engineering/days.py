"""A network through the day: demands that rise and fall, lines that fail and return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray, frozen
from optisolve.core.motion import DailyDemands
from optisolve.numerics.mobility import forgetful, up_and_down
from optisolve.problems.traffic_engineering.network import Network, pair_names

__all__ = ["Day", "days"]

_HOUR_S = 3600.0
_DAY_S = 24.0 * _HOUR_S


@dataclass(frozen=True, eq=False, slots=True)
class Day:
    """One step.

    Attributes:
        network: Lines that are up, and demands.
        state: float64 [s], logarithms of all demands' factors, and 1 for each line that is down.
        events: Lines that have failed or returned.
    """

    network: Network
    state: FloatArray
    events: tuple[str, ...]


def days(motion: DailyDemands, network: Network, rng: np.random.Generator) -> Iterator[Day]:
    """A network step by step; step 0 has the volumes that are given, and all lines.

    Args:
        motion: What happens, and how fast.
        network: At step 0.
        rng: Draws everything.
    """
    step_s, pairs = motion.step_s, network.demand > 0.0
    phase = rng.standard_normal(len(network.nodes)) * (motion.phase_h * _HOUR_S * 2.0 * np.pi / _DAY_S)
    noise = np.zeros(network.demand.shape)
    keep = float(np.exp(-step_s / (motion.noise_memory_h * _HOUR_S)))
    cables = np.unique(network.cable)
    names = _line_names(network)
    up_s = np.inf if motion.up_h is None else motion.up_h * _HOUR_S
    lines = up_and_down(len(cables), up_s, motion.down_h * _HOUR_S, step_s, rng)
    first = 1.0 + motion.swing * np.sin(phase)
    before, time_s = np.zeros(len(cables), dtype=np.bool_), 0.0
    for wanted in lines:
        level = (1.0 + motion.swing * np.sin(2.0 * np.pi * time_s / _DAY_S + phase)) / first
        factor = level[:, None] * np.exp(motion.noise * noise)
        here = network.with_demand(network.demand * factor)
        down = _bearable(here, cables, wanted)
        events = [f"{names[i]} {'fails' if down[i] else 'returns'}" for i in np.flatnonzero(down != before)]
        state = np.concatenate([np.log(factor[pairs]), down.astype(np.float64)])
        yield Day(_without(here, cables[down]), frozen(state), tuple(events))
        before, time_s, noise = down, time_s + step_s, forgetful(noise, keep, rng)


def _bearable(network: Network, cables: IntArray, wanted: BoolArray) -> BoolArray:
    """Lines that are down, of those that would be: one without which a demand has no path stays up, bool [L]."""
    down = np.zeros(wanted.shape, dtype=np.bool_)
    for i in np.flatnonzero(wanted).tolist():
        down[i] = True
        if network.unreachable(np.flatnonzero(np.isin(network.cable, cables[down])).tolist()) is not None:
            down[i] = False
    return down


def _without(network: Network, cables: IntArray) -> Network:
    """The network without some lines."""
    if not cables.size:
        return network
    kept = ~np.isin(network.cable, cables)
    parts = {name: getattr(network, name)[kept] for name in ("tail", "head", "cable", "capacity", "weight", "delay_ms")}
    return replace(network, **parts)


def _line_names(network: Network) -> tuple[str, ...]:
    """``TAIL_HEAD`` of the first link of every line, in the order of their numbers."""
    _, first = np.unique(network.cable, return_index=True)
    return pair_names(network.nodes, network.tail[first], network.head[first])

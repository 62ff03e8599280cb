"""How an interference channel moves: pairs that walk with correlated shadowing, and fading that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.motion import Fading, Walking
from optisolve.numerics.mobility import forgetful, jakes, leaving, walks
from optisolve.problems.power_control.geometry import SPEED_OF_LIGHT_M_S, Drop, Geometry, drop_gain

__all__ = ["Gains", "faded", "walked"]


@dataclass(frozen=True, eq=False, slots=True)
class Gains:
    """A channel of one step.

    Attributes:
        gain: float64 [K, K], linear.
        new: int64 [k], links that have taken another one's place since the last step.
    """

    gain: FloatArray
    new: IntArray


def faded(motion: Fading, gain: FloatArray, rng: np.random.Generator) -> Iterator[Gains]:
    """Gains whose Rayleigh fading goes on; means stay, so a gain at step 0 is one draw of a channel |CN(0, 1)|^2.

    Args:
        motion: How fast.
        gain: float64 [K, K], at step 0, of channels CN(0, 1).
        rng: Draws everything.
    """
    yield Gains(gain, np.arange(0))
    keep, channel = jakes(motion.doppler_hz, motion.step_s), _with_phases(gain, rng)
    while True:
        new = leaving(len(gain), motion.session_s, motion.step_s, rng)
        channel = _next(channel, np.where(_touched(new, len(gain)), 0.0, keep), rng)
        yield Gains(np.abs(channel) ** 2, new)


def walked(motion: Walking, start: Drop, geometry: Geometry, rng: np.random.Generator) -> Iterator[Gains]:
    """Gains of pairs that walk: a transmitter takes its receiver along, at the distance and in the direction that it had.

    Shadowing forgets itself by the way that both ends have come (Gudmundson 1991, doi 10.1049/el:19910328), Rayleigh fading by
    the Doppler shift of the typical speed (Jakes 1974).

    Args:
        motion: How they walk.
        start: Step 0.
        geometry: The scenario.
        rng: Draws everything.
    """
    beside, n = start.receiver_m - start.transmitter_m, len(start.shadow)
    doppler_hz = motion.typical_m_s * geometry.carrier_hz / SPEED_OF_LIGHT_M_S
    keep, channel, shadow = jakes(doppler_hz, motion.step_s), _with_phases(start.fading, rng), start.shadow
    way = walks(motion, start.transmitter_m, geometry.area_side_m, rng)
    yield Gains(drop_gain(start, geometry), next(way).new)
    for places in way:
        new, apart = _touched(places.new, n), places.walked_m[:, None] + places.walked_m[None, :]
        shadow = forgetful(shadow, np.where(new, 0.0, np.exp(-apart / motion.shadowing_m)), rng)
        channel = _next(channel, np.where(new, 0.0, keep), rng)
        fading = np.abs(channel) ** 2 if geometry.rayleigh else start.fading
        yield Gains(drop_gain(Drop(places.at_m, places.at_m + beside, shadow, fading), geometry), places.new)


def _with_phases(gain: FloatArray, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """Complex channels of some power gains, with uniform phases."""
    return np.asarray(np.sqrt(gain) * np.exp(2j * np.pi * rng.random(gain.shape)))


def _next(
    channel: np.ndarray[tuple[int, ...], np.dtype[np.complex128]], keep: FloatArray, rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """The channels one step later; each of their parts has variance 1/2."""
    parts = forgetful(np.sqrt(2.0) * np.stack([channel.real, channel.imag]), keep, rng) / np.sqrt(2.0)
    return np.asarray(parts[0] + 1j * parts[1])


def _touched(who: IntArray, n: int) -> BoolArray:
    """Gains of which one end is new, bool [n, n]."""
    mask = np.zeros(n, dtype=np.bool_)
    mask[who] = True
    return mask[:, None] | mask[None, :]

"""Motion in time: walkers in a square, processes that forget themselves, things that fail and return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.motion import GaussMarkov, RandomWaypoint, Walking

_MOST_LEGS = 1000
"""Legs of a random-waypoint walker within one step; at most so many are followed."""

__all__ = ["Places", "forgetful", "jakes", "leaving", "reflected", "up_and_down", "walks"]


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Where walkers are.

    Attributes:
        at_m: float64 [n, 2], m, inside the square.
        new: int64 [k], walkers that have appeared since the last step in another one's place.
        walked_m: float64 [n], how far each has come since then, m.
    """

    at_m: FloatArray
    new: IntArray
    walked_m: FloatArray


def walks(motion: Walking, start_m: FloatArray, side_m: float, rng: np.random.Generator) -> Iterator[Places]:
    """Positions at step 0, 1, 2, ..., without an end.

    Args:
        motion: How they move.
        start_m: float64 [n, 2], positions at step 0, m.
        side_m: Side of the square, m.
        rng: Draws everything.

    Raises:
        NotImplementedError: A motion that is none of walkers.
    """
    n, at = start_m.shape[0], start_m.copy()
    walkers: _Wandering | _Heading
    if isinstance(motion, GaussMarkov):
        walkers = _Wandering(motion, n, side_m, rng)
    elif isinstance(motion, RandomWaypoint):
        walkers = _Heading(motion, n, side_m, rng)
    else:
        raise NotImplementedError(f"nobody walks by {motion.kind}")
    new, walked = np.arange(0), np.zeros(n)
    while True:
        yield Places(at, new, walked)
        before, at = at, walkers.advance(at)
        walked = np.linalg.norm(at - before, axis=1)
        new = leaving(n, motion.session_s, motion.step_s, rng)
        at[new] = rng.uniform(0.0, side_m, (new.size, 2))


def leaving(n: int, session_s: float | None, step_s: float, rng: np.random.Generator) -> IntArray:
    """Who of n leaves within a step where stays are exponentially distributed, int64 [k]."""
    if session_s is None:
        return np.arange(0)
    return np.flatnonzero(rng.random(n) < -np.expm1(-step_s / session_s)).astype(np.int64)


def forgetful(state: FloatArray, keep: FloatArray | float, rng: np.random.Generator) -> FloatArray:
    """One step of a Gauss-Markov process of variance 1: keep * state + sqrt(1 - keep^2) * normal noise.

    Args:
        state: float64 of any shape.
        keep: Correlation of this step with the last one, -1 to 1; a number or an array of that shape.
        rng: Draws the noise.
    """
    return np.asarray(keep * state + np.sqrt(1.0 - np.square(keep)) * rng.standard_normal(state.shape))


def jakes(doppler_hz: float, step_s: float) -> float:
    """Correlation of Rayleigh fading with itself a step later, J0(2 pi f_D t) (Jakes 1974)."""
    from scipy.special import j0

    return float(j0(2.0 * np.pi * doppler_hz * step_s))


def reflected(at_m: FloatArray, side_m: float) -> tuple[FloatArray, BoolArray]:
    """Positions folded back into the square as by mirrors at its borders, and which coordinates were turned round.

    Args:
        at_m: float64 [n, 2], m, anywhere.
        side_m: Side of the square, m.
    """
    folded = np.mod(at_m, 2.0 * side_m)
    turned = folded > side_m
    return np.clip(np.where(turned, 2.0 * side_m - folded, folded), 0.0, side_m), turned


def up_and_down(n: int, up: float, down: float, step: float, rng: np.random.Generator) -> Iterator[BoolArray]:
    """Which of n things are down at time 0, step, 2 step, ..., bool [n], without an end; all are up at first.

    Times up and down are exponentially distributed (an alternating renewal process).

    Args:
        n: How many.
        up: Mean time until one fails.
        down: Mean time until it returns.
        step: Time between two looks.
        rng: Draws everything.
    """
    failed = np.zeros(n, dtype=np.bool_)
    change, now = rng.exponential(up, n), 0.0
    while True:
        yield failed.copy()
        now += step
        while (due := np.flatnonzero(change <= now)).size:
            failed[due] = ~failed[due]
            change[due] += rng.exponential(np.where(failed[due], down, up))


class _Wandering:
    """Gauss-Markov walkers; velocities begin in their stationary law.

    Args:
        motion: Speed and memory.
        n: How many.
        side_m: Side of the square, m.
        rng: Draws everything.
    """

    def __init__(self, motion: GaussMarkov, n: int, side_m: float, rng: np.random.Generator) -> None:
        self._motion, self._side, self._rng = motion, side_m, rng
        self._keep = float(np.exp(-motion.step_s / motion.memory_s))
        self._velocity = rng.standard_normal((n, 2))  # in units of the deviation per axis

    def advance(self, at_m: FloatArray) -> FloatArray:
        """Positions one step later, float64 [n, 2], m."""
        per_axis = self._motion.speed_m_s / np.sqrt(2.0)
        at, turned = reflected(at_m + per_axis * self._velocity * self._motion.step_s, self._side)
        velocity = np.where(turned, -self._velocity, self._velocity)
        self._velocity = forgetful(velocity, self._keep, self._rng)
        return at


class _Heading:
    """Random-waypoint walkers; arguments as of `_Wandering`."""

    def __init__(self, motion: RandomWaypoint, n: int, side_m: float, rng: np.random.Generator) -> None:
        self._motion, self._side, self._rng = motion, side_m, rng
        self._target, self._speed, self._pause = np.empty((n, 2)), np.empty(n), np.zeros(n)
        self._aim(np.arange(n))

    def advance(self, at_m: FloatArray) -> FloatArray:
        """Positions one step later, float64 [n, 2], m."""
        at, left = at_m.copy(), np.full(len(at_m), self._motion.step_s)
        for _ in range(_MOST_LEGS):
            moving = np.flatnonzero(left > 0.0)
            if not moving.size:
                break
            waited = np.minimum(self._pause[moving], left[moving])
            self._pause[moving] -= waited
            left[moving] -= waited
            way = self._target[moving] - at[moving]
            far = np.linalg.norm(way, axis=1)
            needed = far / self._speed[moving]
            share = np.minimum(1.0, left[moving] / np.maximum(needed, 1e-300))
            at[moving] += share[:, None] * way
            there = moving[left[moving] >= needed]
            left[moving] = np.maximum(left[moving] - needed, 0.0)
            at[there], self._pause[there] = self._target[there], self._motion.pause_s
            self._aim(there)
        return at

    def _aim(self, who: IntArray) -> None:
        low, high = self._motion.speed_min_m_s, self._motion.speed_max_m_s
        self._target[who] = self._rng.uniform(0.0, self._side, (who.size, 2))
        self._speed[who] = self._rng.uniform(low, high, who.size)

"""Noise schedules under one convention: the network predicts at an angle, the chain steps on a clean x0.

A noisy sample is ``x = cos(a) x0 + sin(a) noise``; the network is told ``a`` over a quarter turn, 0 for clean and 1 for noise.
Every schedule's own levels are translated to that angle, so that one network serves all of them. A step is a sum of arrays with
known factors, whatever the arrays are made of; the factors are those of the schedulers of `diffusers`, and tests hold them
against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["TRAIN_STEPS", "Chain", "Schedule", "angle_of", "signal_power"]

TRAIN_STEPS = 1000
_LARGEST_ETA = 1.0 - 1e-6
"""At eta = 1 a step takes the root of a difference that rounding may turn negative, and the sample is lost."""
_LARGEST_BETA = 0.999

A = TypeVar("A")
"""An array of numpy, or a tensor of torch."""


class Schedule(StrEnum):
    """Which schedule walks back from noise.

    DDPM's ancestral step is DDIM's with eta = 1, its noise drawn for each case and not across a batch.
    """

    DDIM = "ddim"
    DDPM = "ddpm"
    DPM_SOLVER = "dpm_solver"
    FLOW_MATCHING = "flow_matching"


def angle_of(alpha_bar: float) -> float:
    """Noise level in quarter turns, in [0, 1], from the share of signal power."""
    return 2.0 / math.pi * math.acos(math.sqrt(min(max(alpha_bar, 0.0), 1.0)))


@lru_cache(maxsize=1)
def signal_power() -> FloatArray:
    """Share of signal power at all training levels, float64 [1000]: the cosine schedule (Nichol and Dhariwal 2021).

    The noise added from level to level is rounded to float32, as it is in `diffusers`.
    """
    at = np.arange(TRAIN_STEPS + 1) / TRAIN_STEPS
    level = np.cos((at + 0.008) / 1.008 * (0.5 * math.pi)) ** 2
    beta = np.minimum(1.0 - level[1:] / level[:-1], _LARGEST_BETA).astype(np.float32)
    return np.cumprod((np.float32(1.0) - beta).astype(np.float64))


@dataclass(frozen=True, slots=True)
class _Move:
    """One step: the next sample is the sum of what stands here, times its factor.

    Attributes:
        clean: Factor of the clean estimate.
        noisy: Factor of the current sample.
        noise: Factor of fresh noise.
        before: Factor of the clean estimate of the step before.
    """

    clean: float
    noisy: float
    noise: float = 0.0
    before: float = 0.0


@dataclass
class Chain(Generic[A]):
    """One walk from noise to a clean sample.

    Args:
        schedule: Which schedule.
        steps: Number of network calls.
        eta: Noise added on the way by ``ddim``: 0 deterministic, 1 as much as DDPM.
    """

    schedule: Schedule
    steps: int
    eta: float = 0.0
    _before: A | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        eta = min(1.0 if self.schedule is Schedule.DDPM else self.eta, _LARGEST_ETA)
        self._levels, self._moves = _plan(self.schedule, self.steps, eta)

    @property
    def needs_noise(self) -> bool:
        """Steps add noise."""
        return any(move.noise > 0.0 for move in self._moves)

    def level(self, index: int) -> tuple[float, float]:
        """Angle of a step, in quarter turns, and the factor that brings the chain's sample to unit power."""
        return self._levels[index]

    def step(self, clean: A, index: int, noisy: A, noise: A | None = None) -> A:
        """The next, less noisy sample.

        Args:
            clean: The projected estimate x0, [B, S, N, C].
            index: Which step, in order from 0; the last one needs none.
            noisy: The current sample.
            noise: Standard normal numbers of the same shape, where `needs_noise`.
        """
        move = self._moves[index]
        after = move.clean * clean + move.noisy * noisy  # type: ignore[operator]  # arrays and tensors alike
        if move.before and self._before is not None:
            after = after + move.before * self._before  # type: ignore[operator]
        if move.noise and noise is not None:
            after = after + move.noise * noise  # type: ignore[operator]
        self._before = clean
        return after


@lru_cache(maxsize=64)
def _plan(schedule: Schedule, steps: int, eta: float) -> tuple[tuple[tuple[float, float], ...], tuple[_Move, ...]]:
    """Level and scale of every network call, and the moves between them."""
    if schedule is Schedule.FLOW_MATCHING:
        return _flow_matching(steps)
    times = np.round(np.arange(TRAIN_STEPS, 0, -TRAIN_STEPS / steps)).astype(int) - 1  # trailing: begins at pure noise
    power = signal_power()
    levels = tuple((angle_of(float(power[time])), 1.0) for time in times)
    if schedule is Schedule.DPM_SOLVER:
        return levels, _multistep(power[times])
    behind = [int(time) - TRAIN_STEPS // steps for time in times[:-1]]
    after = [float(power[time]) if time >= 0 else 1.0 for time in behind]
    return levels, tuple(_ddim(float(power[time]), a, eta) for time, a in zip(times[:-1], after, strict=True))


def _ddim(now: float, after: float, eta: float) -> _Move:
    """From one share of signal power to a larger one (Song, Meng and Ermon 2021, equations 12 and 16)."""
    deviation = eta * math.sqrt((1.0 - after) / (1.0 - now) * (1.0 - now / after))
    direction = math.sqrt(max(1.0 - after - deviation**2, 0.0)) / math.sqrt(1.0 - now)
    return _Move(math.sqrt(after) - direction * math.sqrt(now), direction, deviation)


def _multistep(power: FloatArray) -> tuple[_Move, ...]:
    """DPM-Solver++ of order 2 (Lu et al. 2022, arXiv 2211.01095): the first step of order 1, then midpoints."""
    signal, noise = np.sqrt(power), np.sqrt(1.0 - power)
    half = np.log(signal) - np.log(noise)  # half the logarithm of the signal to noise ratio
    moves = []
    for i in range(len(power) - 1):
        h = half[i + 1] - half[i]
        clean, noisy = -signal[i + 1] * math.expm1(-h), noise[i + 1] / noise[i]
        share = 0.0 if i == 0 else 0.5 * h / (half[i] - half[i - 1])
        moves.append(_Move(float(clean * (1.0 + share)), float(noisy), before=float(-clean * share)))
    return tuple(moves)


def _flow_matching(steps: int) -> tuple[tuple[tuple[float, float], ...], tuple[_Move, ...]]:
    """Euler steps along straight lines, evenly from noise to the goal."""
    sigmas = [1.0 - i / steps for i in range(steps)]
    norms = [math.hypot(1.0 - sigma, sigma) for sigma in sigmas]
    levels = tuple((angle_of(((1.0 - s) / norm) ** 2), 1.0 / norm) for s, norm in zip(sigmas, norms, strict=True))
    moves = tuple(_Move(1.0 - after / now, after / now) for now, after in pairwise(sigmas))
    return levels, moves

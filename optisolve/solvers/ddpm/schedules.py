"""Noise schedules of `diffusers` behind one convention: the network predicts at an angle, the scheduler steps on a clean x0.

A noisy sample is ``x = cos(a) x0 + sin(a) noise``; the network is told ``a`` over a quarter turn, 0 for clean and 1 for noise.
Every scheduler's own levels are translated to that angle, so that one network serves all of them. After projection the clean
estimate is handed to the scheduler as its prediction, which re-derives noise or velocity from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, cast

from torch import Tensor

__all__ = ["TRAIN_STEPS", "Chain", "Schedule", "angle_of", "make_scheduler"]

TRAIN_STEPS = 1000
_LARGEST_ETA = 1.0 - 1e-6
"""At eta = 1 the scheduler takes the root of a difference that rounding may turn negative, and the sample is lost."""


class Schedule(StrEnum):
    """Which scheduler walks back from noise."""

    DDIM = "ddim"
    DDPM = "ddpm"
    DPM_SOLVER = "dpm_solver"
    FLOW_MATCHING = "flow_matching"


def angle_of(alpha_bar: float) -> float:
    """Noise level in quarter turns, in [0, 1], from the share of signal power."""
    return 2.0 / math.pi * math.acos(math.sqrt(min(max(alpha_bar, 0.0), 1.0)))


def make_scheduler(schedule: Schedule) -> Any:
    """A fresh scheduler; they hold state, so no two runs share one.

    DDPM's ancestral step is taken as DDIM with eta = 1, which is the same step: `DDPMScheduler` draws its noise itself,
    across the batch, and then an answer would depend on its batch mates.
    """
    import diffusers

    cosine = {"num_train_timesteps": TRAIN_STEPS, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"}
    if schedule in (Schedule.DDIM, Schedule.DDPM):
        return diffusers.DDIMScheduler(
            **cosine, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing", rescale_betas_zero_snr=False
        )
    if schedule is Schedule.DPM_SOLVER:
        return diffusers.DPMSolverMultistepScheduler(
            **cosine, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing", final_sigmas_type="zero"
        )
    return diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_STEPS, shift=1.0)


@dataclass
class Chain:
    """One walk from noise to a clean sample.

    Args:
        schedule: Which scheduler.
        steps: Number of network calls.
        device: Where the tensors are.
        eta: Noise added on the way by ``ddim``: 0 deterministic, 1 as much as DDPM.
    """

    schedule: Schedule
    steps: int
    device: str = "cpu"
    eta: float = 0.0

    def __post_init__(self) -> None:
        self._eta = min(1.0 if self.schedule is Schedule.DDPM else self.eta, _LARGEST_ETA)

    @cached_property
    def _scheduler(self) -> Any:
        """Made when the first step is taken; a chain of one network call takes none."""
        return _ready(self.schedule, self.steps, self.device)

    @property
    def needs_noise(self) -> bool:
        """Steps add noise."""
        return self.schedule in (Schedule.DDIM, Schedule.DDPM) and self._eta > 0.0

    def level(self, index: int) -> tuple[float, float]:
        """Angle of a step, in quarter turns, and the factor that brings the scheduler's sample to unit power."""
        return _levels(self.schedule, self.steps)[index]

    def step(self, clean: Tensor, index: int, noisy: Tensor, noise: Tensor | None = None) -> Tensor:
        """The next, less noisy sample.

        Args:
            clean: The projected estimate x0, [B, S, N, C].
            index: Which step.
            noisy: The current sample.
            noise: Standard normal numbers of the same shape, where `needs_noise`.
        """
        time = self._scheduler.timesteps[index]
        if self.schedule is Schedule.FLOW_MATCHING:
            velocity = (noisy - clean) / float(self._scheduler.sigmas[index])
            return cast(Tensor, self._scheduler.step(velocity, time, noisy).prev_sample)
        if self.schedule in (Schedule.DDIM, Schedule.DDPM):
            eta, given = self._eta, noise if self.needs_noise else None
            return cast(Tensor, self._scheduler.step(clean, time, noisy, eta=eta, variance_noise=given).prev_sample)
        return cast(Tensor, self._scheduler.step(clean, time, noisy).prev_sample)


def _ready(schedule: Schedule, steps: int, device: str) -> Any:
    """A fresh scheduler with its steps set."""
    scheduler = make_scheduler(schedule)
    if schedule is Schedule.FLOW_MATCHING:  # its own grid would spend the last step almost at the goal
        scheduler.set_timesteps(sigmas=[1.0 - i / steps for i in range(steps)], device=device)
    else:
        scheduler.set_timesteps(steps, device=device)
    return scheduler


@lru_cache(maxsize=64)
def _levels(schedule: Schedule, steps: int) -> tuple[tuple[float, float], ...]:
    """`Chain.level` of all steps."""
    scheduler = _ready(schedule, steps, "cpu")
    if schedule is Schedule.FLOW_MATCHING:
        sigmas = [float(sigma) for sigma in scheduler.sigmas[:steps]]
        norms = [math.hypot(1.0 - sigma, sigma) for sigma in sigmas]
        return tuple((angle_of(((1.0 - sigma) / norm) ** 2), 1.0 / norm) for sigma, norm in zip(sigmas, norms, strict=True))
    if schedule is Schedule.DPM_SOLVER:  # it interpolates between the training levels
        return tuple((angle_of(1.0 / (1.0 + float(sigma) ** 2)), 1.0) for sigma in scheduler.sigmas[:steps])
    return tuple((angle_of(float(scheduler.alphas_cumprod[int(time)])), 1.0) for time in scheduler.timesteps)

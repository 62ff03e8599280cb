"""Noise schedules of `diffusers` behind one convention: the network predicts at an angle, the scheduler steps on a clean x0.

A noisy sample is ``x = cos(a) x0 + sin(a) noise``; the network is told ``a`` over a quarter turn, 0 for clean and 1 for noise.
Every scheduler's own levels are translated to that angle, so that one network serves all of them. After projection the clean
estimate is handed to the scheduler as its prediction, which re-derives noise or velocity from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
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
        self._scheduler = make_scheduler(self.schedule)
        if self.schedule is Schedule.FLOW_MATCHING:  # its own grid would spend the last step almost at the goal
            sigmas = [1.0 - i / self.steps for i in range(self.steps)]
            self._scheduler.set_timesteps(sigmas=sigmas, device=self.device)
        else:
            self._scheduler.set_timesteps(self.steps, device=self.device)
        self._eta = min(1.0 if self.schedule is Schedule.DDPM else self.eta, _LARGEST_ETA)

    @property
    def needs_noise(self) -> bool:
        """Steps add noise."""
        return self.schedule in (Schedule.DDIM, Schedule.DDPM) and self._eta > 0.0

    def level(self, index: int) -> tuple[float, float]:
        """Angle of a step, in quarter turns, and the factor that brings the scheduler's sample to unit power."""
        if self.schedule is Schedule.FLOW_MATCHING:
            sigma = float(self._scheduler.sigmas[index])
            norm = math.hypot(1.0 - sigma, sigma)
            return angle_of(((1.0 - sigma) / norm) ** 2), 1.0 / norm
        if self.schedule is Schedule.DPM_SOLVER:  # it interpolates between the training levels
            return angle_of(1.0 / (1.0 + float(self._scheduler.sigmas[index]) ** 2)), 1.0
        return angle_of(float(self._scheduler.alphas_cumprod[int(self._scheduler.timesteps[index])])), 1.0

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

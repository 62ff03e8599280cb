"""From noise to samples: the reverse chain with projection, guidance and per-case noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases, to_tensors
from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.networks import Condition, Denoiser
from optisolve.solvers.ddpm.noise import Keys, normal
from optisolve.solvers.ddpm.schedules import Chain, Schedule

__all__ = ["Guide", "Sampling", "pick_device", "sample", "to_tensors"]

Guide = Callable[[Tensor], Tensor]
"""Gradient of what should grow, with respect to the clean estimate [B, S, N, C]."""

_GRID = 1024.0
"""Samples are rounded to 1 / 1024, so that the last bits of different processors do not show."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How samples are drawn.

    Args:
        schedule: Scheduler of the reverse chain.
        steps: Network calls.
        eta: Noise on the way (``ddim`` only).
        guidance: Weight w of classifier-free guidance: null + (1 + w) (conditioned - null).
        push: Length of the objective gradient's push per step, in units of y; 0 for none.
        project: Project the clean estimate in every step, not only at the end.
    """

    schedule: Schedule = Schedule.DDIM
    steps: int = 1
    eta: float = 0.0
    guidance: float = 0.0
    push: float = 0.0
    project: bool = True


def pick_device(device: str) -> str:
    """The device behind ``auto``, ``cpu`` or ``cuda``.

    Raises:
        SolverError: CUDA was asked for and is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SolverError("device=cuda: torch finds no CUDA device here; use device=cpu or device=auto.")
    return device


def sample(
    network: Denoiser,
    bridge: Bridge,
    cases: Cases,
    keys: Keys,
    count: int,
    how: Sampling,
    *,
    device: str = "cpu",
    guide: Guide | None = None,
) -> FloatArray:
    """Draw samples for many cases.

    Args:
        network: The denoiser.
        bridge: Its family.
        cases: B cases.
        keys: uint64 [B]; a case's noise depends on its key alone.
        count: Samples per case, S.
        how: The chain.
        device: Where the network is.
        guide: Gradient for `Sampling.push`; needed when that is not 0.

    Returns:
        y, float64 [B, S, N, C], on a grid of 1/1024.
    """
    shape = (count, *bridge.shape(cases))
    with torch.inference_mode(how.push == 0.0):
        condition = to_tensors(bridge.condition(cases), device)
        encoded = network.encode(condition)
        chain = Chain(how.schedule, how.steps, device, how.eta)
        noisy = torch.as_tensor(normal(keys, shape).astype(np.float32), device=device)
        clean = noisy
        for index in range(how.steps):
            level, scale = chain.level(index)
            clean = _predict(network, noisy * scale, level, encoded, how.guidance)
            if how.push > 0.0 and guide is not None:
                clean = clean.detach() + how.push * _unit(guide(clean))
            clean = bridge.project(condition, clean) if how.project else clean.clamp(-1.0, 1.0)
            if index + 1 < how.steps:
                fresh = None
                if chain.needs_noise:
                    drawn = normal(keys, shape, stream=index + 1).astype(np.float32)
                    fresh = torch.as_tensor(drawn, device=device)
                noisy = chain.step(clean.detach(), index, noisy, fresh)
        clean = bridge.project(condition, clean)
        y = clean.detach().cpu().numpy().astype(np.float64)
    rounded: FloatArray = np.rint(y * _GRID) / _GRID
    return rounded


def _predict(network: Denoiser, noisy: Tensor, level: float, encoded: Condition, guidance: float) -> Tensor:
    """The clean estimate, with classifier-free guidance when asked for."""
    time = torch.full((1,), level, device=noisy.device, dtype=noisy.dtype)
    if guidance == 0.0:
        return network.clean(noisy, time, encoded)
    n_cases = noisy.shape[0]
    twice = {name: torch.cat([values, values]) for name, values in encoded.items()}
    null = torch.arange(2 * n_cases, device=noisy.device) >= n_cases
    both = network.clean(torch.cat([noisy, noisy]), time, twice, null)
    conditioned, unconditioned = both[:n_cases], both[n_cases:]
    guided: Tensor = unconditioned + (1.0 + guidance) * (conditioned - unconditioned)
    return guided


def _unit(gradient: Tensor) -> Tensor:
    """Every sample's gradient at the same length, so that the push has one unit for all problems."""
    n = float(gradient.shape[2] * gradient.shape[3])
    size = gradient.square().sum(dim=(2, 3), keepdim=True).sqrt()
    unit: Tensor = gradient / size.clamp(min=1e-12) * n**0.5
    return unit

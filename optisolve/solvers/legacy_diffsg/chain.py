"""The published chain of DiffSG: schedule, the walk back, decoders.

Source: Liang et al. 2024, arXiv 2408.06701, sum-rate set with 80 channels; rebuilt from its description.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from optisolve.core.arrays import FloatArray
from optisolve.solvers.ddpm.networks import HourGlass

__all__ = ["STEPS", "schedule", "softmax_of_range", "walk_back"]

STEPS = 20
"""Length of the chain, in training and in use."""
_LARGEST_BETA, _OFFSET = 0.84, 0.008
_NORMALIZED = 5
"""The first steps of the walk back are STEPS - 1, ...; those above STEPS - 5 normalize the whole batch."""


def schedule() -> tuple[Tensor, Tensor, Tensor]:
    """Cosine schedule with capped steps: betas, alphas and the products of the alphas, float64 [20] each."""
    grid = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    products = torch.cos((grid + _OFFSET) / (1.0 + _OFFSET) * math.pi / 2.0) ** 2
    beta = (1.0 - products[1:] / products[:-1]).clamp(max=_LARGEST_BETA)
    return beta, 1.0 - beta, torch.cumprod(1.0 - beta, dim=0)


def walk_back(
    network: HourGlass,
    gain: FloatArray,
    normals: Callable[[int], FloatArray],
    *,
    guidance: float,
    posterior: bool = False,
) -> FloatArray:
    """From noise to vectors that are still to be decoded.

    As published, a step adds noise of the *variance's* size, and the first steps normalize over everything in the batch.
    Computed in float64, since a guidance of 500 magnifies the last bits.

    Args:
        network: The denoiser.
        gain: float64 [B, N], the conditions.
        normals: Standard normal numbers [B, N] of stream 0 (the start), 1, 2, ... (one per step).
        guidance: Weight w: (1 + w) conditioned - w null.
        posterior: The posterior of DDPM instead: noise of the deviation's size, no normalization.

    Returns:
        float64 [B, N].
    """
    beta, alpha, product = schedule()
    n = len(gain)
    with torch.inference_mode():
        network = copy.deepcopy(network).double()
        y = torch.as_tensor(normals(0))
        encoded = network.encode({"vector": torch.as_tensor(gain).repeat(2, 1)})
        null = torch.arange(2 * n) >= n
        for t in range(STEPS - 1, -1, -1):
            time = torch.full((1,), t / STEPS, dtype=torch.float64)
            both = network.denoise(y.repeat(2, 1)[:, None, :, None], time, encoded, null)[:, 0, :, 0]
            noise = (1.0 + guidance) * both[:n] - guidance * both[n:]
            y = (y - beta[t] / (1.0 - product[t]).sqrt() * noise) / alpha[t].sqrt()
            before = product[t - 1] if t else torch.ones((), dtype=torch.float64)
            ratio = (1.0 - before) / (1.0 - product[t])
            if t > (0 if posterior else 1):
                y = y + ((beta[t] * ratio).sqrt() if posterior else ratio) * torch.as_tensor(normals(STEPS - t))
            if not posterior and t > STEPS - _NORMALIZED:
                y = (y - y.mean()) / y.std()
    found: FloatArray = y.numpy()
    return found


def softmax_of_range(y: FloatArray) -> FloatArray:
    """The published decoder: a softmax of y between the smallest and the largest value *of the whole batch*.

    No two powers of an answer can differ by more than a factor of e, and an answer depends on its batch mates.

    Args:
        y: float64 [B, N].

    Returns:
        Powers float64 [B, N], over the uniform split; every row sums to N.
    """
    z = np.exp((y - y.min()) / max(float(np.ptp(y)), 1e-300))
    powers: FloatArray = y.shape[1] * z / z.sum(axis=1, keepdims=True)
    return powers

"""The published training of DiffSG, by which the weights of the solver `legacy_diffsg` were made.

Source: Liang et al. 2024, arXiv 2408.06701, sum-rate set with 80 channels; rebuilt from its description.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from optisolve.core.arrays import FloatArray
from optisolve.solvers.ddpm.networks import HourGlass
from optisolve.solvers.legacy_diffsg.chain import STEPS, schedule

__all__ = ["fit"]

_DROP, _BATCH, _LEARNING_RATE = 0.1, 512, 5e-3


def fit(
    gain: FloatArray, target: FloatArray, *, epochs: int, seed: int, on_epoch: Callable[[int, float], None] | None = None
) -> HourGlass:
    """Train as published: noise prediction, one step drawn per row, a tenth of the conditions set to zero, Adam.

    Args:
        gain: float64 [n, N], the condition.
        target: float64 [n, N], optimal powers over the largest of them.
        epochs: Passes over the data; the rate falls to a tenth after a half and again after three quarters.
        seed: Decides initial weights and every draw.
        on_epoch: Called with the epoch and its mean loss.

    Returns:
        The network, in evaluation mode.
    """
    known, clean = (torch.as_tensor(a.astype(np.float32)) for a in (gain, target))
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: HourGlass = HourGlass(gain.shape[1])
    product = schedule()[2].float()
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    decay = torch.optim.lr_scheduler.MultiStepLR(optimizer, [epochs // 2, 3 * epochs // 4], gamma=0.1)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(known), generator=generator).split(_BATCH):  # type: ignore[no-untyped-call]
            t = torch.randint(STEPS, (len(rows),), generator=generator)
            noise = torch.randn((len(rows), known.shape[1]), generator=generator)
            null = torch.rand(len(rows), generator=generator) < _DROP
            noisy = product[t].sqrt()[:, None] * clean[rows] + (1.0 - product[t]).sqrt()[:, None] * noise
            predicted = network(noisy[:, None, :, None], t / STEPS, {"vector": known[rows]}, null)
            loss = (predicted[:, 0, :, 0] - noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        decay.step()
        if on_epoch is not None:
            on_epoch(epoch + 1, total / len(known))
    network.eval()
    return network

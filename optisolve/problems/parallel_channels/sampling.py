"""Parallel channels: sampled are the powers, projected onto the budget in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.bridge import Bridge, Cases
from optisolve.core.capabilities import ParallelChannels, capability_gap
from optisolve.core.problem import Instance
from optisolve.numerics.water_filling import project_to_simplex, water_fill

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ParallelChannelsBridge", "weighted_nats"]

_CAP = 4.0
"""Largest power that a sample can name, in units of the uniform split."""
_FLOOR_CAP = 8.0


class ParallelChannelsBridge(Bridge):
    """Powers u = M p / P of M channels, uniform split = 1, as y = 2 u / 4 - 1; the answer spends the whole budget."""

    family: ClassVar[str] = "parallel_channels"

    def gap(self, instance: Instance) -> str | None:
        """Needs gains, noise, weights and one budget."""
        return capability_gap(instance, ParallelChannels)

    def read(self, instance: Instance) -> dict[str, FloatArray]:
        """``snr`` [M] of the uniform split, ``weight`` [M] with largest weight 1, ``budget`` in W."""
        channels = _channels(instance)
        gain, noise, weight, budget = channels.gain, channels.noise_w, channels.weight, channels.p_total_w
        return {"snr": gain / noise * budget / gain.size, "weight": weight / weight.max(), "budget": np.array(budget)}

    def condition(self, cases: Cases) -> dict[str, FloatArray]:
        """Per channel: height of the ground (1 / snr), its logarithm, weight."""
        snr = cases["snr"]
        ground = np.minimum(1.0 / snr, _FLOOR_CAP)
        tokens = np.stack([ground, 0.5 * np.log(snr), cases["weight"]], axis=2)
        return {"tokens": tokens, "snr": snr, "weight": cases["weight"]}

    def shape(self, cases: Cases) -> tuple[int, int]:
        """M variables of one channel."""
        return cases["snr"].shape[1], 1

    def raw(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Powers as sampled; they rarely add up to the budget."""
        u: FloatArray = 0.5 * _CAP * (np.clip(y[..., 0], -1.0, 1.0) + 1.0)
        return u

    def decode(self, cases: Cases, y: FloatArray) -> FloatArray:
        """Euclidean projection onto the budget, in units of the uniform split."""
        return project_to_simplex(self.raw(cases, y))

    def score(self, cases: Cases, points: FloatArray) -> FloatArray:
        """Weighted sum rate, bit/s/Hz, up to the scale of the weights."""
        rate: FloatArray = (cases["weight"][:, None] * np.log1p(points * cases["snr"][:, None])).sum(axis=2) / np.log(2.0)
        return rate

    def null(self, cases: Cases, uniform: FloatArray) -> FloatArray:
        """A random point of the simplex: exponential shares."""
        shares = -np.log(uniform)
        u = shares / shares.mean(axis=2, keepdims=True)
        y: FloatArray = np.clip(2.0 * u / _CAP - 1.0, -1.0, 1.0)
        return y

    def points(self, instance: Instance, points: FloatArray) -> FloatArray:
        """Powers, W."""
        budget = _channels(instance).p_total_w
        return instance.space.clip(points * (budget / points.shape[1]) * (1.0 - 1e-15 * points.shape[1]))

    def project(self, condition: Cases, y: FloatArray) -> FloatArray:
        """Onto the budget."""
        projected = project_to_simplex(0.5 * _CAP * (np.clip(y[..., 0], -1.0, 1.0) + 1.0))  # [B, S, M]
        return np.clip(2.0 * projected / _CAP - 1.0, -1.0, 1.0)[..., None]

    def project_torch(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Onto the budget, differentiable."""
        import torch

        u = 0.5 * _CAP * (y[..., 0].clamp(-1.0, 1.0) + 1.0)  # [B, S, M]
        n = u.shape[2]
        ordered = u.sort(dim=2, descending=True).values
        rank = torch.arange(1, n + 1, device=u.device, dtype=u.dtype)
        cut = (ordered.cumsum(dim=2) - n) / rank
        kept = (ordered > cut).sum(dim=2, keepdim=True).clamp(min=1)
        projected = (u - cut.gather(2, kept - 1)).clamp(min=0.0)
        return (2.0 * projected / _CAP - 1.0)[..., None].clamp(-1.0, 1.0)

    def value(self, condition: Mapping[str, Tensor], y: Tensor) -> Tensor:
        """Weighted sum rate over that of the uniform split."""
        import torch

        snr, weight = condition["snr"][:, None], condition["weight"][:, None]
        u = 0.5 * _CAP * (y[..., 0] + 1.0)
        uniform = weighted_nats(torch.ones_like(snr), snr, weight)
        return weighted_nats(u, snr, weight) / uniform.clamp(min=1e-9)

    def decision(self, instance: Instance, y: Tensor) -> Tensor:
        """Powers [S, M], W."""
        budget = _channels(instance).p_total_w
        return 0.5 * _CAP * (y[..., 0] + 1.0) * (budget / y.shape[1])

    def label(self, cases: Cases, rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
        """The one optimum, by water-filling."""
        snr, weight = cases["snr"], cases["weight"]
        n = snr.shape[1]
        u = np.stack([water_fill(s, w, float(n))[0] for s, w in zip(snr, weight, strict=True)])[:, None]  # [B, 1, M]
        score = self.score(cases, u)
        y = np.clip(2.0 * u / _CAP - 1.0, -1.0, 1.0)[..., None]
        missing = np.full((len(snr), count - 1), -np.inf)
        return np.repeat(y, count, axis=1), np.concatenate([score, missing], axis=1)


def weighted_nats(power: Tensor, snr: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum rate, differentiable, nat; the one torch text of this family's equations.

    Args:
        power: [..., M].
        snr: Broadcast to `power`, signal to noise ratio per unit of power.
        weight: Broadcast to `power`.
    """
    import torch

    return (weight * torch.log1p(power * snr)).sum(dim=-1)


def _channels(instance: Instance) -> ParallelChannels:
    assert isinstance(instance, ParallelChannels)
    return instance

"""The hour-glass MLP of DiffSG: predicts noise, knows its null condition as zeros."""

from __future__ import annotations

import itertools
import math
from typing import cast

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from optisolve.solvers.ddpm.networks.base import Condition, Denoiser

__all__ = ["HourGlass"]


class HourGlass(Denoiser):
    """A residual MLP that narrows and widens again, with skips; of one fixed size and not equivariant.

    Built after the description of DiffSG (Liang et al. 2024, arXiv 2408.06701), for the solver ``legacy_diffsg`` only. The time
    is embedded as it is given, in [0, 1), so that most of its sines and cosines hardly change: part of the published
    configuration. All weights start from a normal law of deviation 0.01.

    Condition: ``vector`` [B, N].

    Args:
        variables: N.
        widths: Width of every level, the widest first.
        blocks: Residual blocks per level.
        time_width: Length of the embedded time.
        prediction: ``"noise"``, nothing else.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        variables: int = 80,
        widths: tuple[int, ...] = (128, 64, 32, 16, 8),
        blocks: int = 2,
        time_width: int = 32,
        prediction: str = "noise",
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.enter = nn.Linear(variables, widths[0])
        self.down = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.up = nn.ModuleList(nn.Linear(b, a) for a, b in reversed(pairs))
        self.levels = nn.ModuleList(
            nn.ModuleList(_Block(width, time_width, variables) for _ in range(blocks))
            for width in (*widths[1:], *reversed(widths[:-1]))
        )
        self.leave = nn.Linear(widths[0], variables)
        for values in self.parameters():
            nn.init.normal_(values, 0.0, 0.01)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)

    def encode(self, condition: Condition) -> Condition:
        """The condition as it is."""
        return {"vector": condition["vector"]}

    def clean(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """Not to be had: its time is a step of the published chain, not an angle; see `optisolve.solvers.legacy_diffsg`."""
        raise NotImplementedError("HourGlass predicts noise for the chain of legacy_diffsg only")

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """The noise in a sample; see `Denoiser.denoise`, C = 1."""
        known = encoded["vector"]  # [B, N]
        if null is not None:
            known = known * (~null).to(known.dtype)[:, None]
        known = functional.silu(known)[:, None]
        half = self.config["time_width"] // 2
        steps = torch.arange(half, device=noisy.device, dtype=noisy.dtype)
        angle = time.expand(noisy.shape[0])[:, None] * torch.exp(-math.log(1e4) / half * steps)
        level = functional.silu(torch.cat([angle.sin(), angle.cos()], dim=1))[:, None]  # [B, 1, time_width]
        h, skips, levels = self.enter(noisy[..., 0]), [], iter(self.levels)  # [B, S, width]
        for layer in self.down:
            skips.append(h)
            h = layer(h)
            for block in cast(nn.ModuleList, next(levels)):
                h = block(h, level, known)
        for layer in self.up:
            h = layer(h) + skips.pop()
            for block in cast(nn.ModuleList, next(levels)):
                h = block(h, level, known)
        return cast(Tensor, self.leave(h))[..., None]


class _Block(nn.Module):
    """Two layers; the embedded time is added behind the first, the condition behind the second."""

    def __init__(self, width: int, time_width: int, features: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.second = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.time, self.condition = nn.Linear(time_width, width), nn.Linear(features, width)

    def forward(self, h: Tensor, level: Tensor, known: Tensor) -> Tensor:
        inner = self.first(h) + self.time(level)
        inner = self.second(inner) + self.condition(known)
        return cast(Tensor, h + inner)

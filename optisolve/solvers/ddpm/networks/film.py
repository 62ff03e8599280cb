"""A residual MLP for problems of one fixed size."""

from __future__ import annotations

from typing import cast

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from optisolve.solvers.ddpm.networks.base import TIME_WIDTH, Condition, Denoiser, blend, time_features

__all__ = ["FilmDenoiser"]


class FilmDenoiser(Denoiser):
    """Residual MLP for problems of one fixed size; condition and noise level scale and shift every layer (FiLM).

    Condition: ``vector`` [B, F].

    Args:
        features: F.
        variables: N.
        channels: C.
        width: Width of the layers.
        layers: Number of residual layers.
        prediction: ``"sample"`` (x0) or ``"velocity"``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        features: int = 4,
        variables: int = 4,
        channels: int = 1,
        width: int = 64,
        layers: int = 3,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.time = nn.Linear(TIME_WIDTH, width)
        self.enter = nn.Linear(variables * channels, width)
        self.blocks = nn.ModuleList(_FilmLayer(width) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, variables * channels))

    def encode(self, condition: Condition) -> Condition:
        """The embedded condition."""
        return {"vector": self.embed(condition["vector"])}

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, c = noisy.shape
        level = self.time(time_features(time.expand(b))[:, :, 0])  # [B, 1, width]
        known = functional.silu(blend(encoded["vector"], self.null_token, null)[:, None] + level)
        state = self.enter(noisy.reshape(b, s, n * c))
        for block in self.blocks:
            state = block(state, known)
        out: Tensor = self.leave(state).view(b, s, n, c)
        return torch.tanh(out) if self.config["prediction"] == "sample" else out


class _FilmLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.film = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, known: Tensor) -> Tensor:
        scale, shift = self.film(known).chunk(2, dim=2)
        return cast(Tensor, state + self.feed(self.norm(state) * (1.0 + scale) + shift))

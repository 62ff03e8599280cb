"""Movable points among fixed ones."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from optisolve.solvers.ddpm.networks.base import TIME_WIDTH, Condition, Denoiser, blend, time_features

__all__ = ["PlacementDenoiser"]


class PlacementDenoiser(Denoiser):
    """Places movable points (UAVs) among fixed ones (users); equivariant in the first, invariant in the second.

    Every layer holds tentative places, lets the movable points compete for the fixed ones (a softmax over the movable points,
    at several lengths, as soft k-means does), tells each where its share and its rivals lie, and moves it.

    Condition: ``tokens`` [B, N, F]; ``context`` [B, K, 2], places of the fixed points in [-1, 1].

    Args:
        token_features: F.
        channels: C; the first two are the place.
        width: Length of a point's state.
        hidden: Width of the layers' hidden activations.
        layers: Number of layers.
        heads: Lengths at which points compete.
        prediction: ``"sample"``; the network names places, nothing else.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        token_features: int = 5,
        channels: int = 3,
        width: int = 48,
        hidden: int = 96,
        layers: int = 6,
        heads: int = 4,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(token_features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.enter = nn.Linear(channels + TIME_WIDTH, width)
        self.blocks = nn.ModuleList(_PlacementLayer(channels, width, hidden, heads) for _ in range(layers))

    def encode(self, condition: Condition) -> Condition:
        """Embedded tokens, and the fixed points."""
        return {"tokens": self.embed(condition["tokens"]), "fixed": condition["context"]}

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, _ = noisy.shape
        level = time_features(time.expand(b)).expand(b, s, n, -1)
        state = blend(encoded["tokens"], self.null_token, null)[:, None] + self.enter(torch.cat([noisy, level], dim=3))
        fixed = encoded["fixed"] if null is None else encoded["fixed"] * (~null).to(noisy.dtype)[:, None, None]
        free = noisy  # places before the squashing
        for block in self.blocks:
            state, free = block(state, free, fixed[:, None, None])
        return torch.tanh(free)


class _PlacementLayer(nn.Module):
    def __init__(self, channels: int, width: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.linspace(0.0, 4.0, heads))
        self.lean = nn.Linear(width, heads)
        self.mix = nn.Sequential(nn.Linear(width + channels + 8 * heads, hidden), nn.SiLU(), nn.Linear(hidden, width))
        self.move = nn.Linear(width, channels)

    def forward(self, state: Tensor, free: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.tanh(free)
        at = place[..., :2]  # [B, S, N, 2]
        offset = fixed - at[:, :, :, None]  # [B, S, N, K, 2]
        reach = self.sharpness.exp()
        logit = -offset.square().sum(dim=4)[..., None] * reach  # [B, S, N, K, H]
        share = torch.softmax(logit + self.lean(state)[:, :, :, None], dim=2)  # movable points compete
        load = share.sum(dim=3)  # [B, S, N, H]
        own = torch.einsum("bsnkh,bsnkc->bsnhc", share, offset) / (load[..., None] + 1e-3)
        near = torch.einsum("bsnkh,bsnkc->bsnhc", torch.softmax(logit, dim=3), offset)
        apart = at[:, :, None] - at[:, :, :, None]  # [B, S, N, N, 2]
        push = torch.exp(-apart.square().sum(dim=4)[..., None] * reach)  # [B, S, N, N, H]
        rivals = torch.einsum("bsnmh,bsnmc->bsnhc", push, apart)
        told = [state, place, own.flatten(3), near.flatten(3), rivals.flatten(3), load / fixed.shape[3], push.mean(dim=3)]
        state = state + self.mix(torch.cat(told, dim=3))
        return state, free + self.move(state)

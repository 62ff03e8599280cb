"""A transformer over the variables of a problem, with or without a second set beside them."""

from __future__ import annotations

from typing import cast

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from optisolve.solvers.ddpm.networks.base import TIME_WIDTH, Condition, Denoiser, blend, time_features

__all__ = ["SetDenoiser"]


class SetDenoiser(Denoiser):
    """Transformer over the variables of a problem, permutation-equivariant, for any number of variables.

    Tokens attend to each other and, where there is a second set (users beside UAVs), to its tokens; a summary (mean) of the
    variables tells every token what the others hold together.

    Condition: ``tokens`` [B, N, F], and when `context_features` > 0 ``context`` [B, K, G].

    Args:
        token_features: F.
        context_features: G, 0 without a second set.
        channels: C.
        width: Length of a token.
        layers: Number of layers.
        heads: Attention heads.
        prediction: ``"sample"`` (x0) or ``"velocity"``.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        token_features: int = 4,
        context_features: int = 0,
        channels: int = 1,
        width: int = 32,
        layers: int = 3,
        heads: int = 4,
        prediction: str = "sample",
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(token_features, width), nn.SiLU(), nn.Linear(width, width))
        if context_features:
            self.embed_context = nn.Sequential(nn.Linear(context_features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_token = nn.Parameter(torch.zeros(width))
        self.null_context = nn.Parameter(torch.zeros(width))
        self.enter = nn.Linear(channels + TIME_WIDTH, width)
        self.blocks = nn.ModuleList(_SetLayer(width, heads, cross=context_features > 0) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))

    def encode(self, condition: Condition) -> Condition:
        """Embedded tokens of both sets."""
        encoded = {"tokens": self.embed(condition["tokens"])}
        if self.config["context_features"]:
            encoded["context"] = self.embed_context(condition["context"])
        return encoded

    def denoise(self, noisy: Tensor, time: Tensor, encoded: Condition, null: Tensor | None = None) -> Tensor:
        """See `Denoiser.denoise`."""
        b, s, n, _ = noisy.shape
        level = time_features(time.expand(b)).expand(b, s, n, -1)
        state = blend(encoded["tokens"], self.null_token, null)[:, None] + self.enter(torch.cat([noisy, level], dim=3))
        state = state.reshape(b * s, n, -1)
        context = None
        if "context" in encoded:
            context = blend(encoded["context"], self.null_context, null).repeat_interleave(s, dim=0)
        for block in self.blocks:
            state = block(state, context)
        out: Tensor = self.leave(state).view(b, s, n, -1)
        return torch.tanh(out) if self.config["prediction"] == "sample" else out


class _SetLayer(nn.Module):
    """Attention within the set, attention to the second set, mean of the set, feed-forward."""

    def __init__(self, width: int, heads: int, *, cross: bool) -> None:
        super().__init__()
        self.norm_self, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.within = _Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if cross else None
        self.across = _Attention(width, heads) if cross else None
        self.feed = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, context: Tensor | None) -> Tensor:
        normed = self.norm_self(state)
        state = state + self.within(normed, normed)
        if self.across is not None and self.norm_cross is not None and context is not None:
            state = state + self.across(self.norm_cross(state), context)
        normed = self.norm_out(state)
        together = normed.mean(dim=1, keepdim=True).expand_as(normed)
        return cast(Tensor, state + self.feed(torch.cat([normed, together], dim=2)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.pair, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, state: Tensor, others: Tensor) -> Tensor:
        b, n, width = state.shape

        def split(values: Tensor) -> Tensor:
            return values.view(b, -1, self.heads, width // self.heads).transpose(1, 2)

        key, value = self.pair(others).chunk(2, dim=2)
        mixed = functional.scaled_dot_product_attention(split(self.query(state)), split(key), split(value))
        return cast(Tensor, self.out(mixed.transpose(1, 2).reshape(b, n, width)))
